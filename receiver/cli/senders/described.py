"""What `senders list`, `show` and `test` do."""

import sys
from pathlib import Path
from typing import Any, BinaryIO

import click

from receiver.cli.deliveries import delivery_from_file
from receiver.cli.failures import configuration_errors_in_words
from receiver.cli.translate.translation import print_translation
from receiver.config.loading import load_settings
from receiver.config.senders import preset_names, preset_text, read_senders
from receiver.config.settings import Settings
from receiver.sources import SOURCES
from receiver.sources.source import Source


def list_() -> None:
    with configuration_errors_in_words():
        settings = load_settings()
        width = max(map(len, settings.senders))
        for name, source in settings.senders.items():
            state = "on " if settings.secrets_for(source) else "off"
            variables = " or ".join(source.secret_variables)
            click.echo(f"{name:<{width}}  {state}  {_kind(name, settings):<8}  {variables}")


def show(name: str) -> None:
    if name not in preset_names():
        hint = "has code of its own" if name in SOURCES else "is not a preset"
        raise click.ClickException(f"{name} {hint}; presets are {', '.join(preset_names())}")
    click.echo(preset_text(name), nl=False)


def test(file: Path, body: BinaryIO | None, event: str | None, header: tuple[str, ...]) -> None:
    with configuration_errors_in_words():
        sources = read_senders(file.read_text(encoding="utf-8"), str(file))
        settings = load_settings()
    if not sources:
        raise click.ClickException(f"{file} declares no sender; write [[sender]] for each")
    for source in sources:
        click.echo(_summary(source), err=True)
    if body is not None:
        source = sources[0]
        print_translation(source, delivery_from_file(source, body.read(), event, header), settings)
    sys.exit(0)


def _kind(name: str, settings: Settings) -> str:
    if name in SOURCES:
        return "built in"
    return "preset" if settings.senders.is_preset(name) else "declared"


def _summary(source: Source[Any]) -> str:
    count = len({feature.event for feature in source.features})
    return (
        f"{source.name}: right; POST /webhooks/{source.name}, on with {source.secret_variables[0]}; "
        f"{count} pattern{'' if count == 1 else 's'} of events"
    )
