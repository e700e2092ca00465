"""Event markers for ApiTraffic: receive webhooks, translate them, deliver them to the Events API."""

import os

# RQ reads the prefix of its Redis keys once, when it is first imported. Ours begin with `apitraffic:` like
# all keys of this product, so that a Redis shared with other RQ applications keeps them apart.
os.environ.setdefault("RQ_KEY_PREFIX", "apitraffic:rq")
