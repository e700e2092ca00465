"""The regime of `make chaos` in which Redis and the spool's disk fill up, small enough for every run."""

from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from tests.chaos.regimes import FULL_STORAGE
from tests.chaos.run import run
from tests.e2e.test_chaos_core import PLAN
from tests.support.disks import CannotMount, small_disk


@pytest.mark.timeout(240)  # the plan gives it 150
def test_what_was_accepted_while_storage_was_full_is_listed_once_and_as_it_ended(tmp_path: Path) -> None:
    with ExitStack() as mounted:
        # Without the right to mount a disk, only Redis is filled.
        with suppress(CannotMount):
            mounted.enter_context(small_disk(tmp_path / "spool", mebibytes=4))
        verdict = run(replace(PLAN, regime=FULL_STORAGE), tmp_path)
    table = "\n".join(verdict.lines())
    assert verdict.is_good, f"{table}\nthe logs are in {tmp_path}"
    assert verdict.figures["spooled"] > 0
    assert any("full" in trouble for trouble in verdict.broken), table
