"""What is checked before each request, and sent with each response."""

from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

from flask import Flask, Response, abort, g, redirect, render_template, request, url_for
from structlog import get_logger
from werkzeug.wrappers import Response as AnyResponse

from receiver.console.access import SAFE_METHODS, Access, is_from_our_page
from receiver.console.sessions import COOKIE, LIFETIME, LoginAttempts, Session, Sessions

PUBLIC: Final = frozenset({"login", "static", "healthz"})
"""Endpoints that are there without login."""
COOKIELESS: Final = frozenset({"static", "healthz"})
ALLOWED_WHEN_READ_ONLY: Final = frozenset({"login", "logout", "trying.translated"})
"""Endpoints that take a POST and change nothing outside the console."""
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS: Final = (
    ("Content-Security-Policy", POLICY),
    ("X-Content-Type-Options", "nosniff"),
    # Not no-referrer, with which browsers send `Origin: null` with forms.
    ("Referrer-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Permissions-Policy", "camera=(), geolocation=(), microphone=()"),
)
FORM_TOKEN: Final = "form_token"  # noqa: S105 - the field's name
FORM_TOKEN_HEADER: Final = "X-Form-Token"  # noqa: S105 - the header's name
UNKNOWN_HOST: Final = (
    "The console is not known by this name. Add it to `hosts` in [console] of apitraffic.toml, or use "
    "the machine's address."
)


@dataclass(frozen=True, slots=True)
class Guard:
    """Checks the requests of one application."""

    access: Access
    sessions: Sessions
    is_read_only: bool
    attempts: LoginAttempts = field(default_factory=LoginAttempts)

    def protect(self, app: Flask) -> None:
        app.before_request(self.check)
        app.after_request(self.secure)
        app.context_processor(self.names)
        app.add_url_rule("/login", "login", self.login, methods=["GET", "POST"])
        app.add_url_rule("/logout", "logout", self.logout, methods=["POST"])

    def check(self) -> AnyResponse | None:
        """Whether the view may be called; the response otherwise."""
        if not self.access.is_our_host(request.headers.get("Host", "")):
            abort(HTTPStatus.MISDIRECTED_REQUEST, UNKNOWN_HOST)
        known = self.sessions.read(request.cookies.get(COOKIE))
        g.session, g.is_new_session = known or self.sessions.new(), known is None
        g.user = self.access.user_of(request.remote_addr, dict(request.headers))
        g.is_authenticated = not self.access.needs_login or g.user is not None or g.session.is_logged_in
        if request.method not in SAFE_METHODS:
            self._require_own_form(g.session)
            if self.is_read_only and request.endpoint not in ALLOWED_WHEN_READ_ONLY:
                abort(
                    HTTPStatus.FORBIDDEN, "This console only shows things: it was started with --read-only."
                )
        return None if g.is_authenticated or request.endpoint in PUBLIC else self._ask_to_log_in()

    def secure(self, response: Response) -> Response:
        response.headers.extend(HEADERS)
        response.headers.setdefault("Cache-Control", "no-store")
        # A request that was refused gets no cookie: it may be another site's, which came without one.
        is_welcome = request.endpoint not in COOKIELESS and response.status_code < HTTPStatus.BAD_REQUEST
        if is_welcome and g.get("is_new_session"):
            _keep(response, self.sessions.write(g.session))
        return response

    def names(self) -> dict[str, object]:
        """What all templates know."""
        session: Session | None = g.get("session")
        return {
            "form_token": self.sessions.form_token(session) if session else "",
            "is_authenticated": g.get("is_authenticated", False),
            "is_read_only": self.is_read_only,
            "user": g.get("user"),
            "can_log_out": bool(session and session.is_logged_in),
        }

    def login(self) -> AnyResponse | tuple[str, int, dict[str, str]] | str:
        after = _local_path(request.values.get("next", ""))
        if not self.access.takes_token or (g.is_authenticated and request.method == "GET"):
            return redirect(after)
        if request.method == "GET":
            return render_template("login.html", next=after, problem=None)
        log = get_logger("receiver.console")
        address = request.remote_addr or ""
        if (wait := self.attempts.seconds_to_wait(address)) > 0:
            seconds = int(wait) + 1
            page = render_template(
                "login.html", next=after, problem=f"Too many attempts. Try again in {seconds} s."
            )
            return page, HTTPStatus.TOO_MANY_REQUESTS, {"Retry-After": str(seconds)}
        if not self.access.is_token(request.form.get("token", "")):
            self.attempts.failed(address)
            log.warning("login failed", address=address)
            page = render_template("login.html", next=after, problem="This is not the console's token.")
            return page, HTTPStatus.FORBIDDEN, {}
        log.info("login", address=address)
        # A new id: only the person who has logged in knows the session.
        g.session, g.is_new_session = self.sessions.new(is_logged_in=True), True
        return redirect(after)

    def logout(self) -> AnyResponse:
        g.session, g.is_new_session = self.sessions.new(), True
        return redirect(url_for("login"))

    def _require_own_form(self, session: Session) -> None:
        if not is_from_our_page(dict(request.headers)):
            abort(HTTPStatus.FORBIDDEN, "This request did not come from a page of this console.")
        given = request.headers.get(FORM_TOKEN_HEADER) or request.form.get(FORM_TOKEN, "")
        if not self.sessions.is_form_token(session, given):
            abort(HTTPStatus.FORBIDDEN, "This page is too old. Load it again, and repeat what you did.")

    def _ask_to_log_in(self) -> AnyResponse:
        if "HX-Request" in request.headers or request.accept_mimetypes.best == "application/json":
            # Part of a page: the whole page goes to the login.
            return Response(status=HTTPStatus.UNAUTHORIZED, headers={"HX-Redirect": url_for("login")})
        if not self.access.takes_token:
            abort(HTTPStatus.UNAUTHORIZED, "Log in at the proxy in front of this console.")
        back = request.full_path.rstrip("?") if request.method in SAFE_METHODS else None
        return redirect(url_for("login", next=back))


def _keep(response: Response, value: str) -> None:
    # Not Strict: a link that a colleague has sent must not lead to the login. Forms do not rely on it.
    response.set_cookie(
        COOKIE, value, max_age=LIFETIME, httponly=True, samesite="Lax", secure=_is_https(), path="/"
    )


def _is_https() -> bool:
    """A proxy that ends TLS says so. A client that lies about it only makes its own cookie stricter."""
    return request.is_secure or request.headers.get("X-Forwarded-Proto", "") == "https"


def _local_path(path: str) -> str:
    r"""A path of ours to go to next: never another site, which browsers also read from `//` and `/\`."""
    is_ours = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path if is_ours else "/"
