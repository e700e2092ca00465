"""Answers in JSON that browsers need not fetch again while nothing has changed."""

import gzip
import hashlib
from collections.abc import Sequence
from http import HTTPStatus
from typing import Final

from flask import Response, json, request
from werkzeug.wrappers import Response as AnyResponse

COMPRESSION: Final = 1
SMALLEST_COMPRESSED: Final = 1_000
"""Bytes."""


def answer_json(content: object, seen: Sequence[object]) -> AnyResponse:
    """JSON, compressed, or 304 if the browser has it: `seen` stands for what it was made of.

    Only JSON is compressed: pages hold form tokens, which their compressed lengths could give away (BREACH).
    """
    tag = hashlib.sha256(repr(seen).encode()).hexdigest()[:24]
    if request.if_none_match.contains(tag):
        answer = Response(status=HTTPStatus.NOT_MODIFIED)
    else:
        body = json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode()
        answer = Response(body, content_type="application/json")
        if len(body) > SMALLEST_COMPRESSED and request.accept_encodings["gzip"]:
            answer.set_data(gzip.compress(body, COMPRESSION, mtime=0))
            answer.headers["Content-Encoding"] = "gzip"
    answer.set_etag(tag)
    answer.headers["Cache-Control"] = "private, no-cache"
    answer.headers["Vary"] = "Accept-Encoding, Cookie"
    return answer
