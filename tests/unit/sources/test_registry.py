from importlib import import_module

import pytest

from receiver.sources import SOURCES
from receiver.sources.request import MIB
from receiver.sources.source import explain_refusal
from tests.support.source_fixtures import cases
from tests.support.source_security import AuthenticRequests

NAMES = sorted(SOURCES)


@pytest.mark.parametrize("name", NAMES)
def test_every_source_is_registered_under_its_name_and_has_a_secret(name: str) -> None:
    assert SOURCES[name].name == name
    assert SOURCES[name].title
    assert SOURCES[name].secret_variables


@pytest.mark.parametrize("name", NAMES)
def test_every_source_is_held_to_the_security_rules(name: str) -> None:
    tests = vars(import_module(f"tests.unit.sources.test_{name}_security"))
    inherit = [
        test
        for title, test in tests.items()
        if title.startswith("Test") and isinstance(test, type) and issubclass(test, AuthenticRequests)
    ]
    assert any(test.source is SOURCES[name] for test in inherit)


@pytest.mark.parametrize("name", NAMES)
def test_every_source_explains_what_it_refuses(name: str) -> None:
    assert explain_refusal(SOURCES[name], {}, b"")


@pytest.mark.parametrize("name", NAMES)
def test_every_source_has_fixtures(name: str) -> None:
    assert cases(name)


def test_no_two_sources_share_a_secret_variable() -> None:
    variables = [variable for source in SOURCES.values() for variable in source.secret_variables]
    assert len(variables) == len(set(variables))


def test_github_bodies_may_have_what_github_sends_at_most() -> None:
    assert SOURCES["github"].body_limit == 25 * MIB
