"""The queue between receiver and workers: RQ's data in Redis, and how a change gets there.

Importing this package sets the prefix of RQ's keys, which keeps them apart from those of other RQ
applications in the same Redis. RQ reads the prefix once, when it is first imported, so import this package
before `rq`.
"""

import os

from receiver.datastore.keys import RQ_PREFIX

os.environ.setdefault("RQ_KEY_PREFIX", RQ_PREFIX)

from rq.defaults import RQ_KEY_PREFIX

if os.environ["RQ_KEY_PREFIX"] != RQ_KEY_PREFIX:
    raise ImportError(
        f"rq was imported before receiver.queue and uses the keys {RQ_KEY_PREFIX}:* instead of "
        f"{os.environ['RQ_KEY_PREFIX']}:*; import receiver.queue first, "
        f"or start this process with RQ_KEY_PREFIX={os.environ['RQ_KEY_PREFIX']}"
    )
