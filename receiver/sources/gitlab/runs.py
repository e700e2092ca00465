"""What GitLab's Deployment, Pipeline and Job hooks share: states, and how a run is told of."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Final

from pydantic import JsonValue

from apitraffic_events.event import EventType
from receiver.events import Change, Effect
from receiver.sources.changes import change_of
from receiver.sources.gitlab.hook import SOURCE_NAME, Hook, Options, moved, whole_second
from receiver.sources.not_translated import Ignored
from receiver.wording import describe_version, duration

PRODUCTION_NAMES: Final = frozenset({"production", "prod", "live"})
"""Environments taken for production where no tier is sent."""
JUST_BEFORE: Final = timedelta(milliseconds=-1)


class State(Enum):
    """What a status means for its marker."""

    WAITING = "it has not started"
    STARTED = "it has started"
    SUCCEEDED = "it went well"
    FAILED = "it went wrong"
    CANCELLED = "it was cancelled"
    REJECTED = "an approver said no"
    NEVER_BEGAN = "its job ended without having begun, so nothing was deployed"


CALLED_OFF: Final = frozenset({State.REJECTED, State.NEVER_BEGAN})
"""Nothing was deployed, although GitLab reports such a deployment as failed, too."""


VERBS: Final = {
    State.STARTED: "{}",
    State.SUCCEEDED: "{}",
    State.FAILED: "Failed {}",
    State.CANCELLED: "Cancelled {}",
    State.REJECTED: "Rejected {}",
    State.NEVER_BEGAN: "Rejected {}",
}
OUTCOMES: Final = {
    State.STARTED: "Started",
    State.SUCCEEDED: "Succeeded",
    State.FAILED: "Failed",
    State.CANCELLED: "Cancelled",
    State.REJECTED: "Rejected",
    State.NEVER_BEGAN: "Never began: it was rejected, or given up while it waited",
}


@dataclass(frozen=True, slots=True)
class Run:
    """What was deployed, or ran, in what state."""

    state: State
    noun: str
    """As in "Failed deploy"."""
    began_at: datetime | None
    """`None` if the hook does not say it."""
    moment: datetime
    """When it came into this state."""
    taken: timedelta | None = None
    actor: str | None = None
    remark: str | None = None
    approver: str | None = None
    has_warnings: bool = False

    def title(self, *words: str | None) -> str:
        phrase = VERBS[self.state].format(self.noun)
        return " ".join(word for word in (phrase[0].upper() + phrase[1:], *words) if word)

    def description(self) -> str:
        sentence = OUTCOMES[self.state]
        if self.has_warnings and self.state is State.SUCCEEDED:
            sentence += " with warnings"
        if self.taken is not None and self.state is not State.STARTED:
            sentence += f" after {duration(self.taken)}"
        if self.approver:
            sentence += f" by {self.approver}"
        if self.state in CALLED_OFF:
            pass
        elif self.actor and self.noun == "deploy":
            sentence += f", deployed by {self.actor}"
        elif self.actor:
            sentence += f"{'' if self.state is State.STARTED else ', started'} by {self.actor}"
        sentence += "."
        return f"{sentence}\n{self.remark}" if self.remark else sentence

    def change(
        self,
        hook: Hook,
        key: str,
        effect: Effect,
        occurred_at: datetime,
        name: str,
        metadata: dict[str, JsonValue],
        aliases: tuple[str, ...] = (),
        sequence: int = 0,
    ) -> Change:
        return change_of(
            hook.delivery,
            key=key,
            aliases=aliases,
            effect=effect,
            occurred_at=occurred_at,
            sequence=sequence,
            lasted=None if self.state is State.STARTED else self.taken,
            is_authoritative=True,
            is_final=self.state in CALLED_OFF,
            sets=("name", "description", "ended_at") if effect is Effect.UPDATE else None,
            type=EventType.DEPLOYMENT,
            name=name,
            description=self.description(),
            source=SOURCE_NAME,
            metadata=metadata,
            started_at=self._started_at(effect),
            ended_at=self.moment if effect in {Effect.CLOSE, Effect.UPDATE} else None,
        )

    def _started_at(self, effect: Effect) -> datetime | None:
        """A closing that does not know its start names none: another hook of the same deploy may know it."""
        if effect is Effect.POINT:
            return self.moment
        return self.began_at or (self.moment if effect is Effect.OPEN else None)


def state_of(states: dict[str, State], word: str, what: str) -> State:
    state = states.get(word)
    if state is None:
        raise Ignored(f"{what} {word!r} is not known here")
    return state


def effect_of(state: State, word: str, options: Options, *, has_run: bool) -> Effect:
    """What to do with the marker; raises `Ignored`.

    GitLab also cancels what never ran. Where `has_run` is not certain, a cancellation only ends what was
    seen to start, which nothing was where deploys are points. What was called off also ends only that, but is
    remembered in any case, so that the failure that GitLab reports of it makes no marker.
    """
    is_span = options.deployments == "span"
    match state:
        case State.WAITING:
            raise Ignored(f"status {word!r} makes no marker: {state.value}")
        case State.STARTED if word != "running":
            raise Ignored(f"status {word!r} makes no marker: it is still running")
        case State.STARTED if not is_span:
            raise Ignored(
                f"status {word!r} makes no marker: it is drawn where it ends; "
                'deployments = "span" in [gitlab] in apitraffic.toml draws it from its start'
            )
        case State.STARTED:
            return Effect.OPEN
        case State.REJECTED | State.NEVER_BEGAN:
            return Effect.UPDATE
        case State.CANCELLED if is_span and not has_run:
            return Effect.UPDATE
        case State.CANCELLED if not has_run:
            raise Ignored(
                f"status {word!r} makes no marker: nothing says that it had run at all; "
                'deployments = "span" in [gitlab] in apitraffic.toml shows those that had'
            )
        case _:
            return Effect.CLOSE if is_span else Effect.POINT


def before_its_failure(moment: datetime) -> datetime:
    """When a run was called off, to tell that from the `failed` that GitLab reports of it at the same moment.

    The latter's time is cut to whole seconds and would often come first, and the first end counts.
    """
    return moved(whole_second(moment), JUST_BEFORE)


def is_production(hook: Hook, environment: str | None) -> bool | None:
    if tier := hook.payload.text("environment_tier"):
        return tier == "production"
    return True if (environment or "").lower() in PRODUCTION_NAMES else None


def version(ref: str | None, is_tag: bool | None, commit: str | None) -> str:
    """Pipelines and jobs say whether their ref is a tag, so that it need not be guessed."""
    if ref and is_tag is not None and not ref.startswith("refs/"):
        ref = f"refs/{'tags' if is_tag else 'heads'}/{ref}"
    return describe_version(ref, commit)
