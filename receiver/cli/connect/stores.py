"""Where a receiver's secret is kept: a file of environment variables, apitraffic.toml, a Kubernetes Secret or
a file that holds nothing else.
"""

import base64
import binascii
import json
import os
import re
import tempfile
import tomllib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import click

from apitraffic_events.environment import read_variable

PRIVATE: Final = 0o600
PLACES: Final = "--env-file, --toml, --kubernetes-secret or --secret-file"
TABLE: Final = "webhook_secrets"
TABLE_LINE: Final = re.compile(rf"^\[{TABLE}\][ \t]*(?:#.*)?$", re.MULTILINE)
BETWEEN_SECRETS: Final = ","
"""Several secrets in one value, newest first; without a space, so that no kind of file needs quotes."""
SAFE: Final = re.compile(r"[!-~]+")
"""What a sender's secret is made of; anything else could end a line or a value."""
QUOTED: Final = re.compile(r"""(["'])(.*)\1""")


class Store(Protocol):
    """`read` and `write` raise `click.ClickException`, which never quotes what the file holds."""

    @property
    def name(self) -> str: ...

    @property
    def next_step(self) -> str:
        """What makes the receiver read it."""
        ...

    def read(self, variable: str) -> str | None: ...

    def write(self, variable: str, value: str) -> None: ...


@dataclass(frozen=True, slots=True)
class EnvironmentNow:
    """The variable is set already, for this command as for the receiver."""

    name: str = "the environment"
    next_step: str = "start the receiver with the same variable"

    def read(self, variable: str) -> str | None:
        return read_variable(variable, os.environ)

    def write(self, variable: str, value: str) -> None:
        raise click.UsageError(
            f"{variable} is not set. Say where to store the secret: {PLACES}; "
            "or set the variable to the secret that the receiver has."
        )


@dataclass(frozen=True, slots=True)
class EnvFile:
    """Lines NAME=value, as `docker --env-file`, Compose and systemd read them."""

    path: Path

    @property
    def name(self) -> str:
        return str(self.path)

    @property
    def next_step(self) -> str:
        return f"restart the receiver with {self.path}"

    def read(self, variable: str) -> str | None:
        found = [match["value"].strip() for match in _line_of(variable).finditer(_text_of(self.path))]
        value = found[-1] if found else ""
        quoted = QUOTED.fullmatch(value)
        return (quoted[2] if quoted else value) or None

    def write(self, variable: str, value: str) -> None:
        text = _text_of(self.path)
        line = f"{variable}={value}"
        new, count = _line_of(variable).subn(lambda match: f"{match['export'] or ''}{line}", text)
        if not count:
            new = f"{_ended(text)}{line}\n"
        _replace(self.path, new)


@dataclass(frozen=True, slots=True)
class TomlFile:
    """The table `[webhook_secrets]` of apitraffic.toml. Everything else in the file stays as it is."""

    path: Path

    @property
    def name(self) -> str:
        return f"[{TABLE}] in {self.path}"

    @property
    def next_step(self) -> str:
        return f"restart the receiver with {self.path}"

    def read(self, variable: str) -> str | None:
        value = self._secrets().get(variable)
        return value if isinstance(value, str) and value else None

    def write(self, variable: str, value: str) -> None:
        text = _text_of(self.path)
        wanted = self._parse(text)
        line = f'{variable} = "{value}"'
        if variable in self._secrets():
            new = _setting_of(variable).sub(lambda _: line, text, count=1)
        elif TABLE_LINE.search(text):
            new = TABLE_LINE.sub(lambda match: f"{match[0]}\n{line}", text, count=1)
        else:
            new = f"{_ended(text)}{chr(10) if text else ''}[{TABLE}]\n{line}\n"
        wanted.setdefault(TABLE, {})[variable] = value
        # The text was edited, not rewritten, to keep comments; so see that it says what it should.
        with suppress(tomllib.TOMLDecodeError):
            if tomllib.loads(new) == wanted:
                _replace(self.path, new)
                return
        raise click.ClickException(
            f"{self.path} is written in a way that this command does not change; "
            f"write the table [{TABLE}] on lines of its own, or use --env-file"
        )

    def _secrets(self) -> dict[str, Any]:
        secrets = self._parse(_text_of(self.path)).get(TABLE, {})
        if not isinstance(secrets, dict):
            raise click.ClickException(f"{self.path}: {TABLE} is not a table; write [{TABLE}]")
        return secrets

    def _parse(self, text: str) -> dict[str, Any]:
        try:
            return tomllib.loads(text)
        except (tomllib.TOMLDecodeError, RecursionError):
            raise click.ClickException(
                f"{self.path} is not valid TOML; `apitraffic-events config check` says where"
            ) from None


