"""The command `apitraffic-events`: one module per command, imported only when the command is used."""

from typing import Final

import click

from receiver.cli.lazy import LazyGroup

COMMANDS: Final = {
    "up": "up",
    "demo": "demo",
    "serve": "serve",
    "worker": "worker",
    "api": "api",
    "translate": "translate",
    "send": "send",
    "senders": "senders",
    "events": "events",
    "console": "console",
    "status": "status",
    "deadletters": "deadletters",
    "quarantine": "quarantine",
    "github": "github",
    "doctor": "doctor",
    "mcp": "mcp",
    "config": "config",
    "completion": "completion",
}
"""Command name -> module in this package that defines it as `command`, in the order of the help text."""

SUMMARIES: Final = {
    "up": "Run receiver, worker, Redis and Events API on this machine.",
    "demo": "Start everything, send signed deliveries, show the resulting markers.",
    "serve": "Receive webhooks over HTTP (gunicorn).",
    "worker": "Deliver accepted changes to the Events API.",
    "api": "Run a stand-in for the ApiTraffic Events API on this machine.",
    "translate": "Print what a payload would become, as a JSON list of changes.",
    "send": "Sign a payload as the sender would and post it to a receiver.",
    "senders": "List the senders that are understood, show a preset, or test a description of your own.",
    "events": "Create, list, change and close events in ApiTraffic.",
    "status": "Show what waits to be delivered, since when, and the workers.",
    "deadletters": "List, replay or discard changes that could not be delivered.",
    "quarantine": "List, replay or discard deliveries that could not be translated.",
    "github": "Redeliver webhook deliveries that failed.",
    "doctor": "Find common problems and say what to do.",
    "mcp": "Offer the Events API to AI assistants as tools (Model Context Protocol).",
    "config": "Print the configuration in force, with secrets masked, or the mistakes in it.",
    "completion": "Print a script that lets the shell complete commands and options.",
}
"""Command name -> the first sentence of its help. A command that is left out is imported for it, slowly."""


@click.group(
    cls=LazyGroup,
    places={name: f"{__name__}.{module}:command" for name, module in COMMANDS.items()},
    summaries=SUMMARIES,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="apitraffic-events", prog_name="apitraffic-events")
def main() -> None:
    """Put deploys and incidents on ApiTraffic's charts."""
