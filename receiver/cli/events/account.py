"""What the commands of `apitraffic-events events` share: access to the account."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TypeVar

from apitraffic_events.client import EventsClient
from apitraffic_events.retrying import Retrier
from receiver.cli import consoles
from receiver.cli.exits import api_problems
from receiver.cli.local_system import ACCOUNT, environment_for
from receiver.cli.waiting import Patience
from receiver.config.account import events_client
from receiver.config.account_settings import AccountSettings, load_account
from receiver.delivery.scopes import Scopes

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class AccountSession:
    """The API of the configured account. Calls are retried until the time is up."""

    client: EventsClient
    retrier: Retrier
    scopes: Scopes
    patience: Patience | None = None

    def ask(self, question: Callable[[], T]) -> T:
        with self.patience.shown() if self.patience else nullcontext():
            return self.retrier.call(question)

    def sids(self, buckets: tuple[str, ...], environments: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
        """The SIDs of buckets and of environments; raises `UnknownPlace` for a name that does not exist."""
        return self.ask(
            lambda: (self.scopes.require_buckets(buckets), self.scopes.require_environments(environments))
        )


@contextmanager
def account_session(timeout: float, what: str = "request") -> Iterator[AccountSession]:
    """For commands that write. Their standard error holds nothing but the reason if they fail."""
    with api_problems(what), events_client(load_account(environment_for(ACCOUNT))) as client:
        yield AccountSession(client, Retrier(client, timeout), Scopes(client))


@contextmanager
def reading_session(
    timeout: float, *, is_quiet: bool = False, settings: AccountSettings | None = None
) -> Iterator[AccountSession]:
    """For commands that only read: they give up at once if there is no connection, and are not silent.

    Unless `is_quiet`, for a command that shows by itself that it is at work. Without `settings`, of the
    account of APITRAFFIC_ACCOUNT_SID.
    """
    with api_problems(), events_client(settings or load_account(environment_for(ACCOUNT))) as client:
        patience = None if is_quiet else Patience(consoles.errors())
        retrier = Retrier(
            client,
            timeout,
            before_retry=patience.before_retry if patience else None,
            gives_up_unconnected=True,
        )
        yield AccountSession(client, retrier, Scopes(client), patience)
