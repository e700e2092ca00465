"""The settings that there are, with their checks; `receiver.config.loading` loads them."""

import os
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    SerializeAsAny,
    ValidationInfo,
    create_model,
    model_validator,
)

from receiver.config.account_settings import AccountSettings, Token
from receiver.config.accounts import AccountSection, check_account_name
from receiver.config.console import ChartsSection, ConsoleSection
from receiver.config.networks import Networks
from receiver.config.notify import NotifySecret, NotifySection, NotifyUrl
from receiver.config.secrets import (
    SHORTEST_STRONG_SECRET,
    check_secrets,
    is_placeholder,
    split_secrets,
)
from receiver.config.senders import Senders
from receiver.config.verdict import VerdictSection
from receiver.routing import DEFAULT_ACCOUNT, Route
from receiver.sources import SOURCES
from receiver.sources.request import Secrets
from receiver.sources.source import Source, SourceOptions, secret_variable_of

SHORTEST_CONSOLE_TOKEN: Final = 16
MOST_PAYLOADS: Final = 10_000
ACCOUNT_SID_LENGTH: Final = len("acc_") + 27


def _check_console_token(token: SecretStr) -> SecretStr:
    if len(token.get_secret_value()) < SHORTEST_CONSOLE_TOKEN:
        raise ValueError(f"has fewer than {SHORTEST_CONSOLE_TOKEN} characters, so that it can be guessed")
    return token


def _spool_path(value: object) -> object:
    return None if value == "off" else value


def _default_spool() -> Path:
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "apitraffic-events" / "spool.sqlite"


def _check_redis_url(url: str) -> str:
    # redis-py takes a while to import, and not every command needs it.
    from receiver.datastore.address import PLAIN_SCHEMES, SENTINEL_SCHEMES, pool_at  # noqa: PLC0415

    if not url.startswith((*PLAIN_SCHEMES, *SENTINEL_SCHEMES)):
        raise ValueError(
            "does not begin with redis://, rediss://, unix://, redis+sentinel:// or rediss+sentinel://"
        )
    try:
        pool = pool_at(url)
        pool.connection_class(**pool.connection_kwargs)
    except (ValueError, TypeError):
        # Their messages may contain part of a password.
        raise ValueError(
            "cannot be read: is the port a number, are all options ones that redis-py has, and are special "
            "characters in the password percent-encoded?"
        ) from None
    return url


SecretValues = Annotated[tuple[SecretStr, ...], BeforeValidator(split_secrets)]

_section_fields: Final[dict[str, Any]] = {
    name: (source.options, source.options()) for name, source in SOURCES.items()
}
SourceSections: Final[type[BaseModel]] = create_model(
    "SourceSections", __config__=ConfigDict(extra="forbid", frozen=True), **_section_fields
)


