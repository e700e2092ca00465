"""Where `connect` keeps a secret: what else is in the file stays, and a mistake quotes nothing of it."""

import base64
import json
from pathlib import Path

import click
import pytest

from receiver.cli.connect.stores import (
    EnvFile,
    KubernetesSecret,
    SecretFile,
    Store,
    TomlFile,
    all_joined,
    joined,
    newest,
    required_storable,
)
from receiver.config.loading import load_settings

NAME = "GITHUB_WEBHOOK_SECRET"
OLD, NEW = "an-old-secret-of-github-0123456789", "a-new-secret-of-github-0123456789"


def stores(folder: Path) -> list[Store]:
    return [
        EnvFile(folder / "env"),
        TomlFile(folder / "apitraffic.toml"),
        KubernetesSecret(folder / "secret.json", "apitraffic-events"),
        SecretFile(folder / "secret"),
    ]


@pytest.mark.parametrize("kind", range(4))
def test_what_was_written_is_read_again_and_only_its_owner_may_read_it(kind: int, tmp_path: Path) -> None:
    store = stores(tmp_path)[kind]
    assert store.read(NAME) is None
    for value in (OLD, joined(NEW, OLD)):
        store.write(NAME, value)
        assert store.read(NAME) == value
    (file,) = tmp_path.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("A=1", f"A=1\n{NAME}={NEW}\n"),
        (f"# x\n{NAME}={OLD}\nB=2\n", f"# x\n{NAME}={NEW}\nB=2\n"),
        (f'export {NAME}="{OLD}"\n', f"export {NAME}={NEW}\n"),
        (f"X{NAME}={OLD}\n", f"X{NAME}={OLD}\n{NAME}={NEW}\n"),
    ],
)
def test_the_other_lines_of_an_env_file_stay(before: str, after: str, tmp_path: Path) -> None:
    file = tmp_path / "env"
    file.write_text(before)
    file.chmod(0o640)
    EnvFile(file).write(NAME, NEW)
    assert file.read_text() == after
    assert file.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    "before",
    [
        "",
        "# mine\n[github]\nevents = ['release']  # why\n",
        f'[webhook_secrets]\n{NAME} = "{OLD}"\n',
        '[webhook_secrets]  # ours\nPAGERDUTY_WEBHOOK_SECRET = "0123456789"\n\n[delivery]\nsettle = 2\n',
    ],
)
def test_a_toml_file_keeps_its_comments_and_is_one_that_the_receiver_reads(
    before: str, tmp_path: Path
) -> None:
    file = tmp_path / "apitraffic.toml"
    file.write_text(before)
    kept = [line for line in file.read_text().splitlines() if NAME not in line]
    TomlFile(file).write(NAME, NEW)
    assert [line for line in file.read_text().splitlines() if line in kept] == kept
    settings = load_settings({"APITRAFFIC_CONFIG": str(file)})
    assert settings.webhook_secrets[NAME][0].get_secret_value() == NEW


@pytest.mark.parametrize(
    "before",
    [
        f'webhook_secrets = {{ {NAME} = "{OLD}" }}\n',
        f'webhook_secrets.{NAME} = "{OLD}"\n',
        f'[webhook_secrets]\n{NAME} = """\n{OLD}"""\n',
        f"[webhook_secrets\n{NAME} = {OLD}\n",
    ],
)
def test_a_toml_file_that_is_written_otherwise_is_left_as_it_is(before: str, tmp_path: Path) -> None:
    file = tmp_path / "apitraffic.toml"
    file.write_text(before)
    with pytest.raises(click.ClickException) as refused:
        TomlFile(file).write(NAME, NEW)
    assert file.read_text() == before
    assert not any(secret in refused.value.message for secret in (OLD, NEW))


def test_a_manifest_is_one_of_a_secret_and_keeps_its_other_keys(tmp_path: Path) -> None:
    file = tmp_path / "secret.json"
    store = KubernetesSecret(file, "apitraffic-events")
    store.write("REDIS_URL", "redis://redis:6379/0")
    store.write(NAME, NEW)
    manifest = json.loads(file.read_text())
    assert {key: manifest[key] for key in ("apiVersion", "kind", "metadata", "type")} == {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "apitraffic-events"},
        "type": "Opaque",
    }
    assert {key: base64.b64decode(value).decode() for key, value in manifest["data"].items()} == {
        "redis_url": "redis://redis:6379/0",
        "github_webhook_secret": NEW,
    }


@pytest.mark.parametrize(
    "before", ["kind: Secret\n", '{"kind": "ConfigMap"}', '{"kind": "Secret", "data": 1}']
)
def test_a_manifest_of_something_else_is_left_as_it_is(before: str, tmp_path: Path) -> None:
    file = tmp_path / "secret.json"
    file.write_text(before)
    with pytest.raises(click.ClickException, match="is not a Secret that this command has written"):
        KubernetesSecret(file, "apitraffic-events").write(NAME, NEW)
    assert file.read_text() == before


def test_the_newest_secret_comes_first() -> None:
    assert joined(NEW, f"{OLD} and-older") == f"{NEW},{OLD}"
    assert all_joined(NEW, f"{OLD} and-older,oldest") == f"{NEW},{OLD},and-older,oldest"
    assert (newest(f"{NEW},{OLD}"), newest(NEW)) == (NEW, NEW)


@pytest.mark.parametrize("secret", ['a"b', "a'b", "a b", "a\nb", "a#b", "a$b", "a,b", "a\\b", "", "ä"])
def test_a_senders_secret_that_would_need_quotes_is_refused_and_not_shown(secret: str) -> None:
    with pytest.raises(click.ClickException) as refused:
        required_storable(secret)
    assert not secret or secret not in refused.value.message
