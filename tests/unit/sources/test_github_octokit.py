"""All examples that octokit has collected become something or are ignored, however the receiver is set up."""

from typing import Any

import pytest

from receiver.sources.github import GITHUB
from receiver.sources.github.payload import Options
from receiver.sources.not_translated import Ignored, Untranslatable
from receiver.sources.source import Translation, translate
from tests.support.github import received
from tests.support.octokit import Example, examples

EXAMPLES = examples()
EVERYTHING: dict[str, Any] = {
    "events": ("*",),
    "workflows": ("*",),
    "incident_labels": ("*",),
    "alert_severity": "low",
}


def outcome(example: Example, **options: Any) -> Translation | Ignored | Untranslatable:
    try:
        return translate(GITHUB, received(example.body, example.event), Options(**options))
    except (Ignored, Untranslatable) as reason:
        return reason


def test_they_are_all_there() -> None:
    assert sum(example.found.get("api.github.com", 0) for example in EXAMPLES) == 329
    servers = {folder for example in EXAMPLES for folder in example.found} - {"api.github.com"}
    assert servers == {"ghes-31", "ghes-32", "ghes-33", "ghes-34", "ghes-35"}
    assert len({(example.event, example.body) for example in EXAMPLES}) == len(EXAMPLES) == 404


@pytest.mark.parametrize("options", [{}, EVERYTHING], ids=["as it comes", "everything on"])
@pytest.mark.parametrize("mode", ["point", "span"])
def test_none_is_quarantined(options: dict[str, Any], mode: str) -> None:
    for example in EXAMPLES:
        found = outcome(example, **options, deployments=mode)
        assert not isinstance(found, Untranslatable), (example.event, found)


def test_as_it_comes_deploys_releases_and_dispatches_are_drawn() -> None:
    drawn = [
        example for example in EXAMPLES if isinstance(outcome(example, deployments="point"), Translation)
    ]
    counts = {
        event: sum(example.event == event for example in drawn) for event in {found.event for found in drawn}
    }
    assert counts == {"deployment_status": 4, "release": 4, "repository_dispatch": 2}


def test_with_everything_on_all_that_the_table_names_is_drawn() -> None:
    drawn = {
        example.event
        for example in EXAMPLES
        if isinstance(outcome(example, **EVERYTHING, deployments="span"), Translation)
    }
    never_collected = {
        "branch_protection_configuration",
        "repository_ruleset",
        "custom_property_values",
        "security_and_analysis",
    }
    assert drawn == {feature.event for feature in GITHUB.features if feature.type} - never_collected
