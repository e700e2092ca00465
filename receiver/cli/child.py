"""`python -m receiver.cli.child …` runs `apitraffic-events …` and stops when its parent process ends.

The supervisor starts its children this way. If it is killed by a signal that it cannot pass on, they do not
stay behind and hold their ports. Outside Linux this is simply `apitraffic-events`.
"""

import ctypes
import signal
import sys
from typing import Final

PR_SET_PDEATHSIG: Final = 1
"""https://man7.org/linux/man-pages/man2/PR_SET_PDEATHSIG.2const.html"""


def stop_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM))


def main() -> None:
    stop_with_parent()
    from receiver.cli import main as command_line  # the parent may die while this is imported

    command_line(prog_name="apitraffic-events")


if __name__ == "__main__":
    main()
