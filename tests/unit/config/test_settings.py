"""Configuration: environment first, file second, and an error that says what to put where."""

import errno
import os
import re
import traceback
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
from pydantic import SecretStr

from apitraffic_events.environment import DEFAULT_API_URL
from apitraffic_events.errors import ConfigurationError
from receiver.config import senders
from receiver.config.environment import VARIABLES
from receiver.config.loading import load_settings, load_what_is_right
from receiver.config.secrets import SECRET_VARIABLES, split_secrets
from receiver.config.settings import Settings
from receiver.sources import SOURCES
from receiver.sources.github import GITHUB

SECRET = "hunter2-and-then-some-more"
SETTINGS = [variable.name for variable in VARIABLES]
SECRETS = [variable.name for variable in SECRET_VARIABLES]
ALL = [*SETTINGS, *SECRETS]
PROMETHEUS = "[verdict.prometheus]\nerrors = 'x[$window]'\nmean_response = 'x[$window]'\n"
GOOD = {
    "APITRAFFIC_API_TOKEN": "tok_123",
    "APITRAFFIC_ACCOUNT_SID": "acc_abc123",
    "APITRAFFIC_API_URL": "https://api.example.test/v1",
    "APITRAFFIC_SPOOL": "/var/lib/apitraffic-events/spool.sqlite",
    "REDIS_URL": "redis://localhost:6379/0",
    "APITRAFFIC_LOG_FORMAT": "json",
    "APITRAFFIC_PROMETHEUS_TOKEN": "prometheus-token-1234",
    "APITRAFFIC_METRICS_TOKEN": "metrics-token-1234",
    "APITRAFFIC_CONSOLE_TOKEN": "console-token-1234",
    "APITRAFFIC_NOTIFY_URL": "https://chat.example.test/hooks/1",
    "APITRAFFIC_NOTIFY_SECRET": "notify-secret-1234",
    "APITRAFFIC_KEEP_PAYLOADS": "200",
    "APITRAFFIC_TRUSTED_PROXIES": "10.0.0.0/8",
    "APITRAFFIC_ALLOWED_SENDERS": "192.0.2.0/24",
    **dict.fromkeys(SECRETS, SECRET),
}

OTHER = {
    "APITRAFFIC_LOG_FORMAT": "text",
    "APITRAFFIC_TRUSTED_PROXIES": "10.9.0.0/16,2001:db8::/32",
    "APITRAFFIC_ALLOWED_SENDERS": "198.51.100.7/32",
}
"""Where a good value with one more digit is no good value."""


