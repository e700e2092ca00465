import pytest

from receiver.sources.signatures import github_verification, matches_any


@pytest.mark.parametrize("given", [None, ""])
@pytest.mark.parametrize("expected", [[], [b""], [b"", b"x"]])
def test_nothing_never_matches_not_even_an_empty_expectation(
    given: str | None, expected: list[bytes]
) -> None:
    assert matches_any(given, expected) is False


@pytest.mark.parametrize("expected", [[b"a", b"b", b"c"], [b"c", b"b", b"a"], [b"b"], [b"b", b"b"]])
def test_one_of_several_is_enough_wherever_it_stands(expected: list[bytes]) -> None:
    assert matches_any("b", expected) is True


@pytest.mark.parametrize("given", ["B", "b ", " b", "bb", "ß", "\udcff", "a, b"])
def test_it_must_be_the_same_to_the_last_byte(given: str) -> None:
    assert matches_any(given, [b"a", b"b"]) is False


def test_github_signs_with_lower_case_hex_over_the_body_in_any_parts() -> None:
    right = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    verification = github_verification(right, [b"It's a Secret to Everybody"])
    assert verification is not None
    for part in (b"Hello", memoryview(b", "), b"", b"World!"):
        verification.update(part)
    assert verification.is_authentic() is True
    assert github_verification(right.upper(), [b"It's a Secret to Everybody"]) is None
