"""The settings of the account in ApiTraffic: where the Events API is, and what lets a program in."""

import os
import re
from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, SecretStr, ValidationError

from apitraffic_events.environment import DEFAULT_API_URL
from apitraffic_events.errors import ConfigurationError
from receiver.config.addresses import http_address
from receiver.config.environment import VARIABLES, explained, in_environment, in_file


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
    parts = http_address(url)
    if parts is None:
        raise ValueError("is not an http or https URL with a valid host and port")
    if parts.query or parts.fragment:
        raise ValueError("is not a base URL; it ends in the version, without ? or #")
    if parts.username or parts.password:
        raise ValueError("holds a user name or password; the token belongs in APITRAFFIC_API_TOKEN")
    return url.rstrip("/")


Token = Annotated[SecretStr, AfterValidator(check_token)]
AccountSid = Annotated[str, AfterValidator(_check_account_sid)]
ApiUrl = Annotated[str, AfterValidator(_check_url)]


class AccountSettings(BaseModel):
    """What a program needs that only calls the Events API; `Settings` has it too."""

    model_config = ConfigDict(frozen=True)

    api_token: Token | None = None
    account_sid: AccountSid | None = None
    api_url: ApiUrl = DEFAULT_API_URL


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