@dataclass(frozen=True, slots=True)
class KubernetesSecret:
    """The manifest of a Secret, in JSON, which kubectl reads as it reads YAML."""

    path: Path
    secret_name: str
    namespace: str | None = None

    @property
    def name(self) -> str:
        return f"the Secret {self.secret_name} in {self.path}"

    @property
    def next_step(self) -> str:
        return (
            f"run kubectl apply --server-side -f {self.path}, let the receiver have the key as "
            "<VARIABLE>_FILE, and restart it"
        )

    def read(self, variable: str) -> str | None:
        encoded = self._manifest().get("data", {}).get(variable.lower())
        try:
            return (
                base64.b64decode(encoded, validate=True).decode("ascii").strip() or None if encoded else None
            )
        except (binascii.Error, TypeError, UnicodeDecodeError):
            raise click.ClickException(f"{self.path}: {variable.lower()} is not base64") from None

    def write(self, variable: str, value: str) -> None:
        manifest = self._manifest()
        manifest.setdefault("data", {})[variable.lower()] = base64.b64encode(value.encode()).decode()
        _replace(self.path, json.dumps(manifest, indent=2) + "\n")

    def _manifest(self) -> dict[str, Any]:
        text = _text_of(self.path)
        if not text.strip():
            metadata = {"name": self.secret_name} | ({"namespace": self.namespace} if self.namespace else {})
            return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque"}
        try:
            manifest = json.loads(text)
        except (ValueError, RecursionError):
            manifest = None
        if (
            not isinstance(manifest, dict)
            or manifest.get("kind") != "Secret"
            or not isinstance(manifest.get("data", {}), dict)
        ):
            raise click.ClickException(
                f"{self.path} is not a Secret that this command has written (in JSON); name another file"
            )
        return manifest


@dataclass(frozen=True, slots=True)
class SecretFile:
    """A file that holds the secret alone, for <VARIABLE>_FILE."""

    path: Path

    @property
    def name(self) -> str:
        return str(self.path)

    @property
    def next_step(self) -> str:
        return f"restart the receiver with {self.path} as <VARIABLE>_FILE"

    def read(self, variable: str) -> str | None:
        return _text_of(self.path).strip() or None

    def write(self, variable: str, value: str) -> None:
        _replace(self.path, value + "\n")


def has_place(store: Store) -> bool:
    """Whether a new secret can be stored there."""
    return not isinstance(store, EnvironmentNow)


def require_place(store: Store, variable: str) -> None:
    """Raises `click.UsageError` if this is no place to store a new secret."""
    if not has_place(store):
        store.write(variable, "")


def newest(value: str) -> str:
    """The first of the secrets in a value."""
    return re.split(r"[\s,]+", value.strip(), maxsplit=1)[0]


def joined(new: str, stored: str | None) -> str:
    """The new secret before the one that was newest, which stays valid until nothing is signed with it."""
    return f"{new}{BETWEEN_SECRETS}{newest(stored)}" if stored else new


def all_joined(new: str, stored: str | None) -> str:
    """The new secret before all that are stored: each may belong to a webhook of its own."""
    return BETWEEN_SECRETS.join([new, *(re.split(r"[\s,]+", stored.strip()) if stored else [])])


def required_storable(secret: str) -> str:
    """The secret, if it can be in every kind of file without quotes. Raises `click.ClickException`."""
    if not SAFE.fullmatch(secret) or set(secret) & set("\"'\\#$,"):
        raise click.ClickException("the sender's secret has characters that cannot be stored without quotes")
    return secret


def require_writable(path: Path) -> None:
    """Raises `click.ClickException`; before a sender makes a secret that it shows only once."""
    folder = path.parent
    if path.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
        raise click.ClickException(f"{path} cannot be written; check the path and who may write there")


def _line_of(variable: str) -> re.Pattern[str]:
    return re.compile(rf"^(?P<export>export[ \t]+)?{variable}=(?P<value>.*)$", re.MULTILINE)


def _setting_of(variable: str) -> re.Pattern[str]:
    return re.compile(rf"^{variable}[ \t]*=.*$", re.MULTILINE)


def _ended(text: str) -> str:
    return text if not text or text.endswith("\n") else text + "\n"


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise click.ClickException(f"{path} cannot be read: {reason}") from None


def _replace(path: Path, text: str) -> None:
    """Write the whole file or nothing; a new one is for this user only."""
    target = path.resolve()
    try:
        mode = target.stat().st_mode & 0o777 if target.exists() else PRIVATE
        descriptor, draft = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(draft).chmod(mode)
            Path(draft).replace(target)
        except BaseException:
            Path(draft).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise click.ClickException(f"{path} cannot be written: {error.strerror}") from None


def store_of(
    env_file: Path | None,
    toml: Path | None,
    kubernetes_secret: Path | None,
    secret_file: Path | None,
    secret_name: str,
) -> Store:
    """The one that was asked for. Raises `click.ClickException` if it cannot be written."""
    paths = [path for path in (env_file, toml, kubernetes_secret, secret_file) if path]
    if len(paths) > 1:
        raise click.UsageError("Give one of --env-file, --toml, --kubernetes-secret and --secret-file.")
    for path in paths:
        require_writable(path)
    if env_file:
        return EnvFile(env_file)
    if toml:
        return TomlFile(toml)
    if kubernetes_secret:
        return KubernetesSecret(kubernetes_secret, secret_name)
    return SecretFile(secret_file) if secret_file else EnvironmentNow()
