"""`apitraffic-events config`: what is in force, and never a secret."""

from tests.support.command import Command

SECRET = "a-secret-nobody-may-see"


def test_it_shows_what_is_in_force_and_where_it_is_from(run: Command) -> None:
    path = run.write("token", f"{SECRET}\n")
    run.write("apitraffic.toml", '[delivery]\ndeployments = "span"\n[github]\nevents = ["deploy*"]\n')
    result = run(
        "config",
        APITRAFFIC_API_TOKEN_FILE=path,
        APITRAFFIC_ACCOUNT_SID="acc_123456789012345678901234567",
        REDIS_URL=f"redis://user:{SECRET}@redis.example.test:6379/0",
        GITHUB_WEBHOOK_SECRET=f"{SECRET}-1 {SECRET}-2",
    )
    assert result.exit_code == 0
    assert SECRET not in result.output
    lines = result.stdout.splitlines()
    assert f"APITRAFFIC_API_TOKEN=******** (23 characters)  # from {path}" in lines
    assert "APITRAFFIC_ACCOUNT_SID=acc_123456789012345678901234567" in lines
    assert "APITRAFFIC_API_URL=https://api.apitraffic.io/v1  # default" in lines
    assert "REDIS_URL=redis://********@redis.example.test:6379/0" in lines
    assert 'events = ["deploy*"]' in lines
    assert lines.count('deployments = "span"') >= 2


def test_a_password_is_masked_however_it_is_written(run: Command) -> None:
    for url in (
        f"redis://:pa/{SECRET}@h:6379/0",
        f"redis://:a@{SECRET}@h/0",
        f"redis://h/0?password={SECRET}",
    ):
        assert SECRET not in run("config", REDIS_URL=url).output


def test_a_redis_url_that_redis_cannot_use_is_said_without_quoting_it(run: Command) -> None:
    for url in (f"redis://:pa/{SECRET}@h:6379/0", "redis://h:abc/0", "redis://h/0?no_such_option=1"):
        result = run("config", REDIS_URL=url)
        assert result.exit_code == 1
        assert result.stderr.startswith("Error: REDIS_URL cannot be read: is the port a number")
        assert SECRET not in result.output


def test_what_is_wrong_is_named_with_what_belongs_there(run: Command) -> None:
    run.write("apitraffic.toml", "[delivery]\ndeployment = 1\n")
    result = run(
        "config", REDIS_URL="localhost", APITRAFFIC_ACCOUNT_SID="12", APITRAFFIC_API_TOKEN=f"{SECRET} x"
    )
    assert result.exit_code == 1
    assert SECRET not in result.output
    assert "REDIS_URL does not begin with redis://, rediss://, unix://, " in result.stderr
    assert "; for example redis://localhost:6379/0" in result.stderr
    assert "APITRAFFIC_ACCOUNT_SID is not an account SID" in result.stderr
    assert "APITRAFFIC_API_TOKEN holds characters that no token has" in result.stderr
    assert "delivery.deployment is not a setting (did you mean deployments?)" in result.stderr
    assert "Traceback" not in result.output


def test_the_events_in_force_are_shown_also_if_they_are_the_default(run: Command) -> None:
    run.write("apitraffic.toml", '[github]\nworkflows = ["Deploy"]\n')
    lines = run("config").stdout.splitlines()
    github = lines[lines.index("[github]") + 1 : lines.index("[gitlab]")]
    assert any("workflow_run" in line and line.startswith("events = ") for line in github)
    assert 'workflows = ["Deploy"]' in github
    gitlab = lines[lines.index("[gitlab]") + 1 :]
    assert gitlab[0] == 'events = ["deployment", "release", "feature_flag", "issue"]  # default'


def test_what_is_right_is_shown_beside_a_mistake(run: Command) -> None:
    run.write("apitraffic.toml", '[github]\nevents = ["release"]\n[delivery]\nsettle = "soon"\n')
    result = run("config", REDIS_URL="nonsense", APITRAFFIC_ACCOUNT_SID="acc_1")
    assert result.exit_code == 1
    assert 'events = ["release"]' in result.stdout
    assert "APITRAFFIC_ACCOUNT_SID=acc_1" in result.stdout
    assert "apitraffic.toml:4: delivery.settle is a whole number, without quotes" in result.stderr
    assert "REDIS_URL does not begin with redis://" in result.stderr


def test_a_file_that_is_no_toml_leaves_the_environment_to_be_shown(run: Command) -> None:
    run.write("apitraffic.toml", "[delivery\n")
    result = run("config", APITRAFFIC_ACCOUNT_SID="acc_1")
    assert result.exit_code == 1
    assert "APITRAFFIC_ACCOUNT_SID=acc_1" in result.stdout
    assert "is not valid TOML" in result.stderr


class TestCheck:
    def test_a_right_configuration(self, run: Command) -> None:
        run.write("apitraffic.toml", '[delivery]\ndeployments = "span"\n')
        result = run("config", "check")
        assert result.exit_code == 0
        assert result.stdout == "The configuration is right: the environment and apitraffic.toml.\n"

    def test_mistakes_and_warnings_are_told_apart(self, run: Command) -> None:
        path = run.write("other.toml", "[delivery]\nsettel = 1\n[[route]]\nmatch = { source = 'gihub' }\n")
        result = run("config", "check", path, GITHUB_WEBHOK_SECRET=SECRET)
        assert result.exit_code == 1
        kinds = [line.split(":")[0] for line in result.stdout.splitlines()]
        assert kinds == ["mistake", "warning", "warning", "warning"]
        assert f"{path}:2: delivery.settel is not a setting (did you mean settle?)" in result.stdout
        assert SECRET not in result.output

    def test_a_warning_alone_is_no_failure(self, run: Command) -> None:
        result = run("config", "check", GITHUB_WEBHOK_SECRET=SECRET)
        assert result.exit_code == 0
        assert "did you mean GITHUB_WEBHOOK_SECRET?" in result.stdout

    def test_a_file_that_is_not_there(self, run: Command) -> None:
        result = run("config", "check", "nowhere.toml")
        assert result.exit_code == 1
        assert "there is no file nowhere.toml" in result.stderr


class TestInit:
    def test_it_writes_a_file_that_changes_nothing_and_never_replaces_one(self, run: Command) -> None:
        assert run("config", "init").exit_code == 0
        assert run("config", "check").exit_code == 0
        again = run("config", "init")
        assert again.exit_code == 1
        assert "apitraffic.toml exists; give another name, or --force to replace it" in again.stderr
        assert run("config", "init", "--force").exit_code == 0

    def test_with_a_schema_for_editors(self, run: Command) -> None:
        assert run("config", "init", "--schema").exit_code == 0
        first = (run.folder / "apitraffic.toml").read_text().splitlines()[0]
        assert first == "#:schema ./apitraffic.schema.json"
        schema = (run.folder / "apitraffic.schema.json").read_text()
        assert schema == run("config", "schema").stdout