@pytest.fixture(autouse=True)
def _a_clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [*ALL, *(f"{name}_FILE" for name in ALL), "APITRAFFIC_CONFIG"]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module", autouse=True)
def _presets_compiled_once() -> Iterator[None]:
    """Comparing two settings compares all their senders, and compiles the presets for each of the two."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(senders, "read_preset", cache(senders.read_preset))
        yield


Configure = Callable[..., None]


@pytest.fixture
def configure(monkeypatch: pytest.MonkeyPatch) -> Configure:
    """Set variables, and `toml` as apitraffic.toml."""

    def set_all(toml: str | None = None, **variables: str) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        if toml is not None:
            Path("apitraffic.toml").write_text(toml, encoding="utf-8")

    return set_all


def value_of(settings: Settings, variable: str) -> str | None:
    if variable in SECRETS:
        found = settings.webhook_secrets.get(variable)
        return found[0].get_secret_value() if found else None
    field = next(known.field for known in VARIABLES if known.name == variable)
    value: SecretStr | str | tuple[object, ...] | None = getattr(settings, field)
    if isinstance(value, tuple):
        return ",".join(map(str, value)) or None
    return value.get_secret_value() if isinstance(value, SecretStr) else value and str(value)


def problem() -> str:
    """What a user is told. Not even the traceback may show a secret."""
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    shown = f"{caught.value} {caught.value!r} {''.join(traceback.format_exception(caught.value))}"
    assert "hunter2" not in shown
    return str(caught.value)


class TestDefaults:
    def test_with_nothing_set_all_is_off_and_deploys_are_points(self) -> None:
        settings = load_settings()
        assert settings.api_url == DEFAULT_API_URL == "https://api.apitraffic.io/v1"
        assert (settings.api_token, settings.account_sid, settings.redis_url) == (None, None, None)
        assert settings.webhook_secrets == {}
        assert settings.delivery.deployments == "point"
        assert settings.route == ()

    @pytest.mark.parametrize("name", sorted(SOURCES))
    def test_a_source_without_a_secret_is_off(self, name: str) -> None:
        assert load_settings().secrets_for(SOURCES[name]) == {}

    def test_what_is_not_ours_in_the_environment_is_not_read(self, configure: Configure) -> None:
        configure(API_TOKEN="x", DELIVERY="x", ROUTE="x", SOURCES="x", WEBHOOK_SECRETS="x", ACCOUNT_SID="x")
        assert load_settings() == Settings()
        assert load_settings().api_token is None


@pytest.mark.parametrize("name", ALL)
class TestEveryVariable:
    def test_it_is_read(self, configure: Configure, name: str) -> None:
        configure(**{name: f"  {GOOD[name]}\n"})
        assert value_of(load_settings(), name) == GOOD[name]

    def test_its_file_is_read(self, configure: Configure, tmp_path: Path, name: str) -> None:
        file = tmp_path / "value"
        file.write_text(f"{GOOD[name]}\n")
        configure(**{f"{name}_FILE": str(file)})
        assert value_of(load_settings(), name) == GOOD[name]

    def test_a_byte_order_mark_in_its_file_is_no_part_of_it(
        self, configure: Configure, tmp_path: Path, name: str
    ) -> None:
        file = tmp_path / "value"
        file.write_bytes(b"\xef\xbb\xbf" + GOOD[name].encode() + b"\r\n")
        configure(**{f"{name}_FILE": str(file)})
        assert value_of(load_settings(), name) == GOOD[name]

    def test_empty_is_not_set(self, configure: Configure, name: str) -> None:
        configure(**{name: " \n", f"{name}_FILE": ""})
        assert load_settings() == Settings()
        assert value_of(load_settings(), name) == value_of(Settings(), name)

    def test_its_file_counts_where_it_is_set_and_blank(
        self, configure: Configure, tmp_path: Path, name: str
    ) -> None:
        file = tmp_path / "value"
        file.write_text(GOOD[name])
        configure(**{name: " ", f"{name}_FILE": str(file)})
        assert value_of(load_settings(), name) == GOOD[name]

    def test_both_it_and_its_file_are_one_too_many(self, configure: Configure, name: str) -> None:
        configure(**{name: GOOD[name], f"{name}_FILE": "/run/secrets/it"})
        assert problem() == f"{name} and {name}_FILE are both set; remove one of them"

    def test_a_file_that_is_missing_is_named(self, configure: Configure, name: str) -> None:
        configure(**{f"{name}_FILE": "/nowhere/secret"})
        assert problem() == (
            f"{name}_FILE: /nowhere/secret cannot be read (No such file or directory); "
            "check the path and who may read it"
        )

    def test_a_folder_is_no_file(self, configure: Configure, tmp_path: Path, name: str) -> None:
        configure(**{f"{name}_FILE": str(tmp_path)})
        assert f"{name}_FILE: {tmp_path} cannot be read (Is a directory)" in problem()

    def test_a_file_that_is_not_text_is_named_and_not_shown(
        self, configure: Configure, tmp_path: Path, name: str
    ) -> None:
        file = tmp_path / "binary"
        file.write_bytes(b"hunter2 \xff\xfe")
        configure(**{f"{name}_FILE": str(file)})
        assert f"{name}_FILE: {file} cannot be read (it is not UTF-8 text)" in problem()

    def test_the_environment_comes_before_the_file(self, configure: Configure, name: str) -> None:
        if name in SETTINGS:
            field = next(known.field for known in VARIABLES if known.name == name)
            configure(toml=f'{field} = "{GOOD[name]}"')
            assert value_of(load_settings(), name) == GOOD[name]
            other = OTHER.get(name, GOOD[name] + "9")
            configure(**{name: other})
            assert value_of(load_settings(), name) == other


def test_a_file_that_may_not_be_read_is_named(monkeypatch: pytest.MonkeyPatch, configure: Configure) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    configure(GITHUB_WEBHOOK_SECRET_FILE="/run/secrets/github")
    monkeypatch.setattr(Path, "open", refuse)  # root may read every file
    assert "GITHUB_WEBHOOK_SECRET_FILE: /run/secrets/github cannot be read (Permission denied)" in problem()


class TestWrongValues:
    @pytest.mark.parametrize(
        ("name", "value", "said"),
        [
            (
                "APITRAFFIC_API_TOKEN",
                "hunter2 hunter2",
                "APITRAFFIC_API_TOKEN holds characters that no token has",
            ),
            (
                "APITRAFFIC_API_TOKEN",
                "hunter2\u2019",
                "APITRAFFIC_API_TOKEN holds characters that no token has",
            ),
            (
                "APITRAFFIC_API_TOKEN",
                "hunter2\nX-Evil: 1",
                "APITRAFFIC_API_TOKEN holds characters that no token has",
            ),
            ("APITRAFFIC_ACCOUNT_SID", "hunter2", "APITRAFFIC_ACCOUNT_SID is not an account SID"),
            ("APITRAFFIC_ACCOUNT_SID", "acc_", "APITRAFFIC_ACCOUNT_SID is not an account SID"),
            ("APITRAFFIC_ACCOUNT_SID", "acc_a/../b", "APITRAFFIC_ACCOUNT_SID is not an account SID"),
            ("APITRAFFIC_API_URL", "api.apitraffic.io/v1", "APITRAFFIC_API_URL is not an http or https URL"),
            ("APITRAFFIC_API_URL", "ftp://hunter2/v1", "APITRAFFIC_API_URL is not an http or https URL"),
            ("APITRAFFIC_API_URL", "https://", "APITRAFFIC_API_URL is not an http or https URL"),
            (
                "APITRAFFIC_API_URL",
                "https://me:hunter2@api.test/v1",
                "APITRAFFIC_API_URL holds a user name or password",
            ),
            ("APITRAFFIC_API_URL", "https://[::1", "APITRAFFIC_API_URL"),
            (
                "APITRAFFIC_API_URL",
                "https://api.test:port/v1",
                "APITRAFFIC_API_URL is not an http or https URL with a valid host and port",
            ),
            (
                "APITRAFFIC_API_URL",
                "https://api.test:99999/v1",
                "APITRAFFIC_API_URL is not an http or https URL with a valid host and port",
            ),
            (
                "APITRAFFIC_API_URL",
                "https://api.test/v1?token=hunter2",
                "APITRAFFIC_API_URL is not a base URL",
            ),
            ("REDIS_URL", "localhost:6379", "REDIS_URL does not begin with redis://"),
            ("REDIS_URL", "http://:hunter2@localhost", "REDIS_URL does not begin with redis://"),
            ("REDIS_URL", "redis+cluster://localhost", "REDIS_URL does not begin with redis://"),
            ("REDIS_URL", "redis+sentinel://:hunter2@one:port/x", "REDIS_URL cannot be read"),
            ("REDIS_URL", "redis+sentinel://:hunter2@one,/x", "REDIS_URL cannot be read"),
            ("REDIS_URL", "redis+sentinel://one/x/three", "REDIS_URL cannot be read"),
        ],
    )
    def test_it_is_said_what_is_wrong_and_what_belongs_there(
        self, configure: Configure, name: str, value: str, said: str
    ) -> None:
        configure(**{name: value})
        advice = next(known.advice for known in VARIABLES if known.name == name)
        told = problem()
        assert told.startswith(said)
        assert told.endswith(f"; {advice}")

    def test_everything_that_is_wrong_is_said_at_once(self, configure: Configure) -> None:
        configure(APITRAFFIC_ACCOUNT_SID="x", REDIS_URL="x", toml='[delivery]\ndeployments = "dot"')
        lines = problem().splitlines()
        assert [text.split()[0] for text in lines] == [
            "APITRAFFIC_ACCOUNT_SID",
            "REDIS_URL",
            "apitraffic.toml:2:",
        ]

    @pytest.mark.parametrize("name", ["APITRAFFIC_API_TOKEN", "APITRAFFIC_ACCOUNT_SID", "REDIS_URL"])
    def test_bytes_that_are_no_text_are_refused(self, configure: Configure, name: str) -> None:
        configure(**{name: "hunter2-hunter2\udcff"})
        assert problem().startswith(name)

    def test_a_url_may_end_in_a_slash_and_have_a_port(self, configure: Configure) -> None:
        configure(APITRAFFIC_API_URL="http://127.0.0.1:8080/v1/")
        assert load_settings().api_url == "http://127.0.0.1:8080/v1"


class TestSecrets:
    @pytest.mark.parametrize(
        ("value", "several"),
        [
            ("only-one", ("only-one",)),
            ("new-secret old-secret", ("new-secret", "old-secret", "new-secret old-secret")),
            ("new-secret,old-secret", ("new-secret", "old-secret", "new-secret,old-secret")),
            ("new-secret, old-secret", ("new-secret", "old-secret", "new-secret, old-secret")),
            ("new-secret\nold-secret", ("new-secret", "old-secret", "new-secret\nold-secret")),
            ("It's a Secret to Everybody", ("It's a Secret to Everybody",)),
            ("correct horse battery staple", ("correct horse battery staple",)),
        ],
    )
    def test_a_value_is_several_secrets_or_one_phrase(
        self, configure: Configure, value: str, several: tuple[str, ...]
    ) -> None:
        assert split_secrets(value) == several
        configure(GITHUB_WEBHOOK_SECRET=value)
        expected = tuple(secret.encode() for secret in several)
        assert load_settings().secrets_for(GITHUB) == {"GITHUB_WEBHOOK_SECRET": expected}

    @pytest.mark.parametrize(
        ("name", "value", "reason"),
        [
            ("GITHUB_WEBHOOK_SECRET", "x", "has 1 character; that can be guessed: it needs at least 8;"),
            (
                "GITHUB_WEBHOOK_SECRET",
                "1234567",
                "has 7 characters; that can be guessed: it needs at least 8",
            ),
            ("PAGERDUTY_WEBHOOK_SECRET", "1234567", "has 7 characters"),
            ("GITLAB_SIGNING_TOKEN", "1234567", "has 7 characters"),
            (
                "GITLAB_WEBHOOK_TOKEN",
                "fifteen-letters",
                "has 15 characters; that can be guessed: it needs at least 16",
            ),
            ("JENKINS_WEBHOOK_TOKEN", "fifteen-letters", "it needs at least 16"),
            ("EVENTS_WEBHOOK_SECRET", "fifteen-letters", "it needs at least 16"),
            ("JENKINS_WEBHOOK_TOKEN", ",", "holds nothing but separators;"),
            ("JENKINS_WEBHOOK_TOKEN", ", ,\n" * 9, "holds nothing but separators;"),
            (
                "JENKINS_WEBHOOK_TOKEN",
                f"old-token,{SECRET}",
                "holds 2 secrets, one of which has 9 characters",
            ),
            ("EVENTS_WEBHOOK_SECRET", "whsec_", "has 6 characters"),
            ("EVENTS_WEBHOOK_SECRET", f"whsec_,{SECRET}", "one of which has 6 characters"),
            (
                "EVENTS_WEBHOOK_SECRET",
                "whsec_no-base64-at-all!",
                "what follows is not base64; copy all of it",
            ),
            ("GITLAB_SIGNING_TOKEN", f"{SECRET} whsec_AAAAA", "what follows is not base64"),
            ("GITLAB_SIGNING_TOKEN", f"{SECRET} whsec_AAA", "fewer than 16 bytes"),
            ("EVENTS_WEBHOOK_SECRET", "whpk_" + "A" * 43 + "=", "is a key for asymmetric signatures (v1a)"),
            ("GITLAB_SIGNING_TOKEN", "whsec_AAAAAAAAAAAAAAAAAAAA", "fewer than 16 bytes; make one with echo"),
        ],
    )
    def test_one_that_can_be_guessed_or_not_be_used_is_refused_with_the_reason_and_never_shown(
        self, configure: Configure, name: str, value: str, reason: str
    ) -> None:
        """Each of these turned its source on."""
        configure(**{name: value})
        with pytest.raises(ConfigurationError) as refused:
            load_settings()
        said = str(refused.value)
        assert said.startswith(f"{name} ")
        assert reason in said
        assert "\n" not in said
        for part in re.split(r"[\s,]+", value):
            assert len(part) < 3 or part == "whsec_" or part not in said
            assert not part or part.removeprefix("whsec_") not in said.split()

    def test_all_that_are_refused_are_named_at_once(self, configure: Configure) -> None:
        configure(GITHUB_WEBHOOK_SECRET="x", JENKINS_WEBHOOK_TOKEN="x", APITRAFFIC_ACCOUNT_SID="nonsense")
        with pytest.raises(ConfigurationError) as refused:
            load_settings()
        named = {line.partition(" ")[0] for line in str(refused.value).splitlines()}
        assert named == {"GITHUB_WEBHOOK_SECRET", "JENKINS_WEBHOOK_TOKEN", "APITRAFFIC_ACCOUNT_SID"}

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("GITHUB_WEBHOOK_SECRET", "12345678"),
            ("GITHUB_WEBHOOK_SECRET", "whsec_no-base64"),
            ("GITLAB_WEBHOOK_TOKEN", "sixteen-letters!"),
            ("EVENTS_WEBHOOK_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
            ("EVENTS_WEBHOOK_SECRET", f"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw {SECRET}"),
            ("EVENTS_WEBHOOK_SECRET", "whsec_" + "A" * 43),
            ("EVENTS_WEBHOOK_SECRET", "whsec_" + "A-_" * 14 + "AA=="),
            ("GITLAB_SIGNING_TOKEN", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw,whsec_" + "A" * 43 + "="),
        ],
    )
    def test_what_senders_use_is_taken(self, configure: Configure, name: str, value: str) -> None:
        configure(**{name: value})
        assert load_settings().webhook_secrets[name]

    def test_an_empty_secret_never_comes_of_it(self) -> None:
        assert split_secrets("first-secret,,  ,second-secret") == (
            "first-secret",
            "second-secret",
            "first-secret,,  ,second-secret",
        )

    def test_a_secret_beyond_ascii_is_its_utf8_bytes(self, configure: Configure) -> None:
        configure(GITHUB_WEBHOOK_SECRET="schlüssel-schlüssel")
        assert load_settings().secrets_for(GITHUB) == {
            "GITHUB_WEBHOOK_SECRET": ("schlüssel-schlüssel".encode(),)
        }

    def test_a_secret_that_is_no_text_is_the_bytes_it_is(self, configure: Configure) -> None:
        configure(GITHUB_WEBHOOK_SECRET=os.fsdecode(b"latin-1-schl\xfcssel"))
        secrets = load_settings().secrets_for(GITHUB)["GITHUB_WEBHOOK_SECRET"]
        assert b"latin-1-schl\xfcssel" in secrets

    def test_no_secret_is_shown_by_the_settings(self, configure: Configure) -> None:
        configure(
            APITRAFFIC_API_TOKEN="hunter2",
            REDIS_URL="redis://:hunter2@localhost",
            **dict.fromkeys(SECRETS, "hunter2hunter2hunter2"),
        )
        settings = load_settings()
        assert "hunter2" not in f"{settings!r} {settings}"
        assert "hunter2" not in settings.model_dump_json(exclude={"redis_url"})
        assert not any("hunter2" in warning for warning in settings.warnings())

    def test_no_error_shows_a_secret_that_is_right_while_another_value_is_wrong(
        self, configure: Configure
    ) -> None:
        configure(
            **dict.fromkeys(SECRETS, "hunter2hunter2hunter2"),
            APITRAFFIC_ACCOUNT_SID="x",
            toml="[github]\nx = 1",
        )
        problem()


class TestFile:
    def test_it_is_read_where_it_lies(self, configure: Configure) -> None:
        configure(
            toml="""
            [delivery]
            deployments = "span"
            [github]
            events = ["deployment_status", "release*"]
            [[route]]
            match = { source = "github", environment = "prod*" }
            buckets = ["Checkout API"]
            [[route]]
            match = { environment = "review/*" }
            skip = true
            """
        )
        settings = load_settings()
        assert settings.delivery.deployments == "span"
        assert settings.options_for(GITHUB).events == ("deployment_status", "release*")
        first, second = settings.route
        assert (first.match.environment, first.buckets, first.skip) == (("prod*",), ("Checkout API",), None)
        assert (second.match.environment, second.buckets, second.skip) == (("review/*",), None, True)

    def test_another_one_can_be_named(self, configure: Configure, tmp_path: Path) -> None:
        other = tmp_path / "other.toml"
        other.write_text('[delivery]\ndeployments = "span"')
        configure(APITRAFFIC_CONFIG=str(other), toml='[delivery]\ndeployments = "point"')
        assert load_settings().delivery.deployments == "span"

    def test_one_that_is_named_must_be_there(self, configure: Configure) -> None:
        configure(APITRAFFIC_CONFIG="missing.toml")
        assert problem() == "APITRAFFIC_CONFIG: there is no file missing.toml; correct the path or unset it"

    def test_a_byte_order_mark_does_no_harm(self, configure: Configure) -> None:
        configure(toml='\ufeff[delivery]\ndeployments = "span"')
        assert load_settings().delivery.deployments == "span"

    @pytest.mark.parametrize("toml", ["deployments = ", "[delivery", "a = 1\na = 2", "[[route]\n"])
    def test_bad_toml_is_said_with_its_place(self, configure: Configure, toml: str) -> None:
        configure(toml=toml)
        told = problem()
        assert told.startswith("apitraffic.toml is not valid TOML: ")
        assert re.search(r"\(at (line \d+, column \d+|end of document)\)$", told)

    @pytest.mark.parametrize(
        ("toml", "hint"),
        [
            ("[route]\nskip = true\n[route]\n", "write [[route]] for each of several routes; "),
            ("[delivery]\ndeployments = span", 'write texts in quotes: deployments = "span"; '),
            ("[[route]\n", "end a table's name with ], or with ]] if it began with [["),
            ("[github]\nevents = ['push'\nx = 1", 'end a list with ]: events = ["release"]; '),
        ],
    )
    def test_bad_toml_is_said_with_what_was_probably_meant(
        self, configure: Configure, toml: str, hint: str
    ) -> None:
        configure(toml=toml)
        assert problem().startswith(f"apitraffic.toml is not valid TOML: {hint}")

    def test_the_line_of_a_mistake_is_that_of_its_own_table(self, configure: Configure) -> None:
        configure(
            toml="""\
