"""Chance that can be repeated."""

from random import Random


def seeded(seed: int) -> Random:
    return Random(seed)  # noqa: S311 - chooses what is sent and broken, keeps no secret
