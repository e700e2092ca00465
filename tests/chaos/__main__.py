"""`make chaos`: 0 missing, 0 double, 0 wrong, or exit code 1 and the logs' folder.

Uses only 127.0.0.1 and unix sockets; ends every process it started, also on Ctrl-C.
"""

import argparse
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import SystemRandom
from types import FrameType
from typing import Final

from tests.chaos import budget
from tests.chaos.regimes import FULL_STORAGE, REGIMES, USUAL
from tests.chaos.run import Plan, run
from tests.support.disks import CannotMount, small_disk

DELIVERIES: Final = 5_000
DELIVERIES_OF_A_REGIME: Final = 1_500
QUICK_DELIVERIES: Final = 400
SECONDS_LIMIT: Final = 900.0
MEBIBYTES: Final = 8
"""Of the spool's disk, if that is to be filled."""
PER_SECOND: Final = 30
"""Deliveries begun in a second: enough to keep two cores busy beside the disturbances."""
STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--deliveries", type=int, help=f"in each run ({DELIVERIES})")
    parser.add_argument("--seconds-limit", type=float, default=SECONDS_LIMIT, help="give up after these")
    parser.add_argument("--seed", type=int, help="what is sent and broken, and in which order")
    parser.add_argument("--quick", action="store_true", help="under a minute")
    parser.add_argument("--regime", choices=REGIMES, action="append", help="only these; all by default")
    parser.add_argument("--seeds", type=int, default=1, help="how many runs of each regime")
    parser.add_argument("--budget", action="store_true", help="the proof of the budget instead")
    parser.add_argument("--keep", action="store_true", help="keep the logs in any case")
    arguments = parser.parse_args()
    for number in STOP_SIGNALS:
        signal.signal(number, _stop)
    folder = Path(tempfile.mkdtemp(prefix="apitraffic-chaos-"))
    try:
        is_good = _pace(arguments, folder) if arguments.budget else _break(arguments, folder)
    except KeyboardInterrupt:
        shutil.rmtree(folder, ignore_errors=True)
        sys.exit("stopped; everything that was started has ended")
    except BaseException:
        _say(f"the logs are in {folder}")
        raise
    if is_good and not arguments.keep:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        _say(f"the logs are in {folder}")
    sys.exit(0 if is_good else 1)


def _break(arguments: argparse.Namespace, folder: Path) -> bool:
    """All regimes, each with so many seeds; the table comes last."""
    regimes = arguments.regime or list(REGIMES)
    first = SystemRandom().randrange(10**6) if arguments.seed is None else arguments.seed
    rows = []
    for regime in regimes:
        for seed in range(first, first + arguments.seeds):
            plan = _plan(arguments, regime, seed)
            _say(f"chaos: {regime}, {plan.deliveries} deliveries in {plan.seconds:.0f} s, seed {seed}")
            of_run = folder / f"{regime.replace(' ', '-')}-{seed}"
            with _spool_disk(of_run, is_small=regime == FULL_STORAGE):
                verdict = run(plan, of_run)
            for line in verdict.lines():
                _say(line)
            _say("")
            rows.append((regime, seed, verdict))
    _say("| regime | seed | taken (2xx) | listed | missing | double | wrong | other troubles |")
    _say("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for regime, seed, verdict in rows:
        taken, listed = (verdict.figures[name] for name in ("deliveries taken (2xx)", "events listed"))
        found = (len(each) for each in (verdict.missing, verdict.double, verdict.wrong, verdict.troubles))
        _say(f"| {regime} | {seed} | {taken:,} | {listed:,} | {' | '.join(map(str, found))} |")
    return all(verdict.is_good for _, _, verdict in rows)


def _plan(arguments: argparse.Namespace, regime: str, seed: int) -> Plan:
    usual = DELIVERIES if regime == USUAL else DELIVERIES_OF_A_REGIME
    deliveries = arguments.deliveries or (QUICK_DELIVERIES if arguments.quick else usual)
    return Plan(
        deliveries=deliveries,
        seconds=max(15.0, deliveries / PER_SECOND),
        limit=arguments.seconds_limit,
        seed=seed,
        away=3.0 if arguments.quick else 20.0,
        is_hasty=arguments.quick,
        regime=regime,
    )


@contextmanager
def _spool_disk(folder: Path, *, is_small: bool) -> Iterator[None]:
    """For the spool of this run; a small one takes the right to mount it, and is left out without it."""
    with ExitStack() as mounted:
        if is_small:
            folder.mkdir(parents=True, exist_ok=True)
            try:
                mounted.enter_context(small_disk(folder / "spool", MEBIBYTES))
            except CannotMount as refused:
                _say(str(refused))
        yield


def _pace(arguments: argparse.Namespace, folder: Path) -> bool:
    report = budget.prove(budget.QUICK if arguments.quick else budget.FULL, folder, arguments.seconds_limit)
    for line in report.lines():
        _say(line)
    return report.is_good


def _stop(_number: int, _frame: FrameType | None) -> None:
    """Once: an impatient second Ctrl-C would leave processes behind."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _say(what: str) -> None:
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
