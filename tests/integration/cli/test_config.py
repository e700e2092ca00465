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
