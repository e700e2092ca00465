"""`python -m receiver` is `apitraffic-events`; child processes are started this way."""

from receiver.cli import main

main(prog_name="apitraffic-events")
