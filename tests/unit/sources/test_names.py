from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.wording import describe_version, duration
from tests.support.properties import any_text, reproducible

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    "tag", ["v2.3.1", "2.3.1", "2026.11", "checkout-v1.4.0-rc.2", "@acme/cart@3.0.0", "v1.0+build.7"]
)
def test_a_tag_stands_for_itself(tag: str) -> None:
    assert describe_version(tag, COMMIT) == tag
    assert describe_version(f"refs/tags/{tag}", COMMIT) == tag
    assert describe_version(tag, None) == tag


def test_what_is_said_to_be_a_tag_is_one_whatever_it_looks_like() -> None:
    assert describe_version("refs/tags/autumn", COMMIT) == "autumn"


@pytest.mark.parametrize(
    "branch", ["main", "feature/cart", "v2", "release", "2026", "fix-#12", "refs/pull/7/merge"]
)
def test_a_branch_is_told_apart_by_its_commit(branch: str) -> None:
    assert describe_version(branch, COMMIT) == f"{branch}@0123456"
    assert describe_version(branch, None) == branch


@pytest.mark.parametrize("branch", ["main", "v2.3", "release/2.3.1"])
def test_what_is_said_to_be_a_branch_is_one_whatever_it_looks_like(branch: str) -> None:
    assert describe_version(f"refs/heads/{branch}", COMMIT) == f"{branch}@0123456"


@pytest.mark.parametrize("ref", [COMMIT, COMMIT[:7], COMMIT[:10], None, ""])
def test_a_commit_is_written_short(ref: str | None) -> None:
    assert describe_version(ref, COMMIT) == "0123456"


def test_a_commit_alone_in_the_ref_is_written_short() -> None:
    assert describe_version(COMMIT, None) == "0123456"


def test_a_branch_that_only_looks_like_a_commit_is_a_branch() -> None:
    assert describe_version("deadbeef", COMMIT) == "deadbeef@0123456"


def test_nothing_known_is_nothing_said() -> None:
    assert describe_version(None, None) == ""
    assert describe_version("", "") == ""


@reproducible
@given(st.one_of(st.none(), any_text), st.one_of(st.none(), any_text))
def test_no_ref_or_commit_raises(ref: str | None, commit: str | None) -> None:
    assert isinstance(describe_version(ref, commit), str)


@pytest.mark.parametrize(
    "ref", ["1." * 250, "-1.1" * 125, "/" * 500, "@v1.1-a" * 70 + "!", "1.1" * 160 + "!", "a" * 500 + "!"]
)
def test_a_ref_made_to_be_slow_is_not(ref: str) -> None:
    # Takes minutes where the pattern can backtrack without bound.
    assert describe_version(ref, COMMIT)


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (-5, "0 s"),
        (0, "0 s"),
        (0.4, "0 s"),
        (1, "1 s"),
        (45, "45 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (60, "1 min"),
        (303, "5 min 3 s"),
        (3599.7, "1 h"),
        (3600, "1 h"),
        (3660, "1 h 1 min"),
        (7800, "2 h 10 min"),
        (86_399, "23 h 59 min"),
        (86_400, "1 d"),
        (273_600, "3 d 4 h"),
        (86_400 * 400, "400 d"),
    ],
)
def test_a_duration_in_its_two_largest_units(seconds: float, written: str) -> None:
    assert duration(timedelta(seconds=seconds)) == written
