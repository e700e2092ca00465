"""Certificates for 127.0.0.1, made while a test runs: those of an authority, and self-signed ones."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

LOCAL: Final = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
AUTHORITY: Final = x509.BasicConstraints(ca=True, path_length=0)
SIGNS_CERTIFICATES: Final = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)


@dataclass(frozen=True)
class Certificate:
    path: Path
    key: Path
    serial_number: int

    @property
    def options(self) -> tuple[str, ...]:
        return ("--tls-cert", str(self.path), "--tls-key", str(self.key))


def make_certificate(folder: Path, name: str = "receiver", password: bytes | None = None) -> Certificate:
    """Trusted by whoever trusts itself. Writes `<name>.crt` and `<name>.key`, over those that are there."""
    key = generate_private_key(SECP256R1())
    certificate = _signed(name, key, name, key, LOCAL)
    path = _write(folder / f"{name}.crt", certificate.public_bytes(Encoding.PEM))
    return Certificate(path, _write_key(folder / f"{name}.key", key, password), certificate.serial_number)


class Authority:
    """Signs certificates; its own is `<folder>/<name>.pem`, each of theirs has its key beside it."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._name = name
        self._key = generate_private_key(SECP256R1())
        own = _signed(name, self._key, name, self._key, AUTHORITY)
        self.certificate = _write(folder / f"{name}.pem", own.public_bytes(Encoding.PEM))

    def issue(self, name: str) -> tuple[Path, Path]:
        """A certificate of a server or a client, and its key."""
        key = generate_private_key(SECP256R1())
        certificate = _signed(name, key, self._name, self._key, LOCAL)
        path = _write(self._folder / f"{name}.pem", certificate.public_bytes(Encoding.PEM))
        return path, _write_key(self._folder / f"{name}.key", key)


def _signed(
    name: str,
    key: EllipticCurvePrivateKey,
    issuer: str,
    issuers_key: EllipticCurvePrivateKey,
    extension: x509.ExtensionType,
) -> x509.Certificate:
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_named(name))
        .issuer_name(_named(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(extension, critical=extension is AUTHORITY)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuers_key.public_key()), critical=False
        )
    )
    if extension is AUTHORITY:
        # Since Python 3.13 clients insist on it (RFC 5280, section 4.2.1.3).
        builder = builder.add_extension(SIGNS_CERTIFICATES, critical=True)
    return builder.sign(issuers_key, SHA256())


def _write_key(path: Path, key: EllipticCurvePrivateKey, password: bytes | None = None) -> Path:
    encryption = BestAvailableEncryption(password) if password else NoEncryption()
    return _write(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))


def _write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    path.chmod(0o600)
    return path


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
