"""The steps of `connect` and `disconnect`, which are the same for every sender.

The receiver has the secret before the sender signs with it, so that no delivery is refused.
"""

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from time import monotonic, sleep
from typing import Final, Protocol
from urllib.parse import urlsplit

import click
from pydantic import SecretStr
from rich.text import Text

from receiver.cli import consoles
from receiver.cli.connect.stores import PLACES, Store, has_place, joined, newest, require_place
from receiver.cli.consoles import print_wrapped
from receiver.cli.exits import NotReachable, Refused
from receiver.config.settings import Settings
from receiver.doctor.findings import Finding, FindingState
from receiver.doctor.reachability import PINGS, answer_to_ping, health, is_private, signed_headers
from receiver.senders_api.webhooks import (
    FoundWebhook,
    PingAnswer,
    SenderError,
    SenderRefused,
    SenderUnavailable,
)

PAUSE: Final = 2.0
"""Seconds between two looks at the receiver, or at the sender's list of deliveries."""
LONGEST_DELAY: Final = 60.0
"""Seconds after which a ping that nobody has seen counts as lost."""


class Connection(Protocol):
    """What `connect` needs of one sender. Methods raise a `SenderError`."""

    @property
    def source(self) -> str: ...

    @property
    def sender(self) -> str:
        """Whose webhook it is: `acme/shop on GitHub`."""
        ...

    @property
    def variable(self) -> str:
        """The variable that the receiver reads the secret from."""
        ...

    @property
    def sends(self) -> str:
        """What the webhook is to send."""
        ...

    def make_secret(self) -> str: ...

    def find(self, url: str) -> FoundWebhook | None: ...

    def create(self, url: str, secret: str) -> str:
        """Returns the webhook's id."""
        ...

    def update(self, found: FoundWebhook, url: str, secret: str | None) -> None: ...

    def delete(self, found: FoundWebhook) -> None: ...

    def ping(self, webhook: str, *, is_new: bool) -> Callable[[], PingAnswer | None] | None:
        """Ask for a ping; the result is asked whether it has arrived. `None` if this sender has none."""
        ...


@dataclass(frozen=True, slots=True)
class Wishes:
    """What was asked for. `url` is the receiver's, without a path."""

    url: str
    store: Store
    new_secret: bool
    wait: float
    no_ping: bool
    dry_run: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """`secret` is the one to sign with. `stored` is what to write, `sent` what to give to the sender."""

    address: str
    found: FoundWebhook | None
    secret: str
    stored: str | None
    sent: str | None

    @property
    def changes_webhook(self) -> bool:
        return self.found is None or bool(self.found.differences) or self.sent is not None


def random_secret() -> str:
    """64 hexadecimal digits, as `openssl rand -hex 32` makes them."""
    return secrets.token_hex(32)


def address_of(url: str, source: str) -> str:
    return f"{url.rstrip('/')}/webhooks/{source}"


def connect(connection: Connection, wishes: Wishes) -> None:
    """Raises `click.ClickException` with what is wrong and what to do."""
    if wishes.dry_run:
        _show_plan(connection, wishes)
        return
    with sender_problems():
        plan = plan_of(connection, wishes)
        _store(connection, wishes, plan.stored)
        if not wishes.no_ping:
            wait_for_receiver(connection.source, connection.variable, plan.secret, wishes)
        webhook = _apply(connection, plan)
        if not wishes.no_ping:
            wait_for_ping(connection, webhook, wishes, is_new=plan.found is None)
    conclude(connection, wishes, plan.address)


def _show_plan(connection: Connection, wishes: Wishes) -> None:
    """Print what would be done, and raise what would stop it, as `connect` does."""
    with sender_problems(), showing_intent(connection, wishes):
        _print_plan(connection, wishes, plan_of(connection, wishes))


