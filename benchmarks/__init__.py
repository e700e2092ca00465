"""What the README's figures are measured with: `make bench`."""

import receiver  # noqa: F401 - sets the prefix of RQ's keys, which must happen before RQ is imported
