"""What is valid and probably a mistake, and what is not."""

import json
from pathlib import Path

import pytest

from receiver.config.loading import load_settings
from receiver.config.suspicions import FACTS, SENDERS_OF_FACTS, suspicions

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def found(toml: str = "", **environ: str) -> list[str]:
    Path("apitraffic.toml").write_text(toml, encoding="utf-8")
    return [str(each) for each in suspicions(load_settings({}), environ)]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("GITHUB_WEBHOK_SECRET", "GITHUB_WEBHOOK_SECRET"),
        ("GITLAB_WEBHOOK_SECRET", "GITLAB_WEBHOOK_TOKEN"),
        ("GITHUB_WEBHOOK_SECRETS", "GITHUB_WEBHOOK_SECRET"),
        ("PAGERDUTY_WEBHOOK_SECERT_FILE", "PAGERDUTY_WEBHOOK_SECRET_FILE"),
        ("APITRAFFIC_ACCOUNT_ID", "APITRAFFIC_ACCOUNT_SID"),
        ("APITRAFFIC_TOKEN", "APITRAFFIC_API_TOKEN"),
        ("APITRAFFIC_APITOKEN", "APITRAFFIC_API_TOKEN"),
        ("REDIS_URI", "REDIS_URL"),
        ("APITRAFFIC_ACCOUNT", "APITRAFFIC_ACCOUNT_SID"),
        ("APITRAFFIC_TOKEN_FILE", "APITRAFFIC_API_TOKEN_FILE"),
        ("PAGERDUTY_SECRET", "PAGERDUTY_WEBHOOK_SECRET"),
        ("PAGERDUTY_WEBHOOK_TOKEN", "PAGERDUTY_WEBHOOK_SECRET"),
        ("PAGERDUTY_SIGNING_SECRET", "PAGERDUTY_WEBHOOK_SECRET"),
        ("GITHUB_SECRET", "GITHUB_WEBHOOK_SECRET"),
        ("GITHUB_SECRET_FILE", "GITHUB_WEBHOOK_SECRET_FILE"),
        ("GITLAB_SECRET", "GITLAB_WEBHOOK_TOKEN"),
        ("GITLAB_SIGNING_SECRET", "GITLAB_SIGNING_TOKEN"),
        ("JENKINS_WEBHOOK_SECRET", "JENKINS_WEBHOOK_TOKEN"),
    ],
)
def test_a_misspelt_variable_is_named_without_its_value(name: str, meant: str) -> None:
    (line,) = found(**{name: "hunter2"})
    assert line.startswith(f"{name} is not read; did you mean {meant}?")
    assert "hunter2" not in line


@pytest.mark.parametrize(
    "name",
    [
        *(
            "PATH",
            "HOME",
            "GITHUB_TOKEN",
            "GITHUB_REPOSITORY",
            "GITLAB_CI",
            "GITLAB_USER_LOGIN",
            "JENKINS_URL",
        ),
        *(
            "REDIS_HOST",
            "REDIS_PASSWORD",
            "PAGERDUTY_API_KEY",
            "PAGERDUTY_TOKEN",
            "GITLAB_TOKEN",
            "JENKINS_API_TOKEN",
            "GITHUB_APP_PRIVATE_KEY",
            "EVENTS_TABLE",
            "API_TOKEN",
            "SLACK_WEBHOOK_URL",
        ),
    ],
)
def test_variables_of_other_programs_are_not(name: str) -> None:
    assert found(**{name: "x"}) == []


def test_a_variable_is_not_misspelt_if_the_right_one_is_set_too() -> None:
    assert found(GITLAB_WEBHOOK_SECRET="x", GITLAB_WEBHOOK_TOKEN="y") == []


def test_a_misspelt_variable_beside_the_right_one_is_named_all_the_same() -> None:
    (line,) = found(GITHUB_WEBHOK_SECRET="hunter2", GITHUB_WEBHOOK_SECRET="y")
    assert line.startswith(
        "GITHUB_WEBHOK_SECRET is not read, but GITHUB_WEBHOOK_SECRET is, which is set too; "
    )
    assert "hunter2" not in line


def test_the_token_of_a_further_account_is_read() -> None:
    toml = '[account.emea]\nsid = "acc_2"\ntoken_variable = "APITRAFFIC_TOKEN"\n'
    named = "[[route]]\nskip = true\naccount = 'emea'"
    assert not [line for line in found(toml + named, APITRAFFIC_TOKEN="x") if "APITRAFFIC_TOKEN" in line]