class DeliverySection(BaseModel):
    """`[delivery]`: how markers are drawn."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    deployments: Literal["point", "span"] = "point"
    """Draw a deploy as a point at its end, or as a span from its start to its end."""
    settle: Annotated[int, Field(ge=1, le=600)] = 30
    """Seconds after which the API no longer carries out a request that got no response, or a failure."""


def _known_accounts(routes: tuple[Route, ...], info: ValidationInfo) -> tuple[Route, ...]:
    """Raises `ValueError` if a route names an account that is not defined."""
    if "account" not in info.data:
        return routes  # Its own mistake has been told.
    known = (DEFAULT_ACCOUNT, *info.data["account"])
    for number, route in enumerate(routes, start=1):
        if route.account is not None and route.account not in known:
            raise ValueError(
                f"number {number} names the account {route.account!r}, which is not defined: "
                f"write [account.{route.account}] with its sid, or name one of {', '.join(known)}"
            )
    return routes


class Settings(AccountSettings):
    """The effective configuration."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    redis_url: Annotated[str, AfterValidator(_check_redis_url)] | None = Field(default=None, repr=False)
    spool: Annotated[Path | None, BeforeValidator(_spool_path)] = Field(default_factory=_default_spool)
    """The file that keeps deliveries while Redis is unreachable; `None` if there should be none."""
    log_format: Literal["text", "json"] | None = None
    """Only checked here: `receiver.observability.logs` reads it before there are settings."""
    prometheus_token: Token | None = None
    """The bearer token for the Prometheus of `[verdict.prometheus]`; `None` if it needs none."""
    metrics_token: Token | None = None
    """The bearer token that `/metrics` requires; `None` if it requires none."""
    console_token: Annotated[Token, AfterValidator(_check_console_token)] | None = None
    """What is typed in to log in to the console; `None` if nobody has to."""
    keep_payloads: Annotated[int, Field(ge=0, le=MOST_PAYLOADS)] = 0
    """Of how many deliveries the console can show the payload."""
    notify_url: NotifyUrl | None = None
    """Only from the environment; read `notices_to`."""
    notify_secret: NotifySecret | None = None
    """What notices are signed with; `None` for a chat, which cannot verify a signature."""
    trusted_proxies: Networks = ()
    """Proxies whose `X-Forwarded-For` is trusted."""
    allowed_senders: Networks = ()
    """Networks that webhooks may come from; empty for anywhere."""
    webhook_secrets: Annotated[dict[str, SecretValues], AfterValidator(check_secrets)] = Field(
        default_factory=dict
    )
    """Name of a variable that is set -> its secrets."""
    delivery: DeliverySection = DeliverySection()
    sources: SerializeAsAny[SourceSections] = Field(default_factory=SourceSections)
    """One section for each source, as in the file; read them with `options_for`."""
    declared: dict[str, SourceOptions] = Field(default_factory=dict)
    """The sections of declared senders and presets; read them with `options_for`."""
    sender: Any = ()
    """The sources that `[[sender]]` declares; read them with `senders`."""
    account: dict[Annotated[str, AfterValidator(check_account_name)], AccountSection] = Field(
        default_factory=dict
    )
    """Further accounts in ApiTraffic, by the names that routes have for them."""
    route: Annotated[tuple[Route, ...], AfterValidator(_known_accounts)] = ()
    console: ConsoleSection = ConsoleSection()
    charts: ChartsSection = ChartsSection()
    verdict: VerdictSection = VerdictSection()
    notify: NotifySection = NotifySection()

    def of_account(self, name: str | None, environ: Mapping[str, str] = os.environ) -> AccountSettings:
        """What a client of this account needs; `None` is that of APITRAFFIC_ACCOUNT_SID.

        Raises `ConfigurationError` if its token cannot be read, and `KeyError` if it is not defined.
        """
        return self if name is None else self.account[name].settings(name, self.api_url, environ)

    @model_validator(mode="after")
    def _keys_can_be_used(self) -> Self:
        """Of declared senders that sign per Standard Webhooks, whose secrets stand for keys."""
        for source in self.active_sources.values():
            if source.has_standard_keys:
                check_secrets(
                    {
                        name: self.webhook_secrets[name]
                        for name in source.secret_variables
                        if name in self.webhook_secrets
                    },
                    standard=frozenset(source.secret_variables),
                )
        return self

    @cached_property
    def senders(self) -> Senders:
        """All senders there are by name, also those that are off."""
        return Senders(self.sender)

    @cached_property
    def active_sources(self) -> Mapping[str, Source[Any]]:
        """All senders but the presets without a secret, which few receivers need."""
        return {
            name: self.senders[name]
            for name in self.senders
            if not self.senders.is_preset(name) or self.webhook_secrets.get(secret_variable_of(name))
        }

    def secrets_for(self, source: Source[Any]) -> Secrets:
        """All secrets with which a source's requests may be signed; empty if the source is off."""
        return {
            name: tuple(_bytes_of(secret) for secret in self.webhook_secrets[name])
            for name in source.secret_variables
            if self.webhook_secrets.get(name)
        }

    def options_for(self, source: Source[Any]) -> SourceOptions:
        """The source's own section, completed by [delivery], which is the default of all."""
        own: SourceOptions | None = getattr(self.sources, source.name, None)
        options = own or self.declared.get(source.name) or SourceOptions()
        if options.deployments is None:
            return options.model_copy(update={"deployments": self.delivery.deployments})
        return options

    @property
    def notices_to(self) -> SecretStr | None:
        """The address that notices to people are posted to; `None` if nobody is to be told."""
        return self.notify_url or self.notify.url

    def warnings(self) -> Iterator[str]:
        """Settings that work but are probably mistakes, logged once at start."""
        if self.account_sid and len(self.account_sid) != ACCOUNT_SID_LENGTH:
            yield f"APITRAFFIC_ACCOUNT_SID is not {ACCOUNT_SID_LENGTH} characters long; was it copied whole?"
        for name, secrets in self.webhook_secrets.items():
            if any(is_placeholder(secret.get_secret_value()) for secret in secrets):
                yield f"{name} is a placeholder that anybody can guess; make one with openssl rand -hex 32"
            elif min(len(secret.get_secret_value()) for secret in secrets) < SHORTEST_STRONG_SECRET:
                yield f"{name} is short enough to be guessed; better: openssl rand -hex 32"


def _bytes_of(secret: SecretStr) -> bytes:
    """The bytes in the environment, of which Python escapes what is not UTF-8."""
    return secret.get_secret_value().encode("utf-8", "surrogateescape")
