import base64
from typing import ClassVar

import pytest

from receiver.sources.jenkins import JENKINS
from receiver.sources.request import PATH_TOKEN
from receiver.sources.source import explain_refusal
from tests.support.source_security import OTHER_SECRET, RECEIVED_AT, SECRET, AuthenticRequests

RIGHT, WRONG = SECRET.decode(), OTHER_SECRET.decode()


def basic(password: str, user: str = "jenkins") -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def passes(headers: dict[str, str]) -> bool:
    return JENKINS.verify(headers, b"{}", {"JENKINS_WEBHOOK_TOKEN": (SECRET,)}, RECEIVED_AT)


class TestJenkinsBearerTokens(AuthenticRequests):
    source = JENKINS
    variable = "JENKINS_WEBHOOK_TOKEN"
    header = "authorization"
    body: ClassVar[bytes] = b'{"build":{"phase":"COMPLETED"}}'

    def sign(self, body: bytes, secret: bytes) -> dict[str, str]:
        return {self.header: f"Bearer {secret.decode()}"}


class TestJenkinsTokensInPaths(AuthenticRequests):
    source = JENKINS
    variable = "JENKINS_WEBHOOK_TOKEN"
    header = PATH_TOKEN
    body: ClassVar[bytes] = b'{"build":{"phase":"COMPLETED"}}'

    def sign(self, body: bytes, secret: bytes) -> dict[str, str]:
        return {self.header: secret.decode()}


def test_the_path_may_hold_a_token() -> None:
    assert JENKINS.takes_token_in_path


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_scheme_may_be_written_in_any_case(scheme: str) -> None:
    assert passes({"authorization": f"{scheme} {RIGHT}"})


def test_the_password_of_a_url_is_a_token() -> None:
    assert passes({"authorization": basic(RIGHT)})
    assert passes({"authorization": basic(RIGHT, user="")})
    assert not passes({"authorization": basic(WRONG)})
    assert not passes({"authorization": basic("x", user=RIGHT)})
    assert not passes({"authorization": basic("")})


@pytest.mark.parametrize(
    "given",
    [
        "Basic",
        "Basic ",
        "Basic !",
        "Basic é",
        "Basic " + base64.b64encode(RIGHT.encode()).decode(),
        "Basic " + base64.b64encode(b"jenkins:\xff\xfe").decode(),
        basic(RIGHT)[:-2],
        basic(RIGHT) + "=",
        f"Basic {RIGHT}",
        f"Digest {RIGHT}",
        f"Token {RIGHT}",
        RIGHT,
        f"Bearer  {RIGHT}",
        f"Bearer {RIGHT} {RIGHT}",
        f"Bearer {basic(RIGHT)}",
    ],
)
def test_what_is_not_quite_a_token_fails(given: str) -> None:
    assert not passes({"authorization": given})


@pytest.mark.parametrize("header", [f"Bearer {WRONG}", basic(WRONG), "Digest x", "Bearer ", ""])
def test_a_right_token_in_the_path_does_not_rescue_a_wrong_header(header: str) -> None:
    assert not passes({"authorization": header, PATH_TOKEN: RIGHT})


def test_a_right_header_does_not_rescue_a_wrong_token_in_the_path() -> None:
    assert not passes({"authorization": f"Bearer {RIGHT}", PATH_TOKEN: WRONG})
    assert passes({"authorization": f"Bearer {RIGHT}", PATH_TOKEN: RIGHT})


@pytest.mark.parametrize(
    ("headers", "says"),
    [
        ({}, "Authorization and a token in the path are missing"),
        ({"authorization": f"Digest {RIGHT}"}, "Authorization is malformed"),
        ({"authorization": RIGHT}, "Authorization is malformed"),
        ({"authorization": "", PATH_TOKEN: RIGHT}, "Authorization is malformed"),
        ({"authorization": basic(WRONG)}, "the token in Authorization matches no secret"),
        ({PATH_TOKEN: WRONG}, "the token in the path matches no secret"),
        (
            {"authorization": f"Bearer {WRONG}", PATH_TOKEN: RIGHT},
            "the token in Authorization and the path matches",
        ),
    ],
)
def test_the_log_says_which_token_is_wrong(headers: dict[str, str], says: str) -> None:
    reason = explain_refusal(JENKINS, headers, b"")
    assert reason is not None
    assert reason.startswith(says)
    assert RIGHT not in reason
    assert WRONG not in reason


def test_no_other_header_is_a_way_in() -> None:
    for name in ("x-jenkins-token", "x-gitlab-token", "path-token", "proxy-authorization", "ce-token"):
        assert not passes({name: RIGHT})
        assert not passes({name: f"Bearer {RIGHT}"})
