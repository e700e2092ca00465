"""`python -m receiver.serving.healthcheck [PORT]`: whether the receiver on this machine is up, for the image.

It is asked over HTTP, and over TLS if that is what is served. The certificate is not verified: it is for the
name by which senders know the receiver, and nothing secret is sent.
"""

import ssl
import sys
from contextlib import closing
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Final

PORT: Final = 8080
TIMEOUT: Final = 1.0
"""Seconds."""
HOST: Final = "127.0.0.1"
OK: Final = 200


def is_up(port: int) -> bool:
    any_certificate = ssl.create_default_context()
    any_certificate.check_hostname, any_certificate.verify_mode = False, ssl.CERT_NONE
    return _answers(HTTPConnection(HOST, port, timeout=TIMEOUT)) or _answers(
        HTTPSConnection(HOST, port, timeout=TIMEOUT, context=any_certificate)
    )


def _answers(connection: HTTPConnection) -> bool:
    with closing(connection):
        try:
            connection.request("GET", "/healthz")
            return connection.getresponse().status == OK
        except (OSError, HTTPException):
            return False


if __name__ == "__main__":
    sys.exit(0 if is_up(int(sys.argv[1]) if len(sys.argv) > 1 else PORT) else 1)
