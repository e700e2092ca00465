"""How a declared sender proves who it is: the schemes of `authentication`.

Each is enough alone. Of several, the first one counts whose header a request has, so that a right one does
not rescue a wrong one.
"""

import base64
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from receiver.sources.presented_tokens import basic_password, bearer_token
from receiver.sources.refusals import missing
from receiver.sources.request import PATH_TOKEN, Headers
from receiver.sources.signatures import (
    MOST_SIGNATURES,
    TOLERANCE,
    SignedBody,
    SignedClaim,
    Verification,
    standard_webhook_verification,
    token_verification,
)

ENCODERS: Final = MappingProxyType[str, Callable[[bytes], bytes]](
    {"hex": lambda digest: digest.hex().encode(), "base64": base64.b64encode}
)
DIGITS: Final = {"sha1": (40, 27, 1), "sha256": (64, 43, 1), "sha384": (96, 64, 0), "sha512": (128, 86, 2)}
"""Hash -> characters of its digest in hex, and in base64, and how many `=` follow the latter."""
SECONDS: Final = re.compile(r"[0-9]{1,12}")
SIGNED: Final = re.compile(r"(?:\{(?:id|timestamp)\}[!-~]?|v[0-9]+:){0,4}\{body\}")
LONGEST_HEADER: Final = 4_000


def _check_name(name: str) -> str:
    if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}", name):
        raise ValueError("is not the name of a header")
    return name.lower()


def _check_signed(signed: str) -> str:
    if not SIGNED.fullmatch(signed):
        raise ValueError(
            "is not like {body}, {timestamp}.{body} or {id}.{timestamp}.{body}; the body comes last"
        )
    return signed


HeaderName = Annotated[str, AfterValidator(_check_name)]


class Scheme(BaseModel, ABC):
    model_config = ConfigDict(extra="forbid", frozen=True)

    @property
    def credentials(self) -> frozenset[str]:
        """Headers that are not kept, as the secret may be in them."""
        return frozenset({"authorization"})

    @abstractmethod
    def is_presented(self, headers: Headers) -> bool:
        """Whether the request tries to prove itself in this way."""

    @abstractmethod
    def verification(
        self, headers: Headers, secrets: tuple[bytes, ...], received_at: datetime
    ) -> Verification | None:
        """As `Source.verification`, with the secrets of this sender."""

    @abstractmethod
    def proof(self) -> str:
        """What has to be sent, for the log."""

    def why_refused(self, headers: Headers, variable: str) -> str:
        return f"{self.proof()} matches no secret in {variable}"


