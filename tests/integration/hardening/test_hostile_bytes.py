"""The short, deterministic part of `make fuzz`."""

import itertools
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.fuzz.wire import AUTHENTIC, JSON, MALFORMED, NO_FAILURE, answers, authentic, mutations
from tests.support.stack import Stack, running_stack


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """At the end none of all this has left a traceback in its log."""
    folder: Path = tmp_path_factory.mktemp("served")
    with running_stack(folder) as stack:
        stack.receiver.start()
        yield stack
        assert requests.get(f"{stack.url}/healthz", timeout=30).ok
        assert "Traceback" not in stack.receiver.log()


@pytest.mark.parametrize("case", MALFORMED)
def test_what_is_malformed_is_refused_and_smuggles_nothing(served: Stack, case: str) -> None:
    found = answers(served.url, MALFORMED[case])
    assert set(found) <= NO_FAILURE - AUTHENTIC
    assert len(found) <= 1


@pytest.mark.parametrize("case", JSON)
def test_whatever_is_signed_gets_a_2xx(served: Stack, case: str) -> None:
    found = answers(served.url, authentic(JSON[case]))
    assert len(found) == 1
    assert set(found) <= AUTHENTIC


def test_a_compressed_body_is_not_unpacked(served: Stack) -> None:
    sent = authentic(b"\x1f\x8b\x08\x00").replace(
        b"Connection: close", b"Connection: close\r\nContent-Encoding: gzip"
    )
    assert set(answers(served.url, sent)) <= AUTHENTIC


def test_a_request_is_the_same_however_it_is_cut(served: Stack) -> None:
    chunked = authentic(b"[]", framing=b"1;a=b\r\n[\r\n1\r\n]\r\n0\r\nX-Trailer: 1\r\n\r\n")
    for sent in (authentic(b"{}"), chunked):
        head = sent.index(b"\r\n\r\n")
        for cut in (1, head, head + 2, head + 3, head + 4, head + 5, len(sent) - 3, len(sent) - 1):
            assert answers(served.url, sent, [cut]) in ([200], [202]), cut


def test_mutations_break_nothing(served: Stack) -> None:
    for sent, pieces in itertools.islice(mutations(random.Random(7)), 150):  # noqa: S311 - to be the same each time
        assert set(answers(served.url, sent, pieces)) <= NO_FAILURE, (sent, pieces)
