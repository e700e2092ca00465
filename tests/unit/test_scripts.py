"""How a Lua script is put together from its file, what it includes, and constants; nothing is run."""

import re
from hashlib import sha1
from pathlib import Path

import pytest

from receiver.datastore.scripts import runner
from receiver.datastore.scripts.runner import Constant, Script


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where scripts are read from."""
    monkeypatch.setattr(runner, "FOLDER", tmp_path)
    return tmp_path


def test_what_a_script_includes_stands_in_place_of_the_line_and_only_once(folder: Path) -> None:
    (folder / "functions").mkdir()
    (folder / "functions/one.lua").write_text("local one = 1\n")
    (folder / "functions/two.lua").write_text("-- include functions/one\nlocal two = one + one\n")
    (folder / "sum.lua").write_text("-- include functions/one\n-- include functions/two\nreturn one + two\n")
    lines = [line for line in Script("sum").text.splitlines() if line]
    assert lines == ["local one = 1", "local two = one + one", "return one + two"]


def test_constants_that_it_uses_are_defined_and_others_are_not(folder: Path) -> None:
    (folder / "plain.lua").write_text(
        "-- KEYS: A_COMMENT\nreturn {PREFIX, SECONDS, FIELDS, 'A_STRING', KEYS[1]}\n"
    )
    constants: dict[str, Constant] = {"PREFIX": "our:key:", "SECONDS": 0.3, "FIELDS": ("a", "b"), "OTHER": 1}
    first, second, third, rest = Script("plain", constants).text.split("\n", 3)
    assert {first, second, third} == {
        "local PREFIX = 'our:key:'",
        "local SECONDS = 0.3",
        "local FIELDS = {'a', 'b'}",
    }
    assert rest.startswith("-- KEYS")


def test_one_that_its_caller_does_not_define_is_named(folder: Path) -> None:
    (folder / "plain.lua").write_text("return LIMIT\n")
    with pytest.raises(ValueError, match=re.escape("plain.lua uses LIMIT")):
        _ = Script("plain").text


@pytest.mark.parametrize("value", ["it's", "a\\", "a\nb", 'say "it"'])
def test_text_that_would_need_escaping_is_refused(folder: Path, value: str) -> None:
    (folder / "plain.lua").write_text("return PREFIX\n")
    with pytest.raises(ValueError, match="escaping"):
        _ = Script("plain", {"PREFIX": value}).text


def test_it_is_called_by_the_digest_of_its_text(folder: Path) -> None:
    (folder / "plain.lua").write_text("return 1\n")
    script = Script("plain")
    assert script.digest == sha1(script.text.encode(), usedforsecurity=False).hexdigest()


def test_no_script_is_a_string_in_python() -> None:
    modules = Path(runner.__file__).parents[2].rglob("*.py")
    assert [module for module in modules if re.search(r"redis\.p?call\(", module.read_text())] == []