[github]
events = ["release"]

[[route]]
match = { source = "github" }
skip = true

[[route]]
# the second one
match = { enviroment = "x" }

[gitlab]
event = ["x"]
[jenkins.jobs]
a = 1
"""
        )
        assert problem().splitlines() == [
            "apitraffic.toml:13: gitlab.event is not a setting (did you mean events?); correct or remove it",
            'apitraffic.toml:14: jenkins.jobs is a list of texts: ["…", "…"]',
            (
                "apitraffic.toml:10: route.1.match.enviroment is not a setting (did you mean environment?); "
                "correct or remove it"
            ),
        ]

    def test_what_is_right_is_there_beside_what_is_wrong(self, configure: Configure) -> None:
        configure(
            REDIS_URL="nonsense",
            APITRAFFIC_ACCOUNT_SID="acc_1",
            GITHUB_WEBHOOK_SECRET=SECRET,
            JENKINS_WEBHOOK_TOKEN="x",
            toml="""
            [github]
            events = ["release"]
            workflows = "deploy"
            [[route]]
            skp = true
            [[route]]
            buckets = ["Checkout"]
            """,
        )
        settings, problems = load_what_is_right()
        assert len(problems) == 4
        assert settings.account_sid == "acc_1"
        assert settings.redis_url is None
        assert set(settings.webhook_secrets) == {"GITHUB_WEBHOOK_SECRET"}
        assert settings.options_for(GITHUB).events == ("release",)
        assert [route.buckets for route in settings.route] == [("Checkout",)]

    def test_bytes_that_are_no_text_are_said(self) -> None:
        Path("apitraffic.toml").write_bytes(b"# \xff")
        assert "apitraffic.toml cannot be read (it is not UTF-8 text)" in problem()

    @pytest.mark.parametrize(
        ("toml", "said"),
        [
            ("[delivry]", "delivry is not a setting (did you mean delivery?); correct or remove it"),
            ("[githb]", "githb is not a setting (did you mean github?); correct or remove it"),
            (
                "[delivery]\ndeployment = 'span'",
                "delivery.deployment is not a setting (did you mean deployments?)",
            ),
            ("[github]\nevent = ['x']", "github.event is not a setting (did you mean events?)"),
            ("[[route]]\nbucket = ['x']", "route.0.bucket is not a setting (did you mean buckets?)"),
            ("[[route]]\n[[route]]\nskp = true", "route.1.skp is not a setting (did you mean skip?)"),
            (
                "[[route]]\nmatch = { enviroment = 'x' }",
                "route.0.match.enviroment is not a setting (did you mean environment?)",
            ),
            ("zzz = 1", "zzz is not a setting; correct or remove it"),
            ("[delivery]\ndeployments = 'dot'", "delivery.deployments should be 'point' or 'span'"),
            ("[github]\ndeployments = 'dot'", "github.deployments should be 'point' or 'span'"),
            ("[github]\nevents = 'push'", 'github.events is a list: ["push"]'),
            ("[github]\nevents = 3", 'github.events is a list of texts: ["…", "…"]'),
            ("[github]\nevents = [3]", 'github.events.0 is a text: "3"'),
            ("[delivery]\nsettle = 'soon'", "delivery.settle is a whole number, without quotes"),
            ("[delivery]\nsettle = 0", "delivery.settle is at least 1"),
            ("[delivery]\nsettle = 900", "delivery.settle is at most 600"),
            ("[verdict]\nafter = 300", "verdict.after is at most 240"),
            ("[verdict]\nafter = 0", "verdict.after is at least 1"),
            ("[verdict]\nafter = 1.5", "verdict.after is a whole number"),
            ("[verdict]\nerrors_up = 0", "verdict.errors_up is above 0"),
            ("[verdict]\nslower = 'much'", "verdict.slower is a number, without quotes"),
            ("[verdict]\nenable = false", "verdict.enable is not a setting (did you mean enabled?)"),
            ("[verdict]\nprometheus = 'x'", "verdict.prometheus is a table"),
            (
                f"{PROMETHEUS}url = 'http://p:9090'\nrequests = 'sum(x)'",
                "verdict.prometheus.requests does not contain $window, the time to look at",
            ),
            (
                f"{PROMETHEUS}requests = 'x[$window]'\nurl = 'http://me:pw@p:9090'",
                "verdict.prometheus.url holds a user name or password; a bearer token belongs in",
            ),
            ("[verdict.prometheus]", "verdict.prometheus.requests is missing"),
            ("[[route]]\nverdict = true", "route.0.verdict is false, or says how long after a deploy"),
            ("[[route]]\nverdict = { before = 3 }", "route.0.verdict is false, or says how long after"),
            (
                "[[route]]\nverdict = { after = 300 }",
                "route.0.verdict has an after that is not a number of minutes from 1 to 240",
            ),
            ("[[route]]\nskip = 'always'", "route.0.skip is true or false, without quotes"),
            ("[jenkins]\npull_requests = 'some'", "jenkins.pull_requests is true or false, without quotes"),
            ("github = 3", "github is a table: write [github], and its settings on the lines below"),
            ("delivery = 3", "delivery is a table: write [delivery]"),
            ("route = 3", "route is written with two brackets, once for each route: [[route]]"),
            ("[route]", "route is written with two brackets, once for each route: [[route]]"),
            ("[[route]]\nbuckets = []", "route.0.buckets is empty; name at least one, or remove it"),
            ("[[route]]\nmatch = 'github'", 'route.0.match is a table: write match = { name = "…" }'),
        ],
    )
    def test_what_is_wrong_in_it_is_said_with_its_place(
        self, configure: Configure, toml: str, said: str
    ) -> None:
        configure(toml=toml)
        line = len(toml.splitlines())
        assert problem().startswith(f"apitraffic.toml:{line}: {said}")


class TestOptions:
    @pytest.mark.parametrize(
        ("toml", "drawn"),
        [
            ("", "point"),
            ("[delivery]\ndeployments = 'span'", "span"),
            ("[github]\ndeployments = 'span'", "span"),
            ("[delivery]\ndeployments = 'span'\n[github]\ndeployments = 'point'", "point"),
            ("[delivery]\ndeployments = 'span'\n[github]\nevents = ['release']", "span"),
        ],
    )
    def test_a_source_draws_deploys_as_it_says_itself_else_as_all_do(
        self, configure: Configure, toml: str, drawn: str
    ) -> None:
        configure(toml=toml)
        assert load_settings().options_for(GITHUB).deployments == drawn

    @pytest.mark.parametrize("name", sorted(SOURCES))
    def test_every_source_gets_options_of_its_own_kind(self, name: str) -> None:
        options = load_settings().options_for(SOURCES[name])
        assert type(options) is SOURCES[name].options
        assert options.events is None


class TestWarnings:
    def test_what_is_as_it_should_be_is_not_warned_about(self, configure: Configure) -> None:
        configure(APITRAFFIC_ACCOUNT_SID="acc_" + "a" * 27, GITHUB_WEBHOOK_SECRET="x" * 16)
        assert list(load_settings().warnings()) == []

    def test_an_account_sid_of_an_unusual_length_is_accepted_and_said(self, configure: Configure) -> None:
        configure(APITRAFFIC_ACCOUNT_SID="acc_abc")
        (warning,) = load_settings().warnings()
        assert warning.startswith("APITRAFFIC_ACCOUNT_SID is not 31 characters long")

    @pytest.mark.parametrize(
        "value",
        [
            *(
                "changeme",
                "change-me-please",
                "CHANGE_ME_0123456789",
                "<your secret here>",
                "your-secret-goes-here",
            ),
            *("webhook_123", "password", "replace-this", f"{SECRET} changeme"),
        ],
    )
    def test_a_placeholder_is_said_however_long_it_is(self, configure: Configure, value: str) -> None:
        configure(GITHUB_WEBHOOK_SECRET=value)
        (warning,) = load_settings().warnings()
        assert warning.startswith("GITHUB_WEBHOOK_SECRET is a placeholder that anybody can guess; ")

    @pytest.mark.parametrize(
        "value", [SECRET, "exchange-medal-0123", "a-token-of-ours-0123", "testify-0123456789"]
    )
    def test_a_secret_of_words_is_no_placeholder(self, configure: Configure, value: str) -> None:
        configure(GITHUB_WEBHOOK_SECRET=value)
        assert list(load_settings().warnings()) == []

    @pytest.mark.parametrize("value", ["x" * 15, f"short-one {SECRET}"])
    def test_a_secret_that_can_be_guessed_is_said_even_beside_a_good_one(
        self, configure: Configure, value: str
    ) -> None:
        configure(GITHUB_WEBHOOK_SECRET=value)
        (warning,) = load_settings().warnings()
        assert warning.startswith("GITHUB_WEBHOOK_SECRET is short enough to be guessed")
