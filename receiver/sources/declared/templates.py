"""Text with expressions in braces, as in routes, and tables from a sender's words to ours."""

import re
from collections.abc import Iterator
from typing import Annotated, Any, Final

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    InstanceOf,
    JsonValue,
    Tag,
)

from receiver.sources.declared.expressions import BadExpression, EvaluationFailed, Expression, Run
from receiver.sources.declared.functions import as_text

QUOTES: Final = "'\"`"
SPACES: Final = re.compile(r"[ \t]+")
LONGEST_TEMPLATE: Final = 4_000
"""Characters."""
LONGEST_WORD: Final = 200


class Template:
    """A compiled template. Raises `BadExpression`."""

    __slots__ = ("parts", "text")

    def __init__(self, text: str) -> None:
        if len(text) > LONGEST_TEMPLATE:
            raise BadExpression(f"has {len(text)} characters; at most {LONGEST_TEMPLATE}")
        self.text = text
        self.parts = tuple(_parts(text))

    def value(self, scope: JsonValue, run: Run) -> Any:
        """What the expression gives if there is nothing else, or the text; `None` if it is empty."""
        if len(self.parts) == 1 and isinstance(self.parts[0], Expression):
            return self.parts[0].evaluate(scope, run)
        return self.filled(scope, run) or None

    def filled(self, scope: JsonValue, run: Run) -> str:
        """The text without what is missing, and without the double spaces and empty lines it would leave."""
        texts = [self._text(part, scope, run) for part in self.parts]
        lines = (SPACES.sub(" ", line).strip() for line in "".join(text or "" for text in texts).split("\n"))
        return "\n".join(line for line in lines if line)

    def whole(self, scope: JsonValue, run: Run) -> str:
        """The text; raises `EvaluationFailed` if an expression in it gives none, or only true or false."""
        texts = []
        for part in self.parts:
            value = part if isinstance(part, str) else part.evaluate(scope, run)
            text = None if isinstance(value, bool) else as_text(value)
            if not text:
                missing = part.text if isinstance(part, Expression) else self.text
                raise EvaluationFailed(f"{missing!r} is missing from the payload")
            texts.append(text)
        return "".join(texts)

    @staticmethod
    def _text(part: str | Expression, scope: JsonValue, run: Run) -> str | None:
        return part if isinstance(part, str) else as_text(part.evaluate(scope, run))


def _parts(text: str) -> Iterator[str | Expression]:
    at = 0
    while at < len(text):
        opened = text.find("{", at)
        literal = text[at:] if opened < 0 else text[at:opened]
        if "}" in literal:
            raise BadExpression("has a brace without its other half")
        if literal:
            yield literal
        if opened < 0:
            return
        closed = _closing(text, opened)
        yield Expression(text[opened + 1 : closed])
        at = closed + 1


def _closing(text: str, opened: int) -> int:
    """Where the brace is closed; those of JMESPath's own, and those in quotes, are passed over."""
    depth, quote, at = 0, "", opened
    while at < len(text):
        character = text[at]
        if quote:
            at += character == "\\"
            quote = "" if character == quote else quote
        elif character in QUOTES:
            quote = character
        elif character in "{}":
            depth += 1 if character == "{" else -1
            if not depth:
                return at
        at += 1
    raise BadExpression("has a brace without its other half")


def _as_template(value: object) -> Template:
    if isinstance(value, str):
        return Template(value)
    if isinstance(value, Template):
        return value
    raise ValueError("is not text in quotes")


def _as_expression(value: object) -> Expression:
    if isinstance(value, str):
        return Expression(value)
    if isinstance(value, Expression):
        return value
    raise ValueError("is not text in quotes")


TemplateField = Annotated[InstanceOf[Template], BeforeValidator(_as_template)]
ExpressionField = Annotated[InstanceOf[Expression], BeforeValidator(_as_expression)]


class Words(BaseModel):
    """A sender's words and ours: `{ of = "{status}", words = { firing = "open" }, default = "ignore" }`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    of: TemplateField
    words: Annotated[dict[str, str], Field(min_length=1, max_length=100)]
    """Upper and lower case alike."""
    default: str | None = None
    """For every other word, and for none."""

    def value(self, scope: JsonValue, run: Run) -> str | None:
        word = (as_text(self.of.value(scope, run)) or "")[:LONGEST_WORD].lower()
        return next((ours for theirs, ours in self.words.items() if theirs.lower() == word), self.default)

    @property
    def results(self) -> Iterator[str]:
        yield from self.words.values()
        if self.default is not None:
            yield self.default


def _kind_of_value(value: object) -> str:
    return "words" if isinstance(value, dict | Words) else "text"


Value = Annotated[
    Annotated[TemplateField, Tag("text")] | Annotated[Words, Tag("words")], Discriminator(_kind_of_value)
]
"""A template, or a table of words."""
