"""The core of `make chaos`: small enough for every run of the tests, the same trouble each time."""

from pathlib import Path

import pytest

from tests.chaos.run import Plan, run

PLAN = Plan(
    deliveries=200,
    seconds=8.0,
    limit=150.0,
    seed=20_260,
    away=1.5,
    pause=(0.2, 1.2),
    api_phase=1.0,
    is_hasty=True,
)


@pytest.mark.timeout(240)  # the plan gives it 150
def test_what_senders_got_a_2xx_for_is_listed_once_and_as_it_ended(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    verdict = run(PLAN, tmp_path)
    table = "\n".join(verdict.lines())
    assert verdict.is_good, f"{table}\nthe logs are in {tmp_path}"
    # Otherwise the run has proved nothing.
    assert verdict.figures["deliveries taken (2xx)"] >= 0.8 * PLAN.deliveries
    assert verdict.broken["power failure"] == 1
    assert sum(verdict.broken.values()) >= 5, table
