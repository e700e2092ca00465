"""Connections to a receiver over which a test sends whatever it likes."""

import os
import socket
import ssl
from urllib.parse import urlsplit

from tests.support.programs import Program


def url_of(receiver: Program) -> str:
    assert receiver.announced is not None
    return receiver.announced["url"]


def connected_only(url: str) -> socket.socket:
    return socket.create_connection((urlsplit(url).hostname, urlsplit(url).port), timeout=30)


def connected(url: str) -> socket.socket:
    """Over TLS for https, with the authority that REQUESTS_CA_BUNDLE names."""
    client = connected_only(url)
    if urlsplit(url).scheme == "http":
        return client
    context = ssl.create_default_context(cafile=os.environ["REQUESTS_CA_BUNDLE"])
    return context.wrap_socket(client, server_hostname=urlsplit(url).hostname)


def read_to_end(client: socket.socket) -> bytes:
    """What is received until the connection ends."""
    received = b""
    while part := client.recv(65_536):
        received += part
    return received