@contextmanager
def showing_intent(connection: Connection, wishes: Wishes) -> Iterator[None]:
    """If the sender cannot be reached, print what is known without it, and re-raise the error."""
    try:
        yield
    except SenderUnavailable:
        address = address_of(wishes.url, connection.source)
        say(
            "webhook", f"would be made or corrected: {connection.sends} from {connection.sender} to {address}"
        )
        stored = wishes.store.read(connection.variable)
        if stored and not wishes.new_secret:
            say("secret", f"{connection.variable} in {wishes.store.name} would be used")
        elif has_place(wishes.store):
            say("secret", f"{connection.variable} in {wishes.store.name} would get a new one")
        else:
            say("secret", f"there is no place for a new one yet: {PLACES}")
        raise


def warn_if_out_of_reach(url: str, api_url: str) -> None:
    """A sender elsewhere cannot reach a receiver's address that only this machine or this network has."""
    if is_internal(url) and not is_internal(api_url):
        host = urlsplit(api_url).hostname
        warning = (
            f"! {urlsplit(url).hostname} cannot be reached from {host}: give --url the address under which "
            "others reach the receiver. docs/laptop.md says how to get one for a while."
        )
        print_wrapped(Text(warning), consoles.errors())


def is_internal(url: str) -> bool:
    """Whether the host is this machine, or has an address of a private network (RFC 1918, RFC 4193)."""
    host = urlsplit(url).hostname or ""
    try:
        return not ip_address(host).is_global
    except ValueError:
        return host == "localhost" or host.endswith((".localhost", ".local", ".internal"))


def plan_of(connection: Connection, wishes: Wishes) -> Plan:
    """What is to be done; asks the sender and changes nothing."""
    address = address_of(wishes.url, connection.source)
    found = connection.find(address)
    stored = wishes.store.read(connection.variable)
    if stored and not wishes.new_secret:
        # A webhook that has a secret has this one, or its ping will say so.
        sent = newest(stored) if found is None or not found.has_secret else None
        return Plan(address, found, newest(stored), None, sent)
    if found and found.has_secret and not wishes.new_secret:
        raise click.UsageError(
            f"{connection.sender} has a webhook to {address} already, and its secret is not in "
            f"{wishes.store.name}. Name the place where the receiver has it, or give --new-secret."
        )
    secret = connection.make_secret()
    return Plan(address, found, secret, joined(secret, stored), secret)


def disconnect(connection: Connection, url: str, *, dry_run: bool) -> None:
    """Remove the webhook, if there is one. Raises `click.ClickException`."""
    address = address_of(url, connection.source)
    with sender_problems():
        removed = 0
        while found := connection.find(address):
            if dry_run:
                say("webhook", f"{found.id} would be removed from {connection.sender}")
                return
            connection.delete(found)
            removed += 1
            say("webhook", f"{found.id} removed from {connection.sender}")
            if removed == MOST_REMOVED:
                break
    if not removed:
        say("webhook", f"{connection.sender} has none to {address}; nothing to do")
    else:
        tell(f"If no other webhook uses it, remove {connection.variable} from the receiver's settings too.")


MOST_REMOVED: Final = 20
"""As many webhooks as GitHub allows; a sender that still lists what was removed must not keep us."""


@contextmanager
def sender_problems() -> Iterator[None]:
    try:
        yield
    except SenderUnavailable as error:
        raise NotReachable(str(error)) from None
    except SenderRefused as error:
        raise Refused(str(error)) from None
    except SenderError as error:
        raise click.ClickException(str(error)) from None


def wait_for_receiver(source: str, variable: str, secret: str, wishes: Wishes) -> None:
    """Wait until the receiver accepts a ping of ours that is signed with this secret."""
    has_said = False
    deadline = monotonic() + wishes.wait
    while True:
        finding = probe(source, variable, secret, wishes.url)
        if finding.state is not FindingState.FAILURE:
            say("receiver", finding.found)
            return
        if monotonic() >= deadline:
            raise click.ClickException(
                f"the receiver is not ready: {finding.found}. "
                f"Next: {wishes.store.next_step.replace('<VARIABLE>', variable)}; then run this again. "
                "If this machine cannot reach the receiver, give --no-ping."
            )
        if not has_said:
            say("receiver", f"not ready yet: {finding.found}")
            say(
                "",
                f"Now {wishes.store.next_step.replace('<VARIABLE>', variable)}. "
                f"Waiting up to {wishes.wait:.0f} s; Ctrl-C ends this, and you can run it again.",
            )
            has_said = True
        sleep(PAUSE)


