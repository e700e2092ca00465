"""Pauses delivery while the API refuses the token or the account, and says so in the log and to people."""

from collections.abc import Callable
from datetime import datetime

from structlog import get_logger

from apitraffic_events.errors import EventsApiError
from receiver.delivery.budget import RequestBudget
from receiver.delivery.notices import Notice, paused_line, resumed_line
from receiver.delivery.retries import PAUSE_WHEN_REFUSED, what_to_check


class DeliveryPause:
    """Pauses and resumes delivery to one account for all workers; `tell` is as in `Deliverer`."""

    def __init__(
        self, budget: RequestBudget, clock: Callable[[], datetime], tell: Callable[[Notice], None] | None
    ) -> None:
        self._budget = budget
        self._clock = clock
        self._tell = tell

    def pause(self, error: EventsApiError) -> None:
        """The API refuses us, with this error."""
        if self._budget.pause(str(error), PAUSE_WHEN_REFUSED):
            get_logger("receiver.delivery").critical(
                "delivery is paused: the API refuses us",
                reason=str(error),
                advice=what_to_check(self._budget.account),
                **self._of_account,
            )
        # At each refusal, because the worker that paused may have died before it queued the notice.
        if self._tell is not None and (since := self._budget.paused_since()) is not None:
            self._tell(paused_line(self._budget.account, since, str(error)))

    @property
    def _of_account(self) -> dict[str, str]:
        return {} if self._budget.account is None else {"account": self._budget.account}

    def go_on(self) -> None:
        """The API has accepted a request: end the pause that this worker began, if it did."""
        if self._tell is not None and self._budget.has_paused:
            since = self._budget.paused_since()
            if since is not None:
                self._tell(resumed_line(self._budget.account, since, self._clock()))
        if self._budget.resume_own():
            get_logger("receiver.delivery").info(
                "delivery goes on: the API accepts us again", **self._of_account
            )