def test_an_empty_secret_is_named() -> None:
    (line,) = found(GITHUB_WEBHOOK_SECRET=" ")
    assert line.startswith("GITHUB_WEBHOOK_SECRET is set and empty, which counts as not set; ")
    assert found(GITHUB_WEBHOOK_SECRET="", GITHUB_WEBHOOK_SECRET_FILE="/run/secrets/x") == []
    (line,) = found(SENTRY_WEBHOOK_SECRET="")
    assert line.startswith("SENTRY_WEBHOOK_SECRET is set and empty, ")


def test_variables_of_presets_are_known() -> None:
    assert found(SENTRY_WEBHOOK_SECRET="x", SENTRY_AUTH_TOKEN="y", HEROKU_API_KEY="z") == []
    (line,) = found(SENTRY_WEBHOOK_SECRT="x")
    assert "did you mean SENTRY_WEBHOOK_SECRET?" in line


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ("[[route]]\nmatch = { source = 'gihub' }\nskip = true", "source 'gihub', .*did you mean github?"),
        ("[[route]]\nmatch = { type = 'deploy' }\nskip = true", "type 'deploy', .*did you mean deployment?"),
        ("[[route]]\nmatch = { event = 'isues' }\nskip = true", "event 'isues', .*did you mean issues?"),
        (
            "[[route]]\nmatch = { source = 'github', event = 'completed' }\nskip = true",
            "event 'completed', and there is no such event",
        ),
        ("[[route]]\nmatch = { source = 'github' }", "route 1 in apitraffic.toml sets nothing"),
        ("[[route]]\nskip = true\n[[route]]", "route 2 in apitraffic.toml sets nothing"),
        (
            "[[route]]\nname = 'Ship {repositry}'",
            "{repositry}, which .*; did you mean repository?",
        ),
        (
            "[[route]]\nmatch = { source = 'github' }\nname = '{team}'",
            "{team}, which .*; did you mean teams?",
        ),
        ("[github]\nevents = ['deployments_status']", "no event of GitHub; did you mean deployment_status?"),
        ("[gitlab]\nevents = ['deployment', 'x*']", "'x*', which is no event of GitLab; docs/events.md"),
        ("[[route]]\nmatch = { source = 'sentri' }\nskip = true", "source 'sentri', .*did you mean sentry?"),
        (
            "[[route]]\nmatch = { source = 'sentry', event = 'deployment' }\nskip = true",
            "event 'deployment', and there is no such event",
        ),
    ],
)
def test_what_no_delivery_can_match_is_named(toml: str, words: str) -> None:
    (line,) = found(toml)
    for part in words.split(".*"):
        assert part in line


@pytest.mark.parametrize(
    "toml",
    [
        "[[route]]\nmatch = { source = 'git*', environment = 'prod*' }\nskip = true",
        "[[route]]\nmatch = { source = ['github', 'jenkins'], event = 'deployment_status' }\nskip = true",
        "[[route]]\nname = 'Ship {repository} {short_commit} for {team}'",
        "[[route]]\nmatch = { source = 'events' }\nmetadata = { owner = '{team}' }",
        "[github]\nevents = ['deploy*', 'workflow_run']",
        "[github]\nworkflows = ['Deploy']",
        "[[route]]\nmatch = { source = 'sentry', event = 'metric_alert*' }\nname = '{team}'",
        "[[route]]\nmatch = { source = '*' }\nskip = true",
    ],
)
def test_what_can_be_meant_is_not(toml: str) -> None:
    assert found(toml) == []


def test_every_fact_of_these_senders_is_known() -> None:
    for path in (ROOT / "tests/fixtures").glob("*/*.expected.json"):
        if path.parent.name in SENDERS_OF_FACTS:
            content = json.loads(path.read_text(encoding="utf-8"))
            assert facts_in(content) <= FACTS, path.name


def facts_in(content: object) -> set[str]:
    """The metadata keys anywhere in what a fixture becomes."""
    if isinstance(content, list):
        return {name for item in content for name in facts_in(item)}
    if not isinstance(content, dict):
        return set()
    own = content.get("metadata")
    inner = {name for value in content.values() for name in facts_in(value)}
    return inner | (set(own) if isinstance(own, dict) else set())
