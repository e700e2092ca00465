"""`apitraffic-events console` as it is started."""

from pathlib import Path

import pytest

from tests.support.programs import run_to_the_end

ACCOUNT = {"APITRAFFIC_API_TOKEN": "tok_1", "APITRAFFIC_ACCOUNT_SID": "acc_1"}


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])  # noqa: S104 - what is refused
def test_it_does_not_start_where_others_reach_it_without_a_login(tmp_path: Path, host: str) -> None:
    ended = run_to_the_end(tmp_path, ACCOUNT, "console", "--host", host, "--port", "0")
    assert ended.returncode == 1
    assert "APITRAFFIC_CONSOLE_TOKEN" in ended.output
    assert "Traceback" not in ended.output


def test_it_says_which_account_is_missing(tmp_path: Path) -> None:
    ended = run_to_the_end(tmp_path, {}, "console", "--port", "0")
    assert ended.returncode == 1
    assert "APITRAFFIC_API_TOKEN is not set" in ended.output


def test_a_token_that_can_be_guessed_is_refused(tmp_path: Path) -> None:
    ended = run_to_the_end(
        tmp_path, {**ACCOUNT, "APITRAFFIC_CONSOLE_TOKEN": "letmein"}, "console", "--port", "0"
    )
    assert ended.returncode == 1
    assert "has fewer than 16 characters" in ended.output
    assert "letmein" not in ended.output
