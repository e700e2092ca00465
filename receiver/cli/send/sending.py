"""Signs a payload and posts it to a receiver."""

import json
import sys
import uuid
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO, NoReturn

import click
import requests

from apitraffic_events.responses import reason_of
from receiver.cli.deliveries import parse_headers, source_named, warn_of_misspelt
from receiver.cli.failures import configuration_errors_in_words
from receiver.config.loading import load_settings
from receiver.config.settings import Settings
from receiver.local.data_folder import DataFolder
from receiver.local.running import running_in
from receiver.sources.sending import sender_of
from receiver.sources.signing import Sender

DEFAULT_RECEIVER_URL = "http://127.0.0.1:8080"
PROBE = "an-event"
ANSWER_TIMEOUT = 10.0
"""Seconds; as long as GitHub and GitLab wait."""


def send(
    source_name: str,
    file: BinaryIO,
    event: str,
    url: str | None,
    delivery: str | None,
    header: tuple[str, ...],
    data_dir: Path,
) -> None:
    with configuration_errors_in_words():
        settings = load_settings()
        source = source_named(source_name, settings.senders)
    sender = sender_of(source)
    event = event or _ask_for_event(sender, source_name, header, Path(getattr(file, "name", "")))
    warn_of_misspelt(event, source)
    send_delivery(
        sender,
        source_name,
        event,
        file.read(),
        delivery=delivery or str(uuid.uuid4()),
        url=url,
        settings=settings,
        data_dir=data_dir,
        further_headers=parse_headers(header),
    )


def send_delivery(
    sender: Sender,
    source_name: str,
    event: str,
    body: bytes,
    *,
    delivery: str,
    url: str | None,
    settings: Settings,
    data_dir: Path,
    further_headers: Mapping[str, str] = MappingProxyType({}),
) -> NoReturn:
    """Sign it, post it, print the answer, and end the program accordingly."""
    secret, place = _secret(sender, settings, data_dir)
    headers = sender.headers(secret, event, body, delivery)
    headers = {name: value for name, value in headers.items() if value} | dict(further_headers)
    url = url or _running_receiver(data_dir) or DEFAULT_RECEIVER_URL
    address = url if "/webhooks/" in url else f"{url.rstrip('/')}/webhooks/{source_name}"
    try:
        answer = requests.post(
            # The token in the path is in no message.
            f"{address}/{secret}" if sender.has_token_in_path else address,
            data=body,
            headers=headers,
            timeout=ANSWER_TIMEOUT,
        )
    except requests.RequestException as error:
        raise click.ClickException(
            f"no answer from {address}: {reason_of(error)}; is the receiver running? "
            "`apitraffic-events up` starts one."
        ) from error
    click.echo(f"{answer.status_code} {answer.reason}")
    click.echo(answer.text)
    if answer.status_code == HTTPStatus.UNAUTHORIZED:
        raise click.ClickException(
            f"it was signed with {place}, and the receiver has another secret; "
            "`apitraffic-events tail --status refused` shows the receiver's reason"
        )
    sys.exit(0 if answer.ok and not _is_quarantined(answer.text) else 1)


def _ask_for_event(sender: Sender, source_name: str, given: tuple[str, ...], file: Path) -> str:
    """The event's name, if this sender puts it into a header and it was not given: without it, nothing is
    translated. Raises `click.UsageError` if there is nobody to ask.
    """
    headers = sender.headers("", PROBE, b"{}", "")
    names = {name.lower() for name, value in headers.items() if value == PROBE}
    if not names or names & parse_headers(given).keys():
        return ""
    if not sys.stdin.isatty() or not sys.stderr.isatty():
        raise click.UsageError(f"Give --event: {source_name} names its events in a header.")
    # The names of our own examples begin with the event's: deployment_status__production_success.json.
    guess, separator, _ = file.name.partition("__")
    name: str = click.prompt("The event's name at the sender", default=guess if separator else None, err=True)
    return name


def _is_quarantined(text: str) -> bool:
    try:
        body = json.loads(text)
    except ValueError:
        return False
    return isinstance(body, dict) and body.get("status") == "quarantined"


def _running_receiver(data_dir: Path) -> str | None:
    running = running_in(DataFolder(data_dir))
    return running.receiver_url if running else None


def _secret(sender: Sender, settings: Settings, data_dir: Path) -> tuple[str, str]:
    """The first configured secret, or else the one that `up` generated; and where it is."""
    if configured := settings.webhook_secrets.get(sender.secret_name):
        return configured[0].get_secret_value(), sender.secret_name
    folder = DataFolder(data_dir)
    secret = folder.read_secret(sender.secret_name)
    if secret is None:
        raise click.ClickException(
            f"{sender.secret_name} is not set and {data_dir} holds none; set it to the receiver's secret, "
            "or run this in the folder in which `apitraffic-events up` runs"
        )
    return secret, f"the secret in {folder.secret_path(sender.secret_name)}"
