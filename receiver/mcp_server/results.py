"""The result of each tool as a JSON Schema, so that clients can check it and programs can use it.

https://modelcontextprotocol.io/specification/2025-11-25/server/tools#output-schema
"""

from collections.abc import Mapping
from typing import Any, Final

from receiver.insight.history import Course
from receiver.insight.verdict import Word

Schema = dict[str, Any]

TEXT: Final[Schema] = {"type": "string"}
TEXTS: Final[Schema] = {"type": "array", "items": TEXT}
WHOLE_NUMBER: Final[Schema] = {"type": "integer"}
YES_OR_NO: Final[Schema] = {"type": "boolean"}
VERDICT: Final[Schema] = {"type": "string", "enum": [word.value for word in Word]}
COURSE: Final[Schema] = {"type": "string", "enum": [course.value for course in Course]}


def described(schema: Schema, description: str) -> Schema:
    return {**schema, "description": description}


def result(always: Mapping[str, Schema], sometimes: Mapping[str, Schema] | None = None) -> Schema:
    """An object with these fields. There may be others: a later version may say more."""
    return {
        "type": "object",
        "properties": {**always, **(sometimes or {})},
        "required": list(always),
    }


EVENT: Final = result(
    {
        **dict.fromkeys(("sid", "type", "name"), TEXT),
        "metadata": {"type": "object"},
        "buckets": TEXTS,
        "environments": TEXTS,
    },
    dict.fromkeys(
        ("description", "source", "startedAt", "endedAt", "createdAt", "updatedAt", "accountSid"), TEXT
    ),
)
EVENTS: Final = result(
    {
        "now": TEXT,
        "events": {"type": "array", "items": EVENT},
        "page": WHOLE_NUMBER,
        "hasMore": YES_OR_NO,
    }
)
CHANGE: Final = result(
    {
        "when": described(TEXT, "Such as: 5 min before"),
        "offsetSeconds": described(WHOLE_NUMBER, "Negative if it was before, 0 if it was under way"),
        "event": EVENT,
    },
    {
        "outcome": TEXT,
        "version": TEXT,
        "previousVersion": described(TEXT, "What ran before this deploy"),
        "course": described(COURSE, "Whether it went back, or deployed what ran already"),
        "compareUrl": described(TEXT, "Shows the commits between both versions"),
        "url": TEXT,
        "verdict": described(
            result({"word": VERDICT, "line": TEXT}), "What the traffic did after it, as its marker says"
        ),
    },
)
CHANGES: Final = result(
    {
        **dict.fromkeys(("around", "from", "to", "now"), TEXT),
        "changes": {"type": "array", "items": CHANGE},
        "leftOut": described(WHOLE_NUMBER, "Changes beyond `limit`"),
        "complete": described(YES_OR_NO, "Whether all events of this time were read"),
    },
    {"about": described(EVENT, "The event that was asked about")},
)
JUDGEMENT: Final = result(
    {
        **dict.fromkeys(("sid", "name"), TEXT),
        "verdict": VERDICT,
        "line": described(TEXT, "What was measured, or why nothing was compared"),
        "origin": described(
            {"type": "string", "enum": ["marker", "figures", "none"]},
            "marker: it said so already. figures: compared now. none: nothing was compared",
        ),
        "now": TEXT,
    },
    {"endedAt": TEXT},
)
DELETED: Final = result({"deleted": YES_OR_NO, "event": EVENT})
