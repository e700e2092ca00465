"""Declared senders in the configuration, and what is said of a mistake."""

import re
from pathlib import Path

import pytest

from receiver.config.loading import load_settings, load_what_is_right
from receiver.config.schema import schema_of_file
from receiver.config.secrets import SHORTEST_TOKEN
from receiver.config.senders import lines_of, preset_names, read_preset, read_senders
from receiver.config.settings import Settings
from receiver.errors import ConfigurationError
from receiver.sources import SOURCES

SECRET = "x" * SHORTEST_TOKEN
MINE = """\
[[sender]]
name = "my-tool"
title = "My Tool"
authentication = { scheme = "bearer" }

[[sender.marker]]
key = "{id}"
type = "custom"
effect = "point"
name = "{title}"
metadata = { url = "{link}" }
"""


def load(monkeypatch: pytest.MonkeyPatch, folder: Path, toml: str, **variables: str) -> Settings:
    monkeypatch.chdir(folder)
    (folder / "apitraffic.toml").write_text(toml)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return load_settings()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("APITRAFFIC_CONFIG", raising=False)
    return tmp_path


def test_a_declared_sender_is_a_source_and_off_without_its_secret(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    settings = load(monkeypatch, folder, MINE)
    source = settings.active_sources["my-tool"]
    assert source.secret_variables == ("MY_TOOL_WEBHOOK_SECRET",)
    assert settings.secrets_for(source) == {}


def test_its_secret_turns_it_on_also_from_a_file(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    (folder / "secret").write_text(SECRET + "\n")
    settings = load(monkeypatch, folder, MINE, MY_TOOL_WEBHOOK_SECRET_FILE=str(folder / "secret"))
    source = settings.senders["my-tool"]
    assert settings.secrets_for(source) == {"MY_TOOL_WEBHOOK_SECRET": (SECRET.encode(),)}


def test_it_has_a_section_of_its_own(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    settings = load(monkeypatch, folder, MINE + '[my-tool]\ndeployments = "span"\n')
    assert settings.options_for(settings.senders["my-tool"]).deployments == "span"
    assert load(monkeypatch, folder, MINE).options_for(settings.senders["my-tool"]).deployments == "point"


def test_a_short_secret_is_refused(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"^MY_TOOL_WEBHOOK_SECRET .* needs at least 16"):
        load(monkeypatch, folder, MINE, MY_TOOL_WEBHOOK_SECRET="too short")


def test_a_key_that_cannot_be_used_is_refused(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    signing = MINE.replace("bearer", "standard-webhooks")
    with pytest.raises(ConfigurationError, match=r"^MY_TOOL_WEBHOOK_SECRET begins with whsec_, and what"):
        load(monkeypatch, folder, signing, MY_TOOL_WEBHOOK_SECRET="whsec_not!base64!at!all")


def test_what_is_right_is_kept_beside_a_sender_that_is_not(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    monkeypatch.chdir(folder)
    text = MINE.replace('"point"', '"dot"') + '[my-tool]\ndeployments = "dot"\n[delivery]\nsettle = 0\n'
    Path("apitraffic.toml").write_text(text, encoding="utf-8")
    settings, mistakes = load_what_is_right(
        {"SENTRY_WEBHOOK_SECRET": SECRET, "HEROKU_WEBHOOK_SECRET": "too short"}
    )
    assert {mistake.split(" ", 1)[0] for mistake in mistakes} == {
        "apitraffic.toml:9:",
        "apitraffic.toml:13:",
        "apitraffic.toml:15:",
        "HEROKU_WEBHOOK_SECRET",
    }
    assert set(settings.active_sources) == {*SOURCES, "sentry"}
    assert settings.delivery.settle == 30


def test_a_key_that_cannot_be_used_is_left_out(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.chdir(folder)
    Path("apitraffic.toml").write_text(MINE.replace("bearer", "standard-webhooks"), encoding="utf-8")
    settings, mistakes = load_what_is_right({"MY_TOOL_WEBHOOK_SECRET": "whsec_not!base64!at!all"})
    assert len(mistakes) == 1
    assert not settings.secrets_for(settings.senders["my-tool"])


def test_presets_are_known_and_only_those_with_a_secret_are_active(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    settings = load(monkeypatch, folder, "", LAUNCHDARKLY_WEBHOOK_SECRET=SECRET)
    assert set(settings.senders) == {*SOURCES, *preset_names()}
    assert set(settings.active_sources) == {*SOURCES, "launchdarkly"}
    assert settings.senders.is_preset("launchdarkly")


def test_a_declared_sender_replaces_the_preset_of_its_name(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    settings = load(monkeypatch, folder, MINE.replace("my-tool", "launchdarkly"))
    assert settings.senders["launchdarkly"].title == "My Tool"
    assert not settings.senders.is_preset("launchdarkly")


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_can_be_read_and_is_named_like_its_file(name: str) -> None:
    source = read_preset(name)
    assert source.name == name
    assert source.sender is not None
    assert source.sender.title
    assert re.fullmatch(r"https://\S+", source.sender.documentation)


@pytest.mark.parametrize(
    ("wrong", "line", "complaint"),
    [
        (
            ('"{title}"', '"{title.}"'),
            10,
            "sender 'my-tool': marker 1 name has 'title.', which is not JMESPath",
        ),
        (
            ('"{link}"', '"{nosuch(x)}"'),
            11,
            "marker 1 metadata url has 'nosuch(x)', and there is no function",
        ),
        (('"bearer"', '"magic"'), 4, "authentication 1 .*'magic' found using 'scheme' does not match"),
        (('"point"', '"dot"'), 9, "marker 1 effect has 'dot', which is not one of"),
        (('key = "{id}"\n', ""), 6, "marker 1 key Field required"),
        (('title = "My', 'titel = "My'), 3, "titel is not a setting; correct or remove it"),
        (('"my-tool"', '"github"'), 2, "sender 'github': name is a sender with code of its own"),
        (('"my-tool"', "3"), 2, "sender 1: name should be a valid string"),
    ],
)
def test_a_mistake_is_named_with_file_and_line(wrong: tuple[str, str], line: int, complaint: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        read_senders(MINE.replace(*wrong), "some.toml")
    assert re.search(rf"^some\.toml:{line}: .*{complaint.replace('(x)', '.x.')}", str(raised.value)), (
        raised.value
    )


def test_a_name_declared_twice_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"^f:14: .* is declared twice"):
        read_senders(MINE + "\n" + MINE, "f")


@pytest.mark.parametrize(
    "name", sorted(schema_of_file()["properties"].keys() - preset_names() - SOURCES.keys())
)
def test_a_sender_cannot_have_the_name_of_a_table_of_settings(name: str) -> None:
    """Otherwise the table, `[delivery]` say, would be taken for the sender's own, and its settings lost."""
    with pytest.raises(ConfigurationError) as raised:
        read_senders(MINE.replace("my-tool", name), "some.toml")
    assert str(raised.value) == (
        f"some.toml:2: sender {name!r}: name is taken: [{name}] in apitraffic.toml is a table of the "
        "receiver's own settings; choose another"
    )


def test_the_table_whose_name_a_sender_took_still_has_its_own_settings(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    monkeypatch.chdir(folder)
    (folder / "apitraffic.toml").write_text(
        MINE.replace("my-tool", "delivery") + "\n[delivery]\nsettle = 40\n"
    )
    settings, problems = load_what_is_right({})
    assert settings.delivery.settle == 40
    assert len(problems) == 1
    assert "name is taken: [delivery]" in problems[0]


@pytest.mark.parametrize("name", ["api", "webhooks", "healthz", "readyz", "metrics", "sources", "default"])
def test_a_sender_cannot_have_the_name_of_a_path_or_word_of_the_receiver(name: str) -> None:
    with pytest.raises(
        ConfigurationError, match=rf"^f:2: .* name is taken: .* the word {name}; choose another"
    ):
        read_senders(MINE.replace("my-tool", name), "f")


@pytest.mark.parametrize("name", SOURCES)
def test_a_sender_cannot_have_the_name_of_one_with_code_of_its_own(name: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^f:2: .* code of its own; choose another"):
        read_senders(MINE.replace("my-tool", name), "f")


@pytest.mark.parametrize("toml", ["sender = 3", "[sender]\nname = 'x'", "sender = [3]"])
def test_what_is_no_list_of_tables_is_refused(toml: str) -> None:
    with pytest.raises(ConfigurationError, match=r"f: write \[\[sender\]\]"):
        read_senders(toml, "f")


@pytest.mark.parametrize(
    "toml", ["[[sender]", "x = " + "[" * 5_000, "[[sender]]\nname = '" + "x" * 1_000_000]
)
def test_what_is_no_toml_is_refused(toml: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^f is n"):
        read_senders(toml, "f")


def test_lines_are_found_in_several_nested_tables() -> None:
    text = MINE + "\n[[sender.marker]]\n[sender.marker.let]\na.b = 1\n" + MINE
    lines = lines_of(text)
    assert lines["sender", 0, "marker", 0, "name"] == 10
    assert lines["sender", 0, "marker", 1, "let", "a", "b"] == 15
    assert lines["sender", 1, "marker", 0, "key"] == 22


def test_the_example_in_the_documentation_is_right_and_shorter_than_thirty_lines() -> None:
    page = (Path(__file__).parents[3] / "docs/senders/declared.md").read_text(encoding="utf-8")
    example = re.findall(r"```toml\n(.*?)```", page, flags=re.DOTALL)[0]
    (source,) = read_senders(example, "the example")
    assert source.name == "betterstack"
    assert len(example.splitlines()) < 30
