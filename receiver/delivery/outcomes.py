"""Which of several outcomes of one marker counts: pure functions of what was reported."""

from collections.abc import Sequence

from apitraffic_events.event import EventType
from receiver.events import Change, Effect

ENDS = (Effect.CLOSE, Effect.POINT)
FAILURES = frozenset({"failure", "failed", "error"})
"""The words for a failed deploy in `metadata.status`."""

LISTED = "api"
"""The source of what was found in the API and not sent to us; its missing end may also mean a point."""

SAME_OUTCOME = {"failed": "failure", "canceled": "cancelled"}
"""GitLab's words -> those of the CI plugins, which report the same deploy."""


def moves(end: Change, later: Change) -> bool:
    """Whether the later report replaces this end.

    A sender that reports another outcome of the same thing does: a deploy that succeeded has failed after
    all. The same outcome once more does not, or an end without one, or what another reporter says of an end
    that is known: a plugin sees its own step. The sender whose id the marker has knows best, so its word goes
    over all others' and not the other way round. What was called off (`Effect.UPDATE`) stays so.
    """
    if end.is_final or end.effect is Effect.UPDATE:
        return False
    before, after = outcome_of(end), outcome_of(later)
    if before is None or after is None or before == after:
        return False
    if end.is_authoritative or later.is_authoritative:
        return later.is_authoritative
    return end.delivery.source == later.delivery.source


def begins_again(end: Change, opening: Change) -> bool:
    """Whether an incident that had ended is reported anew under the same key, as alert senders do.

    Only by who reported its end, so that the clocks of two reporters are not compared.
    """
    return (
        opening.event.type is EventType.INCIDENT
        and opening.delivery.source == end.delivery.source
        and opening.occurred_at > end.occurred_at
    )


def with_covered_failure(change: Change, ordered: Sequence[Change], shown: Change | None) -> Change:
    """The change, with a remark if it reports a failure of which the marker would show nothing.

    A CI plugin that knows only its run may have been joined with a neighbour's deployment, whose own outcome
    counts. What it saw must not get lost.
    """
    if shown is None or shown.is_final or is_failure(shown) or shown.effect not in ENDS:
        return change
    if change.effect not in ENDS or not is_failure(change) or change.is_indirect:
        return change
    later = (
        each for each in ordered if each.delivery.source == change.delivery.source and each.effect in ENDS
    )
    is_own_last_word = [each for each in later if each.occurred_at >= change.occurred_at][-1:] == [change]
    if change.delivery.source in {shown.delivery.source, LISTED} or not is_own_last_word:
        return change
    return change.model_copy(update={"remark": f"Also reported: {change.event.name}"})


def is_failure(change: Change) -> bool:
    return outcome_of(change) in FAILURES


def outcome_of(change: Change) -> str | None:
    status = change.event.metadata.get("status")
    if not isinstance(status, str):
        return None
    word = status.lower()
    return SAME_OUTCOME.get(word, word)
