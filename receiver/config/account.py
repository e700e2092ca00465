"""The account in ApiTraffic: where the Events API is, and what lets a program in."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)

from apitraffic_events.client import EventsClient, Pacer
from apitraffic_events.environment import DEFAULT_API_URL, read_file, read_variable
from apitraffic_events.errors import ConfigurationError
from receiver.config.environment import VARIABLES, explained, in_environment, in_file
from receiver.observability.trace_context import adapter_of_calls
from receiver.routing import DEFAULT_ACCOUNT


def check_token(token: SecretStr) -> SecretStr:
    value = token.get_secret_value()
    if not value.isascii() or not value.isprintable() or " " in value:
        raise ValueError("holds characters that no token has (a space, a line break, a typographic quote?)")
    return token


def _check_account_sid(sid: str) -> str:
    if not re.fullmatch(r"acc_[A-Za-z0-9]+", sid):
        raise ValueError("is not an account SID (acc_ and then letters and digits)")
    return sid


def _check_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("is not an http or https URL")
    if parts.port == 0 or parts.query or parts.fragment:  # .port raises for what is no port
        raise ValueError("is not a base URL; it ends in the version, without ? or #")
    if parts.username or parts.password:
        raise ValueError("holds a user name or password; the token belongs in APITRAFFIC_API_TOKEN")
    return url.rstrip("/")


Token = Annotated[SecretStr, AfterValidator(check_token)]


class AccountSettings(BaseModel):
    """What a program needs that only calls the Events API; `Settings` has it too."""

    model_config = ConfigDict(frozen=True)

    api_token: Token | None = None
    account_sid: Annotated[str, AfterValidator(_check_account_sid)] | None = None
    api_url: Annotated[str, AfterValidator(_check_url)] = DEFAULT_API_URL


ACCOUNT_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")


def check_account_name(name: str) -> str:
    """For keys in Redis, labels of metrics and names of queues."""
    if not ACCOUNT_NAME.fullmatch(name):
        raise ValueError("is no name for an account: use up to 40 lower-case letters, digits, - and _")
    if name == DEFAULT_ACCOUNT:
        raise ValueError(
            "is the name of the account of APITRAFFIC_ACCOUNT_SID, which is not defined here; choose another"
        )
    return name


class AccountSection(BaseModel):
    """`[account.NAME]`: a further account in ApiTraffic, which a route may name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sid: Annotated[str, AfterValidator(_check_account_sid)]
    """The account's SID; it begins with acc_."""
    token_file: Annotated[str, Field(min_length=1)] | None = None
    """The path of a file that holds the account's API token."""
    token_variable: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = None
    """The environment variable that holds the account's API token, in place of `token_file`."""
    api_url: Annotated[str, AfterValidator(_check_url)] | None = None
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


def load_account(environ: Mapping[str, str] = os.environ) -> AccountSettings:
    """These settings alone, without looking at the others; raises `ConfigurationError`."""
    fields = AccountSettings.model_fields
    own = {variable.field: variable for variable in VARIABLES if variable.field in fields}
    content = in_file(environ)
    values = {field: content[field] for field in own if field in content}
    given = in_environment(own.values(), environ)
    values |= {field: given[variable.name] for field, variable in own.items() if variable.name in given}
    try:
        return AccountSettings.model_validate(values)
    except ValidationError as error:
        raise ConfigurationError(
            "\n".join(explained(own[str(mistake["loc"][0])], mistake["msg"]) for mistake in error.errors())
        ) from None


def events_client(settings: AccountSettings, pacer: Pacer | None = None) -> EventsClient:
    """A client for the configured account; raises `ConfigurationError` that says what is missing."""
    if settings.api_token is None or settings.account_sid is None:
        name = "APITRAFFIC_API_TOKEN" if settings.api_token is None else "APITRAFFIC_ACCOUNT_SID"
        raise ConfigurationError(
            f"{name} is not set; copy it from ApiTraffic's settings, "
            "or run `apitraffic-events up`, which brings a local Events API"
        )
    return EventsClient(
        api_url=settings.api_url,
        account_sid=settings.account_sid,
        token=settings.api_token.get_secret_value(),
        pacer=pacer,
        adapter=adapter_of_calls(),
    )
