"""The JSON Schema of apitraffic.toml, made from the models that read the file.

Draft 7, which editors' TOML plug-ins know: https://taplo.tamasfe.dev/configuration/using-schemas.html
"""

import ast
import inspect
import json
import textwrap
from itertools import pairwise
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from receiver.config.environment import VARIABLES
from receiver.config.senders import TABLE, preset_names
from receiver.config.settings import Settings
from receiver.sources import SOURCES

DRAFT: Final = "http://json-schema.org/draft-07/schema#"
NOT_IN_FILE: Final = frozenset(
    {"webhook_secrets", "sources", "declared", *(variable.field for variable in VARIABLES)}
)


def schema_of_file() -> dict[str, Any]:
    """What may be in apitraffic.toml: each table, its settings, what they mean and their defaults."""
    whole = Settings.model_json_schema(schema_generator=_Described)
    definitions = whole.pop("$defs", {})
    own = {name: each for name, each in whole["properties"].items() if name not in NOT_IN_FILE}
    tables: dict[str, Any] = _plain(own, definitions)
    sections: dict[str, Any] = _plain(whole["properties"]["sources"], definitions)["properties"]
    for name, source in SOURCES.items():
        names = sorted({feature.event for feature in source.features if feature.event})
        events = sections[name]["properties"]["events"]
        events |= {"items": {"anyOf": [{"enum": names}, {"type": "string"}]}}
        events["default"] = list(source.default_events)
    section_of_any: dict[str, Any] = _plain(whole["properties"]["declared"], definitions)[
        "additionalProperties"
    ]
    tables[TABLE] = {
        "description": "Senders of your own; docs/senders/declared.md says what belongs there.",
        "type": "array",
        "items": {"type": "object", "required": ["name"]},
    }
    properties = tables | sections | dict.fromkeys(preset_names(), section_of_any)
    return {
        "$schema": DRAFT,
        "title": "apitraffic.toml",
        "type": "object",
        "properties": properties,
        # Who declares a sender may write a section of its name.
        "additionalProperties": section_of_any,
        "if": {"not": {"required": [TABLE]}},
        "then": {"propertyNames": {"enum": sorted(properties)}},
    }


class _Described(GenerateJsonSchema):
    """Adds what the models say below each of their fields."""

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        found = super().model_schema(schema)
        texts = docstrings_of_fields(schema["cls"])
        for name, each in found.get("properties", {}).items():
            if name in texts:
                each.setdefault("description", texts[name])
        return found


def docstrings_of_fields(model: type[BaseModel]) -> dict[str, str]:
    """Field -> the text below it in the source, of the model and those that it extends, on one line."""
    texts: dict[str, str] = {}
    for cls in reversed(model.__mro__):
        if not issubclass(cls, BaseModel) or cls is BaseModel:
            continue
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
        except (OSError, TypeError):
            continue  # Made by `create_model`.
        body = tree.body if isinstance(tree, ast.ClassDef) else []
        for field, text in pairwise(body):
            if (
                isinstance(field, ast.AnnAssign)
                and isinstance(field.target, ast.Name)
                and isinstance(text, ast.Expr)
                and isinstance(text.value, ast.Constant)
                and isinstance(text.value.value, str)
            ):
                texts[field.target.id] = " ".join(text.value.value.split())
    return texts


def _plain(part: Any, definitions: dict[str, Any]) -> Any:
    """Without references, titles and nulls, which TOML has not."""
    if isinstance(part, list):
        return [_plain(item, definitions) for item in part]
    if not isinstance(part, dict):
        return part
    if "$ref" in part:
        rest = {name: each for name, each in part.items() if name not in {"$ref", "default"}}
        part = definitions[part["$ref"].rpartition("/")[2]] | rest
    if "anyOf" in part:
        kinds = [kind for kind in part["anyOf"] if kind != {"type": "null"}]
        others = {name: each for name, each in part.items() if name != "anyOf"}
        part = others | (kinds[0] if len(kinds) == 1 else {"anyOf": kinds})
        if len(kinds) == 1 and "$ref" in part:
            return _plain(part, definitions)
    if part.get("type") == "array" and "minLength" in part:
        part = {("minItems" if name == "minLength" else name): each for name, each in part.items()}
    return {
        name: _plain(each, definitions)
        for name, each in part.items()
        if not (name == "title" and isinstance(each, str)) and not (name == "default" and each is None)
    }


if __name__ == "__main__":
    print(json.dumps(schema_of_file(), indent=2, ensure_ascii=False))  # noqa: T201 - for `make docs`
