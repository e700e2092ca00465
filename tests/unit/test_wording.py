"""How versions, releases and durations are written on a chart, the same for all senders."""

from datetime import timedelta

import pytest

from receiver.wording import describe_release, describe_version, duration

COMMIT = "279484c09fbe69ededfced8c1bb6e6d24616b468"


@pytest.mark.parametrize(
    ("ref", "version"),
    [
        ("main", "main@279484c"),
        ("v2.3.1", "v2.3.1"),
        ("2026.11", "2026.11"),
        ("checkout-v1.4.0-rc.2", "checkout-v1.4.0-rc.2"),
        ("@acme/cart@3.0.0", "@acme/cart@3.0.0"),
        ("release/2026.11", "release/2026.11@279484c"),
        ("hotfix/v2.3.1", "hotfix/v2.3.1@279484c"),
        ("release/shop-2.3.1", "release/shop-2.3.1@279484c"),
        ("refs/heads/2026.11", "2026.11@279484c"),
        ("refs/tags/release/2026.11", "release/2026.11"),
        (COMMIT, "279484c"),
        (None, "279484c"),
    ],
)
def test_a_branch_keeps_the_commit_and_a_tag_needs_none(ref: str | None, version: str) -> None:
    assert describe_version(ref, COMMIT) == version


@pytest.mark.parametrize(
    ("name", "tag", "said"),
    [
        ("Release 2.3.1", "v2.3.1", "v2.3.1"),
        ("release v2.3.1", "v2.3.1", "v2.3.1"),
        ("Version 2.3.1", "2.3.1", "2.3.1"),
        ("v2.3.1", "v2.3.1", "v2.3.1"),
        ("2.3.1", "v2.3.1", "v2.3.1"),
        ("Release", "v2.3.1", "v2.3.1"),
        ("4.2", "shop-api-4.2", "shop-api-4.2"),
        ("2.3.1 Summer", "v2.3.1", "v2.3.1 Summer"),
        ("Release 2.3.1: Summer", "v2.3.1", "v2.3.1: Summer"),
        ("Summer 2.3.1", "v2.3.1", "Summer v2.3.1"),
        ("Summer", "v2.3.1", "v2.3.1: Summer"),
        ("Release notes", "v2.3.1", "v2.3.1: Release notes"),
        ("12.3.10", "v2.3.1", "v2.3.1: 12.3.10"),
        ("2.3.1-rc.1", "v2.3.1", "v2.3.1: 2.3.1-rc.1"),
        (r"\\1", "v2.3.1", r"v2.3.1: \\1"),
        ("v1+ (", "v1+ (", "v1+ ("),
        (None, "v2.3.1", "v2.3.1"),
        ("Summer", None, "Summer"),
        (None, None, ""),
    ],
)
def test_a_release_is_called_by_its_tag_and_by_what_its_name_says_besides(
    name: str | None, tag: str | None, said: str
) -> None:
    assert describe_release(name, tag) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-5, "0 s"),
        (45, "45 s"),
        (303, "5 min 3 s"),
        (7800, "2 h 10 min"),
        (273_600, "3 d 4 h"),
        (3600, "1 h"),
    ],
)
def test_a_duration_has_two_units_at_most(seconds: int, said: str) -> None:
    assert duration(timedelta(seconds=seconds)) == said
