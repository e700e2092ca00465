"""JMESPath (https://jmespath.org) with a bound on what one delivery's expressions may cost.

JMESPath has no loops and reaches nothing but its input. What remains to be bounded is work: projections
over long lists, flattening, and values that a multi-select repeats.
"""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any, Final

import regex
from jmespath.exceptions import JMESPathError
from jmespath.parser import Parser
from jmespath.visitor import Options, TreeInterpreter
from pydantic import JsonValue

from receiver.sources.declared.functions import Context, Functions, OutOfBudget

LONGEST_EXPRESSION: Final = 1_000
"""Characters."""
MOST_NODES: Final = 300
DEEPEST: Final = 40
LONGEST_PATTERN: Final = 200
"""Characters of a regular expression."""
PLAIN_PATH: Final = frozenset({"field", "subexpression"})
EMPTY: Final[tuple[Any, ...]] = ([], {})
WRONG_TYPE: Final = (JMESPathError, ArithmeticError, AttributeError, TypeError, ValueError)


class BadExpression(ValueError):
    """An expression that cannot be compiled; the message says what is wrong, and contains it."""


class EvaluationFailed(Exception):
    """An expression that cannot be applied to this payload; the message says which and why."""


class Expression:
    """One compiled expression. Raises `BadExpression`."""

    __slots__ = ("_ast", "_path", "text")

    def __init__(self, text: str) -> None:
        self.text = text.strip()
        self._ast = _parse(self.text)
        self._path = _plain_path(self._ast)

    def evaluate(self, value: JsonValue, run: "Run") -> Any:
        """Its value for this input; `None` for what is missing. Raises `EvaluationFailed`."""
        if self._path is not None:
            found: Any = value
            for name in self._path:
                if not isinstance(found, dict):
                    return None
                found = found.get(name)
            return found
        try:
            return run.interpreter.visit(self._ast, value)
        except OutOfBudget as error:
            raise EvaluationFailed(f"{self.text!r} {error}") from error
        except RecursionError as error:
            raise EvaluationFailed(f"{self.text!r} meets JSON that is nested too deeply") from error
        except WRONG_TYPE as error:
            raise EvaluationFailed(
                f"{self.text!r} cannot be applied to this payload: {_first_line(error)}"
            ) from error


class Run:
    """The evaluation of the expressions for one delivery, which share one budget."""

    __slots__ = ("interpreter",)

    def __init__(self, context: Context) -> None:
        self.interpreter = BoundedInterpreter(context)


class BoundedInterpreter(TreeInterpreter):  # type: ignore[misc]  # jmespath has no types of its own
    """Charges each step, and compares no structures, which may be exponentially large if written out."""

    def __init__(self, context: Context) -> None:
        super().__init__(Options(custom_functions=Functions(context)))
        self._charge = context.charge

    def visit(self, node: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        self._charge(1)
        return super().visit(node, *args, **kwargs)

    def visit_flatten(self, node: dict[str, Any], value: Any) -> Any:
        base = self.visit(node["children"][0], value)
        if not isinstance(base, list):
            return None
        merged: list[Any] = []
        for element in base:
            items = element if isinstance(element, list) else [element]
            self._charge(len(items) + 1)
            merged.extend(items)
        return merged

    def visit_slice(self, node: dict[str, Any], value: Any) -> Any:
        self._charge(len(value) if isinstance(value, list) else 1)
        return super().visit_slice(node, value)

    def visit_comparator(self, node: dict[str, Any], value: Any) -> Any:
        left, right = (self.visit(child, value) for child in node["children"])
        if isinstance(left, list | dict) and isinstance(right, list | dict):
            if node["value"] not in {"eq", "ne"}:
                return None
            are_equal = left is right or (left in EMPTY and type(left) is type(right) and left == right)
            return are_equal if node["value"] == "eq" else not are_equal
        self._charge(sum(len(side) // 1_000 for side in (left, right) if isinstance(side, str)))
        literal = [{"type": "literal", "value": side} for side in (left, right)]
        return super().visit_comparator({**node, "children": literal}, value)


def _parse(text: str) -> dict[str, Any]:
    if not text:
        raise BadExpression("has {} without an expression in it")
    if len(text) > LONGEST_EXPRESSION:
        raise BadExpression(f"has an expression of {len(text)} characters; at most {LONGEST_EXPRESSION}")
    try:
        ast: dict[str, Any] = deepcopy(Parser().parse(text).parsed)
        nodes = list(_nodes(ast, 1))
    except JMESPathError as error:
        raise BadExpression(f"has {text!r}, which is not JMESPath: {_first_line(error)}") from error
    except (RecursionError, ValueError) as error:
        raise BadExpression(f"has {text!r}, which is not JMESPath, or nested too deeply") from error
    if len(nodes) > MOST_NODES:
        raise BadExpression(f"has {text!r} with {len(nodes)} parts; at most {MOST_NODES}")
    for node in nodes:
        if node["type"] == "function_expression":
            _check_function(node, text)
    return ast


def _nodes(node: dict[str, Any], depth: int) -> Iterator[dict[str, Any]]:
    if depth > DEEPEST:
        raise RecursionError
    yield node
    for child in node["children"]:
        if isinstance(child, dict):
            yield from _nodes(child, depth + 1)


def _check_function(node: dict[str, Any], text: str) -> None:
    """That the function exists. A regular expression is compiled, so it has to be written out."""
    name, arguments = node["value"], node["children"]
    known = Functions.FUNCTION_TABLE
    if name not in known:
        raise BadExpression(f"has {text!r}, and there is no function {name}(); there are {_listed(known)}")
    least, is_open = len(known[name]["signature"]), _takes_more(known[name]["signature"])
    if len(arguments) < least or (len(arguments) > least and not is_open):
        more = " or more" if is_open else ""
        given = len(arguments)
        raise BadExpression(f"has {text!r}, and {name}() takes {least}{more} arguments, not {given}")
    if name == "regex":
        pattern = arguments[1]
        if pattern["type"] != "literal" or not isinstance(pattern["value"], str):
            raise BadExpression(f"has {text!r}, and regex()'s second argument is not a text in quotes")
        pattern["value"] = _compiled(pattern["value"], text)


def _compiled(pattern: str, text: str) -> "regex.Pattern[str]":
    if len(pattern) > LONGEST_PATTERN:
        raise BadExpression(
            f"has {text!r}, and its regular expression is over {LONGEST_PATTERN} characters long"
        )
    try:
        return regex.compile(pattern)
    except (regex.error, RecursionError, OverflowError) as error:
        raise BadExpression(f"has {text!r}, and {pattern!r} is no regular expression: {error}") from error


def _takes_more(signature: tuple[dict[str, Any], ...]) -> bool:
    return bool(signature and signature[-1].get("variadic"))


def _listed(known: dict[str, Any]) -> str:
    return ", ".join(sorted(known))


def _plain_path(node: dict[str, Any]) -> tuple[str, ...] | None:
    """The names on the way if the expression is `a.b.c`, which most are; they need no interpreter."""
    if node["type"] not in PLAIN_PATH:
        return None
    if node["type"] == "field":
        return (str(node["value"]),)
    paths = [_plain_path(child) for child in node["children"]]
    if any(path is None for path in paths):
        return None
    return tuple(name for path in paths if path for name in path)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:200]