class Hmac(Scheme):
    """A keyed hash of the body in a header, perhaps with a time that is signed too."""

    scheme: Literal["hmac"]
    header: HeaderName
    hash: Literal["sha1", "sha256", "sha384", "sha512"] = "sha256"
    encoding: Literal["hex", "base64"] = "hex"
    prefix: str = Field(default="", max_length=50)
    """Before each digest. A header may hold several, separated by commas, while a secret is changed."""
    signed: Annotated[str, AfterValidator(_check_signed)] = "{body}"
    signature_field: str | None = Field(default=None, max_length=50)
    """If the header is like `t=1700000000,v1=…`: the name before the signature (`v1`) …"""
    timestamp_field: str | None = Field(default=None, max_length=50)
    """… and the name before the time (`t`)."""
    timestamp_header: HeaderName | None = None
    id_header: HeaderName | None = None

    def is_presented(self, headers: Headers) -> bool:
        return self.header in headers

    def verification(
        self, headers: Headers, secrets: tuple[bytes, ...], received_at: datetime
    ) -> Verification | None:
        signatures = self._signatures(headers)
        if self.signature_field is None:
            # Others may be there, by newer versions of the scheme.
            signatures = [given for given in signatures if self._is_well_formed(given)]
        elif not all(map(self._is_well_formed, signatures)):
            return None
        prefix = self._signed_prefix(headers, received_at)
        if not signatures or prefix is None:
            return None
        encode, mark = ENCODERS[self.encoding], self.prefix.encode()
        return SignedBody(secrets, signatures, lambda digest: mark + encode(digest), prefix, self.hash)

    def _signatures(self, headers: Headers) -> list[str]:
        parts = [part.strip(" \t") for part in headers.get(self.header, "")[:LONGEST_HEADER].split(",")]
        if self.signature_field is not None:
            named = f"{self.signature_field}="
            parts = [part.removeprefix(named) for part in parts if part.startswith(named)]
        return parts[:MOST_SIGNATURES]

    def _is_well_formed(self, given: str) -> bool:
        digest = given.removeprefix(self.prefix)
        in_hex, in_base64, padding = DIGITS[self.hash]
        form = (
            f"[0-9a-f]{{{in_hex}}}"
            if self.encoding == "hex"
            else f"[A-Za-z0-9+/]{{{in_base64}}}={{{padding}}}"
        )
        return given.startswith(self.prefix) and bool(re.fullmatch(form, digest))

    def _signed_prefix(self, headers: Headers, received_at: datetime) -> bytes | None:
        """What is signed before the body; `None` if a part is missing, or the time is another."""
        template = self.signed.removesuffix("{body}")
        if "{timestamp}" in template:
            timestamp = self._timestamp(headers)
            if not SECONDS.fullmatch(timestamp) or abs(received_at.timestamp() - int(timestamp)) > TOLERANCE:
                return None
            template = template.replace("{timestamp}", timestamp)
        if "{id}" in template:
            identifier = headers.get(self.id_header or "", "")
            if not identifier:
                return None
            template = template.replace("{id}", identifier)
        return template.encode("utf-8", "surrogateescape")

    def _timestamp(self, headers: Headers) -> str:
        if self.timestamp_header is not None:
            return headers.get(self.timestamp_header, "")
        named = f"{self.timestamp_field}="
        parts = (part.strip(" \t") for part in headers.get(self.header, "")[:LONGEST_HEADER].split(","))
        return next((part.removeprefix(named) for part in parts if part.startswith(named)), "")

    def proof(self) -> str:
        return self.header

    def why_refused(self, headers: Headers, variable: str) -> str:
        is_timed = "{timestamp}" in self.signed
        is_malformed = not any(self._is_well_formed(given) for given in self._signatures(headers))
        if is_malformed or (is_timed and not SECONDS.fullmatch(self._timestamp(headers))):
            in_hex, in_base64, padding = DIGITS[self.hash]
            is_hex = self.encoding == "hex"
            digest = (
                f"{in_hex} hexadecimal digits" if is_hex else f"{in_base64 + padding} characters of base64"
            )
            mark = (f"{self.signature_field}=" if self.signature_field else "") + self.prefix
            time_too = ", and a time in seconds since 1970 is signed too" if is_timed else ""
            return f"{self.header} is malformed: it should be {mark and mark + ' and '}{digest}{time_too}"
        also = ", or the signed time is more than five minutes from this clock" if is_timed else ""
        return (
            f"{self.header} matches no secret in {variable}{also}, or something on the way changes the body"
        )


class StandardWebhooks(Scheme):
    """And Svix. https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md"""

    scheme: Literal["standard-webhooks"]

    def is_presented(self, headers: Headers) -> bool:
        return "webhook-signature" in headers or "svix-signature" in headers

    def verification(
        self, headers: Headers, secrets: tuple[bytes, ...], received_at: datetime
    ) -> Verification | None:
        return standard_webhook_verification(_unbranded(headers), secrets, received_at)

    def proof(self) -> str:
        return "webhook-signature"

    def why_refused(self, headers: Headers, variable: str) -> str:
        return (
            f"webhook-signature is malformed or matches no secret in {variable}, or webhook-timestamp is "
            "more than five minutes from this clock, or something on the way changes the body"
        )


