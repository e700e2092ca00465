"""The JSON Schema and the template of apitraffic.toml agree with what the program reads."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from receiver.config.loading import load_settings
from receiver.config.schema import schema_of_file
from receiver.config.senders import preset_names
from receiver.config.template import template
from receiver.errors import ConfigurationError

ROOT = Path(__file__).parents[3]
SCHEMA: dict[str, Any] = schema_of_file()
VALIDATOR = jsonschema.Draft7Validator(SCHEMA)
EXAMPLES = [
    (str(path.relative_to(ROOT)), example)
    for path in sorted((ROOT / "docs").rglob("*.md"))
    for example in re.findall(
        r"^```toml\n(.*?)^```", path.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
]


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def is_read(text: str) -> bool:
    Path("apitraffic.toml").write_text(text, encoding="utf-8")
    try:
        load_settings({})
    except ConfigurationError:
        return False
    return True


def test_the_published_schema_is_that_of_the_code() -> None:
    published = (ROOT / "docs/apitraffic.schema.json").read_text(encoding="utf-8")
    assert json.loads(published) == SCHEMA, "run `make docs`"


def test_it_is_a_schema() -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    assert "$ref" not in json.dumps(SCHEMA)


def test_every_setting_of_a_sender_says_what_it_means() -> None:
    for name in ("github", "gitlab", "jenkins"):
        for setting, about in SCHEMA["properties"][name]["properties"].items():
            assert about.get("description"), f"{name}.{setting}"


@pytest.mark.parametrize(("page", "example"), EXAMPLES)
def test_the_examples_in_the_documentation_are_valid(page: str, example: str) -> None:
    VALIDATOR.validate(tomllib.loads(example))
    assert is_read(example), page


@pytest.mark.parametrize(
    "text",
    [
        "[delivery]\ndeployments = 'dot'",
        "[delivery]\nsettle = 0",
        "[delivery]\nsettle = 601",
        "[verdict]\nafter = 241",
        "[verdict]\nslower = 0",
        "[verdict.prometheus]\nurl = 'http://p:9090'",
        "[[route]]\nverdict = true",
        "[[route]]\nverdict = { after = 0 }",
        "[githb]",
        "[github]\nevent = ['x']",
        "[github]\nevents = 'push'",
        "[github]\nalert_severity = 'worst'",
        "[pagerduty]\nurgencies = []",
        "[[route]]\nskp = true",
        "[[route]]\nbuckets = []",
        "[[route]]\nmatch = { enviroment = 'x' }",
        "[[route]]\nmetadata = { team = '' }",
        "[route]\nskip = true",
        "[sender]\nname = 'x'",
        "[sentry]\nevent = ['x']",
        "[betterstack]\nevents = ['*']",
    ],
)
def test_what_the_program_refuses_is_marked_in_the_editor(text: str) -> None:
    assert not is_read(text)
    assert not VALIDATOR.is_valid(tomllib.loads(text))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[[route]]\nmatch = { source = 'github', type = ['deployment', 'scale'] }\nbuckets = 'Checkout'",
        "[github]\nevents = ['deploy*']\ndeployments = 'span'\n[jenkins]\npull_requests = true",
        "[sentry]\nevents = ['issue']",
        "[[route]]\nverdict = false\n[[route]]\nverdict = { after = 30 }\n[verdict]\nerrors_up = 1",
        (
            "[[sender]]\nname = 'x'\nauthentication = { scheme = 'bearer' }\nevent = 'x'\n"
            "[[sender.marker]]\nname = 'It'\nkey = '{id}'\neffect = 'point'\ntype = 'custom'\n"
            "[x]\nevents = ['*']"
        ),
    ],
)
def test_what_the_program_takes_is_not(text: str) -> None:
    assert is_read(text)
    VALIDATOR.validate(tomllib.loads(text))


class TestTemplate:
    def test_it_changes_nothing(self) -> None:
        assert is_read(template())
        assert load_settings({}).model_dump() == load_settings({"APITRAFFIC_CONFIG": ""}).model_dump()
        assert all(not table for table in tomllib.loads(template()).values())

    def test_each_of_its_settings_is_valid_without_its_mark(self) -> None:
        text = re.sub(r"^#(?=[a-z_]+ = |\[|    |\])", "", template(), flags=re.MULTILINE)
        content = tomllib.loads(text)
        VALIDATOR.validate(content)
        assert is_read(text)
        for name, table in SCHEMA["properties"].items():
            if name not in {"account", "route", "sender", *preset_names()}:
                assert content[name].keys() == table["properties"].keys()

    def test_it_fits_into_a_window(self) -> None:
        assert max(map(len, template().splitlines())) <= 105