def probe(source: str, variable: str, secret: str, url: str) -> Finding:
    """Send a ping of our own to the receiver, as `doctor` does."""
    found = health(url)
    if found.state is FindingState.FAILURE:
        return found
    settings = Settings(webhook_secrets={variable: (SecretStr(secret),)})
    headers = signed_headers(source, PINGS[source], settings) or {}
    return answer_to_ping(source, address_of(url, source), PINGS[source], headers, is_private=is_private(url))


def wait_for_ping(connection: Connection, webhook: str, wishes: Wishes, *, is_new: bool) -> None:
    """Ask the sender for a ping, and wait until it has arrived."""
    look = connection.ping(webhook, is_new=is_new)
    if look is None:
        say("ping", "this sender has none; its next delivery will show that it works")
        return
    deadline = monotonic() + min(wishes.wait, LONGEST_DELAY)
    while True:
        answer = look()
        if answer is not None and answer.is_accepted:
            say("ping", answer.said)
            return
        if answer is not None:
            advice = (
                "the webhook has another secret than the receiver: run this again with --new-secret"
                if answer.is_refused
                else "see the receiver's log, and whether a proxy or firewall is between the two"
            )
            raise click.ClickException(f"the ping was not accepted: {answer.said}; {advice}")
        if monotonic() >= deadline:
            raise click.ClickException(
                "the sender has been asked for a ping, and it has not been seen yet. "
                f"Run this again, or look at the deliveries of webhook {webhook} at the sender"
            )
        sleep(PAUSE)


def tell(words: str) -> None:
    print_wrapped(Text(words), consoles.output())


def say(what: str, words: str) -> None:
    start = f"{what:<8}  "
    print_wrapped(Text(f"{start}{words}"), consoles.output(), indent=len(start))


def _print_plan(connection: Connection, wishes: Wishes, plan: Plan) -> None:
    if plan.found is None:
        say("webhook", f"would be created: {connection.sends} from {connection.sender} to {plan.address}")
    else:
        differences = [*plan.found.differences, *(["it gets this secret"] if plan.sent else [])]
        say("webhook", f"{plan.found.id} would {change(differences)}")
    if plan.stored:
        require_place(wishes.store, connection.variable)
        say("secret", f"a new one would be stored as {connection.variable} in {wishes.store.name}")
    else:
        say("secret", f"{connection.variable} in {wishes.store.name} would be used")


def change(differences: list[str]) -> str:
    return f"be changed: {', '.join(differences)}" if differences else "stay as it is"


def _store(connection: Connection, wishes: Wishes, value: str | None) -> None:
    if value is None:
        say("secret", f"{connection.variable} in {wishes.store.name}, unchanged")
        return
    wishes.store.write(connection.variable, value)
    say("secret", f"{connection.variable} stored in {wishes.store.name}")


def _apply(connection: Connection, plan: Plan) -> str:
    if plan.found is None:
        webhook = connection.create(plan.address, plan.sent or plan.secret)
        say("webhook", f"{webhook} created")
        return webhook
    if not plan.changes_webhook:
        say("webhook", f"{plan.found.id} is as it should be")
        return plan.found.id
    connection.update(plan.found, plan.address, plan.sent)
    words = [*plan.found.differences, *(["it has the secret now"] if plan.sent else [])]
    say("webhook", f"{plan.found.id} changed: {', '.join(words)}")
    return plan.found.id


def conclude(connection: Connection, wishes: Wishes, address: str) -> None:
    if wishes.no_ping:
        tell(
            f"Not checked. Next: {wishes.store.next_step.replace('<VARIABLE>', connection.variable)}, "
            "and run this again without --no-ping."
        )
        return
    tell(f"Connected: {connection.sender} sends {connection.sends} to {address}.")