class Jws(Scheme):
    """A JSON Web Signature by HS256 in a header; one of its claims is the SHA-256 of the body, in hex."""

    scheme: Literal["jws"]
    header: HeaderName
    claim: str = "sha256"

    def is_presented(self, headers: Headers) -> bool:
        return self.header in headers

    def verification(
        self, headers: Headers, secrets: tuple[bytes, ...], received_at: datetime
    ) -> Verification | None:
        return SignedClaim.of(headers.get(self.header, "")[:LONGEST_HEADER], self.claim, secrets)

    def proof(self) -> str:
        return self.header

    def why_refused(self, headers: Headers, variable: str) -> str:
        return (
            f"{self.header} is malformed or matches no secret in {variable}, or something on the way changes "
            "the body"
        )


class Bearer(Scheme):
    """`Authorization: Bearer` and the secret."""

    scheme: Literal["bearer"]

    def is_presented(self, headers: Headers) -> bool:
        return headers.get("authorization", "").partition(" ")[0].lower() == "bearer"

    def verification(
        self, headers: Headers, secrets: tuple[bytes, ...], received_at: datetime
    ) -> Verification | None:
        return token_verification(bearer_token(headers), secrets)

    def proof(self) -> str:
        return "the bearer token"


class Basic(Scheme):
    """`Authorization: Basic` with the secret as the password; any user name."""

    scheme: Literal["basic"]

    def is_presented(self, headers: Headers) -> bool:
        return headers.get("authorization", "").partition(" ")[0].lower() == "basic"

    def verification(
        self, headers: Headers, secrets: tuple[bytes, ...], received_at: datetime
    ) -> Verification | None:
        return token_verification(basic_password(headers), secrets)

    def proof(self) -> str:
        return "the password of Authorization"


class OwnHeader(Scheme):
    """A header whose value is the secret."""

    scheme: Literal["header"]
    header: HeaderName
    prefix: str = Field(default="", max_length=50)

    @property
    def credentials(self) -> frozenset[str]:
        return frozenset({"authorization", self.header})

    def is_presented(self, headers: Headers) -> bool:
        return self.header in headers

    def verification(
        self, headers: Headers, secrets: tuple[bytes, ...], received_at: datetime
    ) -> Verification | None:
        mark = self.prefix.encode()
        return token_verification(headers.get(self.header), [mark + secret for secret in secrets])

    def proof(self) -> str:
        return self.header


class PathToken(Scheme):
    """The secret as the last part of the URL's path, for senders that can send nothing else."""

    scheme: Literal["path"]

    def is_presented(self, headers: Headers) -> bool:
        return PATH_TOKEN in headers

    def verification(
        self, headers: Headers, secrets: tuple[bytes, ...], received_at: datetime
    ) -> Verification | None:
        return token_verification(headers.get(PATH_TOKEN), secrets)

    def proof(self) -> str:
        return "the token in the path"


AnyScheme = Annotated[
    Hmac | StandardWebhooks | Jws | Bearer | Basic | OwnHeader | PathToken, Field(discriminator="scheme")
]


def verification(
    schemes: Iterable[Scheme], headers: Headers, secrets: tuple[bytes, ...], received_at: datetime
) -> Verification | None:
    presented = next((scheme for scheme in schemes if scheme.is_presented(headers)), None)
    if presented is None or not secrets:
        return None
    return presented.verification(headers, secrets, received_at)


def explain_refusal(schemes: Iterable[Scheme], headers: Headers, variable: str, source: str) -> str:
    schemes = tuple(schemes)
    presented = next((scheme for scheme in schemes if scheme.is_presented(headers)), None)
    if presented is not None:
        return presented.why_refused(headers, variable)
    wanted = " or ".join(scheme.proof() for scheme in schemes)
    return missing(f"{wanted} is", source, headers, "compare docs/senders with the sender's settings")


def _unbranded(headers: Headers) -> Mapping[str, str]:
    """Svix-branded senders call the same headers `svix-…`."""
    if "webhook-signature" in headers:
        return headers
    names = ("id", "timestamp", "signature")
    return {f"webhook-{name}": headers.get(f"svix-{name}", "") for name in names}
