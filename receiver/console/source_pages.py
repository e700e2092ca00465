"""The Sources page: which senders are on, where they send to, and what they have sent."""

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus

from flask import Blueprint, abort, redirect, render_template, url_for
from werkzeug.wrappers import Response as AnyResponse

from receiver.config.settings import Settings
from receiver.console.recent_deliveries import RecentDeliveries
from receiver.console.samples import WITH_SAMPLES, Samples, Sent
from receiver.errors import StorageUnavailable
from receiver.queue.delivery_log import REFUSED, Entry


@dataclass(frozen=True, slots=True)
class Sender:
    """A source as the page shows it.."""

    name: str
    title: str
    address: str
    variables: tuple[str, ...]
    takes_token_in_path: bool
    is_on: bool
    has_sample: bool
    last_delivery: Entry | None
    last_refusal: Entry | None


@dataclass(frozen=True, slots=True)
class SourcePages:
    """`is_local` says that events go to a local Events API, where a sample harms nobody."""

    settings: Settings
    samples: Samples
    recent: RecentDeliveries
    is_local: bool

    def blueprint(self) -> Blueprint:
        pages = Blueprint("sources", __name__)
        pages.add_url_rule("/sources", "page", self.page)
        pages.add_url_rule("/sources/samples", "samples", self.send_all, methods=["POST"])
        pages.add_url_rule("/sources/<name>/sample", "sample", self.send, methods=["POST"])
        return pages

    def page(self) -> str:
        return self._page(())

    def send_all(self) -> AnyResponse | str:
        """To the chart if all were taken, where their markers appear."""
        if not self.is_local:
            abort(HTTPStatus.FORBIDDEN, "Samples of all senders are for a local Events API only.")
        sent = self.samples.send()
        if sent and all(one.status == "accepted" for one in sent):
            return redirect(url_for("events.index", done="sent"))
        return self._page(sent)

    def send(self, name: str) -> str:
        if name not in WITH_SAMPLES:
            abort(HTTPStatus.NOT_FOUND, "There is no sample of this sender.")
        return self._page(self.samples.send(name))

    def _page(self, sent: Sequence[Sent]) -> str:
        base = self.samples.url.rstrip("/")
        try:
            entries, problem = self.recent.newest_first(), None
        except StorageUnavailable as error:
            entries, problem = (), f"{str(error).rstrip('.')}."
        senders = [
            Sender(
                name,
                source.title,
                f"{base}{source.api_path or f'/webhooks/{name}'}",
                source.secret_variables,
                takes_token_in_path=source.takes_token_in_path,
                is_on=bool(self.settings.secrets_for(source)),
                has_sample=name in WITH_SAMPLES,
                last_delivery=_last(entries, name, is_refusal=False),
                last_refusal=_last(entries, name, is_refusal=True),
            )
            for name, source in self.settings.active_sources.items()
        ]
        return render_template(
            "sources.html",
            problem=problem,
            senders=senders,
            sent=sent,
            is_local=self.is_local,
            receiver_url=self.samples.url,
        )


def _last(entries: Sequence[Entry], source: str, *, is_refusal: bool) -> Entry | None:
    return next(
        (one for one in entries if one.source == source and (one.status == REFUSED) == is_refusal), None
    )
