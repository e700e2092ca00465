"""The Try page."""

from dataclasses import dataclass

from flask import Blueprint, render_template, request

from receiver.config.settings import Settings
from receiver.config.toml import routes_as_toml
from receiver.console.trying import delivery_of, try_out


@dataclass(frozen=True, slots=True)
class TryPages:
    settings: Settings

    def blueprint(self) -> Blueprint:
        pages = Blueprint("trying", __name__)
        pages.add_url_rule("/try", "page", self.page)
        pages.add_url_rule("/try", "translated", self.translated, methods=["POST"])
        return pages

    def page(self) -> str:
        """An empty form."""
        return self._page(request.args.get("source", "github"), request.args.get("event", ""), "", None)

    def translated(self) -> str:
        """What the payload would become: the part below the form, or the whole page without JavaScript."""
        name, event = request.form.get("source", ""), request.form.get("event", "").strip()
        payload = request.form.get("payload", "")
        routes = request.form.get("routes", "").replace("\r\n", "\n")
        if name not in self.settings.senders:
            name = "github"
        verdict = None
        if payload.strip():
            edited = routes if routes.strip() != routes_as_toml(self.settings.route).strip() else None
            verdict = try_out(
                self.settings, delivery_of(self.settings.senders[name], event, payload.encode()), edited
            )
        if "HX-Request" in request.headers:
            return render_template("_try_result.html", verdict=verdict)
        return self._page(name, event, payload, verdict, routes)

    def _page(self, name: str, event: str, payload: str, verdict: object, routes: str | None = None) -> str:
        return render_template(
            "try.html",
            senders=list(self.settings.senders),
            chosen=name,
            event=event,
            payload=payload,
            routes=routes_as_toml(self.settings.route) if routes is None else routes,
            verdict=verdict,
        )
