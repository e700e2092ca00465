"""What a payload would become."""

import json
import sys
from typing import Any, BinaryIO

import click

from receiver.cli.deliveries import delivery_from_file, source_named, warn_of_misspelt
from receiver.cli.failures import configuration_errors_in_words
from receiver.config.loading import load_settings
from receiver.config.settings import Settings
from receiver.events import Change, Delivery
from receiver.routing import explain
from receiver.sources.not_translated import Ignored, Invalid, ItemError, NotTranslated, Untranslatable
from receiver.sources.source import Source, translate
from receiver.translation import translate_and_route


def print_file(source_name: str, file: BinaryIO, event: str | None, header: tuple[str, ...]) -> None:
    with configuration_errors_in_words():
        settings = load_settings()
        source = source_named(source_name, settings.senders)
    warn_of_misspelt(event or "", source)
    print_translation(source, delivery_from_file(source, file.read(), event, header), settings)


def print_translation(source: Source[Any], delivery: Delivery, settings: Settings) -> None:
    """Exits with 1 if it would be quarantined or refused."""
    changes: tuple[Change, ...] = ()
    try:
        _explain_routes(source, delivery, settings)
        meaning = translate_and_route(source, delivery, settings.options_for(source), settings.route)
        if isinstance(meaning, NotTranslated):
            raise meaning
    except Ignored as ignored:
        click.echo(f"ignored: {ignored.reason}", err=True)
    except Untranslatable as failure:
        click.echo(f"would be quarantined: {failure.reason}", err=True)
        sys.exit(1)
    except Invalid as invalid:
        _say(invalid.errors)
        sys.exit(1)
    else:
        changes = meaning.changes
        _say(meaning.errors)
    click.echo(json.dumps([_as_json(change) for change in changes], indent=2, ensure_ascii=False))


def _explain_routes(source: Source[Any], delivery: Delivery, settings: Settings) -> None:
    for change in translate(source, delivery, settings.options_for(source)).changes:
        for line in explain(change, settings.route):
            click.echo(line, err=True)


def _say(errors: tuple[ItemError, ...]) -> None:
    for error in errors:
        click.echo(f"event {error.index} would be refused: {error.field} {error.detail}", err=True)


def _as_json(change: Change) -> dict[str, Any]:
    fields = change.model_dump(mode="json", include={"key", "effect", "occurred_at"})
    partly = {"sets": change.sets} if change.sets is not None else {}
    remark = {"remark": change.remark} if change.remark else {}
    return {**fields, **partly, **remark, "event": change.event.to_api()}
