"""The receiver's own certificate, for use without a proxy that terminates TLS."""

import ssl
from pathlib import Path
from typing import Any


class CannotUseCertificate(Exception):
    """The files cannot be used; the message says what to do."""


def load_certificate(certificate: Path, key: Path) -> ssl.SSLContext:
    """With Python's default ciphers, TLS 1.2 or newer, HTTP/1.1 only. Raises `CannotUseCertificate`."""
    for option, path in (("--tls-cert", certificate), ("--tls-key", key)):
        try:
            path.read_bytes()
        except OSError as error:
            raise CannotUseCertificate(
                f"{option}: {path} cannot be read ({error.strerror}); check the path and who may read it"
            ) from error
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    context.sslsocket_class = NonblockingSocket
    try:
        context.load_cert_chain(certificate, key, password=_refuse_password)
    except _HasPassword:
        raise CannotUseCertificate(
            f"--tls-key: {key} has a password; write it without one, readable by the receiver only: "
            "openssl pkey -in … -out …"
        ) from None
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise CannotUseCertificate(
                f"--tls-key: {key} is not the key of the certificate in {certificate}, whose first "
                "must be the receiver's own; give the two that were made together"
            ) from None
        raise CannotUseCertificate(
            f"--tls-cert, --tls-key: {certificate} and {key} are not a certificate chain and its key, both "
            "PEM; openssl x509 -in … -text and openssl pkey -in … -check show what is in them"
        ) from None
    return context


class _HasPassword(Exception):
    """OpenSSL asked for a password; without this it would ask on the terminal."""


def _refuse_password() -> str:
    raise _HasPassword


class NonblockingSocket(ssl.SSLSocket):
    """Raises `BlockingIOError` as other sockets do, so that callers need not tell them apart."""

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        try:
            return super().recv(buflen, flags)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise BlockingIOError from None

    def recv_into(self, buffer: Any, nbytes: int | None = None, flags: int = 0) -> int:
        try:
            return super().recv_into(buffer, nbytes, flags)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise BlockingIOError from None

    def send(self, data: Any, flags: int = 0) -> int:
        try:
            return super().send(data, flags)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise BlockingIOError from None
