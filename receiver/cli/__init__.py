"""The command `apitraffic-events`: one module or package per command, imported only when the command is used.

It declares the command: its arguments, options and help. What takes time to import is imported when the
command runs, often from a module beside it, so that neither help nor completion has to wait.
"""

from typing import Final

import click

from receiver.cli.lazy import CommandLine

COMMANDS: Final = {
    "init": "init",
    "up": "up",
    "demo": "demo",
    "serve": "serve",
    "worker": "worker",
    "api": "api",
    "translate": "translate",
    "send": "send",
    "trigger": "trigger",
    "senders": "senders",
    "events": "events",
    "what-changed": "what_changed",
    "run": "run",
    "console": "console",
    "status": "status",
    "tail": "tail",
    "explain": "explain",
    "deadletters": "deadletters",
    "quarantine": "quarantine",
    "github": "github",
    "gitlab": "gitlab",
    "connect": "connect",
    "disconnect": "connect.disconnecting",
    "doctor": "doctor",
    "mcp": "mcp",
    "config": "config",
    "completion": "completion",
}
"""Command name -> module in this package that defines it as `command`, in the order of the help text."""

SUMMARIES: Final = {
    "init": "Set up a receiver: ask for what it needs, write it down, and check it.",
    "up": "Run receiver, worker, console, Redis and Events API on this machine.",
    "demo": "Start everything, send signed deliveries, show the resulting markers.",
    "serve": "Receive webhooks over HTTP (gunicorn).",
    "worker": "Deliver accepted changes to the Events API.",
    "api": "Run a stand-in for the ApiTraffic Events API on this machine.",
    "translate": "Print what a payload would become, as a JSON list of changes.",
    "send": "Sign a payload as the sender would and post it to a receiver.",
    "trigger": "Send a realistic delivery, signed as its sender would.",
    "senders": "List the senders that are understood, show a preset, or test a description of your own.",
    "events": "Create, list, change and close events in ApiTraffic.",
    "what-changed": "Say what changed before a moment, the nearest first.",
    "run": "Run a command, and show it on the charts from its start to its end.",
    "console": "Show the charts, the markers and the deliveries in a browser.",
    "status": "Show what waits to be delivered, since when, and the workers.",
    "tail": "Show deliveries as they come in, and what becomes of them.",
    "explain": "Show what became of a delivery, a marker or an event.",
    "deadletters": "List, replay or discard changes that could not be delivered.",
    "quarantine": "List, replay or discard deliveries that could not be translated.",
    "github": "Redeliver webhook deliveries that failed.",
    "gitlab": "Resend webhook deliveries that failed.",
    "connect": "Make a sender's webhook through its API, and see that its ping arrives.",
    "disconnect": "Remove the webhook that `connect` has made.",
    "doctor": "Find common problems and say what to do.",
    "mcp": "Offer the Events API to AI assistants as tools (Model Context Protocol).",
    "config": "Print the configuration in force, with secrets masked, or the mistakes in it.",
    "completion": "Print a script that lets the shell complete commands and options.",
}
"""Command name -> the first sentence of its help. A command that is left out is imported for it, slowly."""


@click.group(
    cls=CommandLine,
    places={name: f"{__name__}.{module}:command" for name, module in COMMANDS.items()},
    summaries=SUMMARIES,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="apitraffic-events", prog_name="apitraffic-events")
def main() -> None:
    """Put deploys and incidents on ApiTraffic's charts."""
