"""Breaking the product on purpose, and counting: `make chaos`.

Signed deliveries of all senders go through the real receiver, queue and workers to a local Events API, while
all of these are killed, frozen and made to fail at random. What senders got a 2xx for is then compared with
what the API lists, by a model of the markers that shares no code with the product.
"""

import receiver.queue  # noqa: F401 - before rq, which reads the prefix of its keys when it is imported
