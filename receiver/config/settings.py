"""The configuration: environment first, apitraffic.toml second, checked at start. Errors say what to do."""

import difflib
import os
import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from ipaddress import IPv4Network, IPv6Network, ip_network
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
    ValidationError,
    create_model,
    model_validator,
)

from apitraffic_events.errors import ConfigurationError
from receiver.config.account import AccountSettings, Token
from receiver.config.environment import (
    VARIABLES,
    Variable,
    config_file,
    explained,
    in_environment,
    in_our_words,
    read_config,
)
from receiver.config.secrets import SECRET_VARIABLES, SHORTEST_STRONG_SECRET, check_secrets, split_secrets
from receiver.config.senders import TABLE, Senders, declared_names, preset_names, read_senders
from receiver.routing import Route
from receiver.sources import SOURCES
from receiver.sources.base import Secrets, Source, SourceOptions, secret_variable_of

ACCOUNT_SID_LENGTH: Final = len("acc_") + 27


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


Network = IPv4Network | IPv6Network


def split_networks(value: object) -> object:
    """The networks in a variable's value, separated by white space or commas. An address is a network too."""
    if not isinstance(value, str):
        return value
    networks = []
    for part in re.split(r"[\s,]+", value):
        try:
            networks.append(ip_network(part))
        except ValueError:
            raise ValueError(f"holds {part[:50]!r}, which is no address and no network") from None
    return tuple(networks)


Networks = Annotated[tuple[Network, ...], BeforeValidator(split_networks)]
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


class Settings(AccountSettings):
    """The effective configuration; `load_settings` loads it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    redis_url: Annotated[str, AfterValidator(_check_redis_url)] | None = Field(default=None, repr=False)
    spool: Annotated[Path | None, BeforeValidator(_spool_path)] = Field(default_factory=_default_spool)
    """The file that keeps deliveries while Redis is unreachable; `None` if there should be none."""
    log_format: Literal["text", "json"] | None = None
    """Only checked here: `receiver.observability.logs` reads it before there are settings."""
    metrics_token: Token | None = None
    """The bearer token that `/metrics` requires; `None` if it requires none."""
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
    route: tuple[Route, ...] = ()

    @model_validator(mode="after")
    def _keys_can_be_used(self) -> Self:
        """Of declared senders that sign per Standard Webhooks, whose secrets stand for keys."""
        for source in self.active_sources.values():
            if source.has_standard_keys:
                check_secrets(
                    {name: self.webhook_secrets.get(name, ()) for name in source.secret_variables},
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

    def warnings(self) -> Iterator[str]:
        """Settings that work but are probably mistakes, logged once at start."""
        if self.account_sid and len(self.account_sid) != ACCOUNT_SID_LENGTH:
            yield f"APITRAFFIC_ACCOUNT_SID is not {ACCOUNT_SID_LENGTH} characters long; was it copied whole?"
        for name, secrets in self.webhook_secrets.items():
            if min(len(secret.get_secret_value()) for secret in secrets) < SHORTEST_STRONG_SECRET:
                yield f"{name} is short enough to be guessed; better: openssl rand -hex 32"


def _bytes_of(secret: SecretStr) -> bytes:
    """The bytes in the environment, of which Python escapes what is not UTF-8."""
    return secret.get_secret_value().encode("utf-8", "surrogateescape")


def load_settings(environ: Mapping[str, str] = os.environ) -> Settings:
    """Read environment and file; raises `ConfigurationError` naming each variable and what belongs there."""
    text, content = read_config(environ)
    declared = dict.fromkeys((*preset_names(), *declared_names(content)))
    sections = {name: content.pop(name) for name in SOURCES if name in content}
    further = {name: content.pop(name) for name in declared if name in content}
    if TABLE in content:
        content[TABLE] = read_senders(text, str(config_file(environ)))
    given = in_environment(VARIABLES, environ)
    values = (
        {"sources": sections, "declared": further, "webhook_secrets": {}}
        | content
        | {variable.field: given[variable.name] for variable in VARIABLES if variable.name in given}
    )
    if isinstance(values["webhook_secrets"], dict):
        values["webhook_secrets"] |= in_environment(
            (*SECRET_VARIABLES, *map(_variable_of, declared)), environ
        )
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        lines = [
            _explain(tuple(detail["loc"]), detail["msg"], config_file(environ)) for detail in error.errors()
        ]
        raise ConfigurationError("\n".join(dict.fromkeys(lines))) from None


def _variable_of(name: str) -> Variable:
    advice = f"put the secret there that {name}'s webhook settings hold"
    return Variable(secret_variable_of(name), "webhook_secrets", advice)


def _explain(location: tuple[int | str, ...], message: str, file: Path | None) -> str:
    if location in {(), ("webhook_secrets",)}:
        return in_our_words(message)  # It names its variables.
    for variable in (*VARIABLES, *SECRET_VARIABLES):
        if location[0] == variable.field and (
            variable.field != "webhook_secrets" or variable.name in location
        ):
            return explained(variable, message)
    path = [str(part) for part in location if part not in {"sources", "declared"}]
    where = ".".join(path)
    message = in_our_words(message)
    if message == "Extra inputs are not permitted":
        message = f"is not a setting{_suggestion(location)}; correct or remove it"
    return f"{file}: {where} {message}"


def _suggestion(location: tuple[int | str, ...]) -> str:
    *parents, unknown = (part for part in location if isinstance(part, str))
    model: type[BaseModel] = Settings
    for parent in parents:
        annotation = Route if parent == "route" else model.model_fields[parent].annotation
        if not isinstance(annotation, type) or not issubclass(annotation, BaseModel):
            return ""
        model = annotation
    known = [*model.model_fields, *((*SOURCES, *preset_names()) if model is Settings else ())]
    close = difflib.get_close_matches(unknown, known, n=1)
    return f" (did you mean {close[0]}?)" if close else ""
