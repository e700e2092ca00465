"""Further accounts in ApiTraffic: `[account.NAME]` in apitraffic.toml."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from apitraffic_events.environment import read_file, read_variable
from apitraffic_events.errors import ConfigurationError
from receiver.config.account_settings import AccountSettings, AccountSid, ApiUrl, check_token
from receiver.routing import DEFAULT_ACCOUNT

ACCOUNT_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
NOTIFY: Final = "notify"
"""What stands for an account in the names of the queues of notices to people, and in their Redis keys."""


def check_account_name(name: str) -> str:
    """For keys in Redis, labels of metrics and names of queues."""
    if not ACCOUNT_NAME.fullmatch(name):
        raise ValueError("is no name for an account: use up to 40 lower-case letters, digits, - and _")
    if name == DEFAULT_ACCOUNT:
        raise ValueError(
            "is the name of the account of APITRAFFIC_ACCOUNT_SID, which is not defined here; choose another"
        )
    if name == NOTIFY:
        raise ValueError("is taken: the queue of notices to people has that name; choose another")
    return name


class AccountSection(BaseModel):
    """`[account.NAME]`: a further account in ApiTraffic, which a route may name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sid: AccountSid
    """The account's SID; it begins with acc_."""
    token_file: Annotated[str, Field(min_length=1)] | None = None
    """The path of a file that holds the account's API token."""
    token_variable: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = None
    """The environment variable that holds the account's API token, in place of `token_file`."""
    api_url: ApiUrl | None = None
    """The base URL of its Events API; default: APITRAFFIC_API_URL."""

    @model_validator(mode="after")
    def _check_one_token(self) -> Self:
        if (self.token_file is None) is (self.token_variable is None):
            raise ValueError("needs the place of its API token: either token_file or token_variable")
        return self

    @property
    def token_place(self) -> str:
        """Where its token is, in words."""
        return self.token_file or f"the environment variable {self.token_variable}"

    def raw_token(self, environ: Mapping[str, str]) -> str:
        """As it is in that place; raises `ConfigurationError`."""
        if self.token_file is not None:
            return read_file("token_file", Path(self.token_file))
        token = read_variable(self.token_variable or "", environ)
        if token is None:
            raise ConfigurationError(f"the environment variable {self.token_variable} is not set")
        return token

    def settings(self, name: str, default_url: str, environ: Mapping[str, str]) -> AccountSettings:
        """What a client of this account needs; raises `ConfigurationError` that names the account."""
        try:
            token = check_token(SecretStr(self.raw_token(environ).strip()))
        except ConfigurationError as error:
            problem = str(error)
        except ValueError as error:
            problem = f"the token in {self.token_place} {error}"
        else:
            if token.get_secret_value():
                url = self.api_url or default_url
                return AccountSettings(api_token=token, account_sid=self.sid, api_url=url)
            problem = f"{self.token_place} holds no token"
        raise ConfigurationError(
            f"[account.{name}] in apitraffic.toml: {problem}; copy the token from that account's settings in "
            "ApiTraffic, API tokens"
        )
