"""`[notify]` and its variables: what is read, what is refused without showing it, what is warned about."""

from pathlib import Path

import pytest

from apitraffic_events.errors import ConfigurationError
from receiver.config.loading import load_settings
from receiver.config.notify import NoticeKind
from receiver.config.senders import declared_names
from receiver.config.settings import Settings
from receiver.config.suspicions import suspicions
from receiver.delivery.notifier import target_of

URL = "https://hooks.slack.com/services/T0001/B0001/nobody-may-see-this"
SECRET = "whsec_c2l4dGVlbiBieXRlcyBvciBtb3Jl"


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def settings_of(toml: str = "", **environ: str) -> Settings:
    Path("apitraffic.toml").write_text(toml, encoding="utf-8")
    return load_settings(environ)


def problem(toml: str = "", **environ: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        settings_of(toml, **environ)
    return str(caught.value)


def warnings(toml: str = "", **environ: str) -> list[str]:
    return [
        each.found for each in suspicions(settings_of(toml, **environ), environ) if each.check == "notify"
    ]


def test_without_an_address_nobody_is_told() -> None:
    assert target_of(settings_of()) is None
    assert warnings() == []


def test_the_address_is_in_a_variable_or_in_its_file() -> None:
    Path("url").write_text(f"{URL}\n", encoding="utf-8")
    for settings in (settings_of(APITRAFFIC_NOTIFY_URL=URL), settings_of(APITRAFFIC_NOTIFY_URL_FILE="url")):
        target = target_of(settings)
        assert target is not None
        assert target.host == "hooks.slack.com"
        assert not target.is_signed
        assert set(settings.notify.events) == set(NoticeKind)


def test_one_that_is_no_secret_may_be_in_the_file_and_the_environment_wins() -> None:
    toml = '[notify]\nurl = "https://notices.example.com/apitraffic"\nevents = ["paused"]\n'
    settings = settings_of(toml)
    target = target_of(settings)
    assert target is not None
    assert target.host == "notices.example.com"
    assert settings.notify.events == (NoticeKind.PAUSED,)
    target = target_of(settings_of(toml, APITRAFFIC_NOTIFY_URL=URL, APITRAFFIC_NOTIFY_SECRET=SECRET))
    assert target is not None
    assert target.host == "hooks.slack.com"
    assert target.is_signed


@pytest.mark.parametrize(
    "url",
    [
        "hooks.slack.com/services/hidden",
        "ftp://hooks.example.com/hidden",
        "https:///hidden",
        "https://me:hidden@hooks.example.com/",
        "https://hooks.example.com:0/hidden",
        "https://hooks.example.com:port/hidden",
        "https://hooks.example.com/hid den",
        "https://[hooks/hidden",
    ],
)
def test_what_is_no_address_is_refused_without_showing_it(url: str) -> None:
    said = problem(APITRAFFIC_NOTIFY_URL=url)
    assert said.startswith("APITRAFFIC_NOTIFY_URL ")
    in_file = problem(f'[notify]\nurl = "{url}"\n')
    assert in_file.startswith("apitraffic.toml:2: notify.url ")
    for words in (said, in_file):
        assert "hidden" not in words
        assert "hid den" not in words


@pytest.mark.parametrize(
    "secret", ["short", "whsec_short-of-what", "whsec_c2hvcnQ=", "whsec_!!!!!!!!!!!!!!!!"]
)
def test_a_secret_that_cannot_be_used_is_refused_without_showing_it(secret: str) -> None:
    said = problem(APITRAFFIC_NOTIFY_URL=URL, APITRAFFIC_NOTIFY_SECRET=secret)
    assert said.startswith("APITRAFFIC_NOTIFY_SECRET ")
    assert secret not in said


def test_an_unknown_event_is_named_with_those_that_there_are() -> None:
    said = problem('[notify]\nevents = ["deploy_failed", "deploys"]\n')
    assert said.startswith("apitraffic.toml:2: notify.events")
    assert "'deploy_failed', 'verdict_worse' or 'paused'" in said


@pytest.mark.parametrize(
    ("url", "is_warned_about"),
    [
        ("https://hooks.example.com/x", False),
        ("http://hooks.example.com/x", True),
        ("http://203.0.113.7:8065/x", False),  # a documentation address counts as private in Python
        ("http://8.8.8.8/x", True),
        ("http://127.0.0.1:8065/x", False),
        ("http://10.1.2.3/x", False),
        ("http://[::1]:8065/x", False),
        ("http://localhost:8065/x", False),
        ("http://mattermost:8065/x", False),
    ],
)
def test_an_address_without_tls_is_warned_about_unless_it_is_near(url: str, is_warned_about: bool) -> None:
    found = warnings(APITRAFFIC_NOTIFY_URL=url)
    assert bool(found) is is_warned_about
    assert not any("/x" in each for each in found)


@pytest.mark.parametrize("toml", ['[notify]\nevents = ["paused"]\n', ""])
def test_settings_without_an_address_are_probably_a_mistake(toml: str) -> None:
    environ = {} if toml else {"APITRAFFIC_NOTIFY_SECRET": SECRET}
    assert warnings(toml, **environ) == ["no notices are posted: there is no address to post them to"]


def test_no_account_and_no_sender_may_have_the_name() -> None:
    assert "is taken" in problem('[account.notify]\nsid = "acc_1"\ntoken_variable = "X"\n')
    assert declared_names({"sender": [{"name": "notify"}]}) == ()


def test_neither_address_nor_secret_is_in_what_is_printed_of_the_settings() -> None:
    settings = settings_of(APITRAFFIC_NOTIFY_URL=URL, APITRAFFIC_NOTIFY_SECRET=SECRET)
    assert "nobody-may-see" not in repr(settings) + settings.model_dump_json()
    assert SECRET not in repr(settings) + settings.model_dump_json()
