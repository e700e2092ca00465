"""Scripts and styles: read once, compressed once, and cached by browsers until they change."""

import gzip
import hashlib
import mimetypes
from dataclasses import dataclass
from http import HTTPStatus
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

from flask import Flask, Response, abort, request, url_for
from werkzeug.wrappers import Response as AnyResponse

SERVED: Final = (".js", ".css", ".svg")
A_YEAR: Final = 31_536_000


@dataclass(frozen=True, slots=True)
class StaticFile:
    content: bytes
    compressed: bytes
    digest: str
    content_type: str


def serve_static_files(app: Flask) -> None:
    """At `/static/<digest>/<name>`, so that an upgrade is never mixed with what a browser has cached."""
    known = dict(_read(files("receiver.console") / "static", ""))

    @app.get("/static/<digest>/<path:name>", endpoint="static")
    def static(digest: str, name: str) -> AnyResponse:
        file = known.get(name)
        if file is None or digest != file.digest:
            abort(HTTPStatus.NOT_FOUND)
        answer = Response(file.content, content_type=file.content_type)
        if request.accept_encodings["gzip"]:
            answer.set_data(file.compressed)
            answer.headers["Content-Encoding"] = "gzip"
        answer.headers["Vary"] = "Accept-Encoding"
        answer.headers["Cache-Control"] = f"public, max-age={A_YEAR}, immutable"
        return answer

    @app.template_global()
    def asset(name: str) -> str:
        return url_for("static", digest=known[name].digest, name=name)


def _read(folder: Traversable, path: str) -> list[tuple[str, StaticFile]]:
    found = []
    for item in folder.iterdir():
        name = f"{path}{item.name}"
        if item.is_dir():
            found += _read(item, f"{name}/")
        elif name.endswith(SERVED):
            content = item.read_bytes()
            kind = mimetypes.guess_type(name)[0] or "text/plain"
            digest = hashlib.sha256(content).hexdigest()[:16]
            compressed = gzip.compress(content, 9, mtime=0)
            found.append((name, StaticFile(content, compressed, digest, f"{kind}; charset=utf-8")))
    return found
