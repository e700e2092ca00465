"""Why a delivery has no changes, as a source says it."""

from dataclasses import dataclass

from apitraffic_events.text import one_line


class NotTranslated(Exception):
    """A delivery without changes; `reason` is for the person who reads the sender's delivery log."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = one_line(reason, 300)


class Ignored(NotTranslated):
    """Nothing to do: another event, another state, or switched off in the configuration."""


class Untranslatable(NotTranslated):
    """It should have meant something but cannot be read; it goes to the quarantine."""


@dataclass(frozen=True, slots=True)
class ItemError:
    """What is wrong with one event of a native delivery; `index` counts from 0."""

    index: int
    field: str
    detail: str


class Invalid(NotTranslated):
    """A delivery whose sender reads the response: it says what is wrong, and nothing is kept."""

    def __init__(self, errors: tuple[ItemError, ...]) -> None:
        super().__init__("; ".join(f"{error.field} {error.detail}" for error in errors))
        self.errors = errors
