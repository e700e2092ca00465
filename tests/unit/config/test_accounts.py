"""`[account.NAME]` in apitraffic.toml: further accounts, which routes name."""

from pathlib import Path

import pytest

from apitraffic_events.errors import ConfigurationError
from receiver.config.loading import load_settings, load_what_is_right
from receiver.config.settings import Settings
from receiver.config.suspicions import suspicions
from receiver.events import Delivery
from receiver.queue.queues import account_of, queue_name_for
from receiver.sources.github import GITHUB
from receiver.sources.source import Translation
from receiver.translation import translate_and_route
from tests.support.changes import change
from tests.support.github import deployment_status, received

EMEA = '[account.emea]\nsid = "acc_emea"\ntoken_file = "token"\n'
TO_EMEA = '[[route]]\nmatch = { environment = "prod*" }\naccount = "emea"\n'


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def settings_of(toml: str, **environ: str) -> Settings:
    Path("apitraffic.toml").write_text(toml, encoding="utf-8")
    return load_settings(environ)


def problem(toml: str, account: str | None = None, **environ: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        settings_of(toml).of_account(account, environ)
    return str(caught.value)


class TestWhatIsRead:
    def test_its_token_is_in_a_file(self) -> None:
        Path("token").write_text("\ufeffsecret-of-emea\n", encoding="utf-8")
        own = settings_of(EMEA).of_account("emea", {})
        assert own.account_sid == "acc_emea"
        assert own.api_token is not None
        assert own.api_token.get_secret_value() == "secret-of-emea"

    @pytest.mark.parametrize("name", ["EMEA_TOKEN", "EMEA_TOKEN_FILE"])
    def test_or_in_a_variable_or_that_one_s_file(self, name: str) -> None:
        Path("token").write_text("secret-of-emea", encoding="utf-8")
        environ = {name: "token" if name.endswith("_FILE") else "secret-of-emea"}
        toml = EMEA.replace('token_file = "token"', 'token_variable = "EMEA_TOKEN"')
        own = settings_of(toml).of_account("emea", environ)
        assert own.api_token is not None
        assert own.api_token.get_secret_value() == "secret-of-emea"

    def test_it_is_only_read_by_who_needs_it(self) -> None:
        """A receiver starts without the tokens."""
        assert settings_of(EMEA).account["emea"].token_file == "token"

    def test_its_api_is_that_of_the_default_unless_it_has_its_own(self) -> None:
        Path("token").write_text("secret-of-emea", encoding="utf-8")
        default = settings_of(EMEA, APITRAFFIC_API_URL="https://api.test/v1")
        assert default.of_account("emea", {}).api_url == "https://api.test/v1"
        own = settings_of(EMEA + 'api_url = "https://emea.test/v1/"')
        assert own.of_account("emea", {}).api_url == "https://emea.test/v1"


class TestMistakes:
    @pytest.mark.parametrize(
        ("toml", "said"),
        [
            (
                EMEA + TO_EMEA.replace("emea", "emae"),
                "number 1 names the account 'emae', which is not",
            ),
            (EMEA.replace("emea]", "EMEA]"), "apitraffic.toml:1: account.EMEA is no name for an account"),
            (EMEA.replace("emea]", "default]"), "is the name of the account of APITRAFFIC_ACCOUNT_SID"),
            (EMEA.replace('token_file = "token"', ""), "either token_file or token_variable"),
            (EMEA + 'token_variable = "EMEA"', "either token_file or token_variable"),
            (EMEA.replace("acc_", ""), "apitraffic.toml:2: account.emea.sid is not an account SID"),
            (EMEA + 'token = "secret"', "account.emea.token is not a setting"),
            (EMEA + 'api_url = "emea.test"', "account.emea.api_url is not an http or https URL"),
        ],
    )
    def test_they_are_named_at_start(self, toml: str, said: str) -> None:
        assert said in problem(toml)

    def test_what_else_is_right_is_kept(self) -> None:
        Path("apitraffic.toml").write_text(EMEA + '[account.apac]\nsid = "x"\n[delivery]\nsettle = 7\n')
        settings, problems = load_what_is_right({})
        assert list(settings.account) == ["emea"]
        assert settings.delivery.settle == 7
        assert problems

    def test_a_token_that_cannot_be_read_names_the_account_and_the_place(self) -> None:
        said = problem(EMEA, "emea")
        assert said.startswith("[account.emea] in apitraffic.toml: token_file: token cannot be read")
        variable = EMEA.replace('token_file = "token"', 'token_variable = "EMEA_TOKEN"')
        assert "EMEA_TOKEN is not set" in problem(variable, "emea")

    @pytest.mark.parametrize("token", ["", " \n", "secret\N{RIGHT SINGLE QUOTATION MARK}", "secret secret"])
    def test_a_token_that_is_none_is_refused_and_not_shown(self, token: str) -> None:
        Path("token").write_text(token, encoding="utf-8")
        said = problem(EMEA, "emea")
        assert said.startswith("[account.emea]")
        assert "secret" not in said

    def test_an_account_that_no_route_names_is_suspicious(self) -> None:
        (found,) = [each for each in suspicions(settings_of(EMEA), {}) if each.check == "routes"]
        assert "'emea'" in found.found
        assert not list(suspicions(settings_of(EMEA + TO_EMEA), {}))


class TestRouting:
    def test_a_route_sends_a_change_to_its_account(self) -> None:
        assert self.accounts(EMEA + TO_EMEA) == ["emea"]

    def test_without_one_it_goes_to_the_default_account(self) -> None:
        assert self.accounts(EMEA + TO_EMEA.replace("prod*", "staging")) == [None]

    def test_an_earlier_route_may_keep_it_in_the_default_account(self) -> None:
        assert self.accounts(EMEA + '[[route]]\naccount = "default"\n' + TO_EMEA) == [None]

    @staticmethod
    def accounts(toml: str) -> list[str | None]:
        settings = settings_of(toml)
        delivery: Delivery = received(deployment_status(1), "deployment_status")
        meaning = translate_and_route(GITHUB, delivery, settings.options_for(GITHUB), settings.route)
        assert isinstance(meaning, Translation)
        return [each.account for each in meaning.changes]


class TestQueues:
    def test_each_account_has_queues_of_its_own(self) -> None:
        own = change("close").model_copy(update={"account": "emea"})
        assert queue_name_for(own) == "urgent@emea"
        assert account_of("urgent@emea") == "emea"

    def test_the_default_account_has_those_that_earlier_versions_know(self) -> None:
        assert [queue_name_for(change(effect)) for effect in ("close", "point")] == ["urgent", "deliveries"]
        assert account_of("deliveries") is None

    def test_a_change_of_the_default_account_is_written_as_earlier_versions_read_it(self) -> None:
        assert "account" not in change("point").model_dump(mode="json")
        assert change("point").model_copy(update={"account": "emea"}).model_dump()["account"] == "emea"
