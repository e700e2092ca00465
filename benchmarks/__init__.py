"""What the README's figures are measured with: `make bench`."""

import receiver.queue  # noqa: F401 - before rq, which reads the prefix of its keys when it is imported
