"""How figures are written in a line of text: short, and never rounded to what they are not."""

from typing import Final

SMALLEST: Final = 0.001
TEN_SECONDS: Final = 10_000
"""Milliseconds. From here on a response time is written in seconds."""
THOUSAND: Final = 1_000
UNITS: Final = ("", " k", " M", " G")


def short(value: float) -> str:
    """`0`, `0.04`, `2.1`, `310`: two significant digits below ten, whole numbers from there on.

    What is not 0 is not written as 0: below a thousandth it is `< 0.001`.
    """
    if value == 0:
        return "0"
    if value < SMALLEST:
        return f"< {SMALLEST}"
    digits = 1
    while value * 10**digits < 10:  # noqa: PLR2004 - two significant digits
        digits += 1
    rounded = round(value, digits)
    return f"{rounded:.0f}" if rounded >= 10 else f"{rounded:.{digits}f}".rstrip("0").rstrip(".")  # noqa: PLR2004


def percent(value: float) -> str:
    """`0.3 %`; what is below 100 is not written as 100."""
    if 99.5 <= value < 100:  # noqa: PLR2004
        return f"{min(value, 99.9):.1f} %"
    return f"{short(value)} %"


def percent_change(before: float, after: float) -> str:
    """`0.3 % → 2.1 %`."""
    return f"{percent(before)} → {percent(after)}"


def time_change(before: float, after: float) -> str:
    """`145 → 310 ms`, `0.15 → 12 s`; both values are in milliseconds."""
    if max(before, after) >= TEN_SECONDS:
        return f"{short(before / THOUSAND)} → {short(after / THOUSAND)} s"
    return f"{short(before)} → {short(after)} ms"


def count(value: float) -> str:
    """`0`, `310`, `1.2 k`, `12 k`, `1.2 M`; for counts, of which Prometheus estimates fractions."""
    if 0 < value < 1:
        return "< 1"
    amount, unit = float(round(value)), 0
    while amount >= THOUSAND and unit < len(UNITS) - 1:
        amount, unit = amount / THOUSAND, unit + 1
        if round(amount) == THOUSAND:
            amount = THOUSAND
    return f"{short(amount)}{UNITS[unit]}"


def requests(value: float) -> str:
    """`1 request`, `1.2 k requests`."""
    said = count(value)
    return f"{said} {'request' if said == '1' else 'requests'}"
