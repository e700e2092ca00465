"""One run: load and disturbances together, quiet, and the verdict."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import requests
from redis.exceptions import RedisError

from tests.chaos.disturbances import Disturbances
from tests.chaos.full_storage import FullStorage
from tests.chaos.load import Load
from tests.chaos.regimes import FULL_STORAGE, REGIMES, USUAL
from tests.chaos.rig import Rig, running_rig
from tests.chaos.seeds import seeded
from tests.chaos.senders import Storyteller
from tests.chaos.verdict import Verdict, judge, sending_figures

POLL: Final = 0.1
SETTLE: Final = 30
HASTY_SETTLE: Final = 6
"""Seconds; the API's requests take less than this here, as they take less than the other where it is real."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is sent and broken. `is_hasty` does not wait out the pauses between tries at the end."""

    deliveries: int
    seconds: float
    limit: float
    seed: int
    away: float = 20.0
    pause: tuple[float, float] = (0.5, 4.0)
    api_phase: float = 3.0
    is_hasty: bool = False
    regime: str = USUAL


def run(plan: Plan, folder: Path) -> Verdict:
    """Send, break, wait until all is quiet, compare; the logs are in the folder."""
    began = time.monotonic()
    random = seeded(plan.seed)
    regime = REGIMES[plan.regime]
    storyteller = Storyteller(random, datetime.now(UTC), has_disliked=regime.has_disliked)
    stories = list(storyteller.stories(plan.deliveries))
    parcels = [parcel for story in stories for parcel in story.parcels]
    verdict = Verdict()
    with running_rig(folder, settle=HASTY_SETTLE if plan.is_hasty else SETTLE) as rig:
        rig.start()
        load = Load(parcels, random, plan.seconds, lambda: rig.url)
        kind = FullStorage if plan.regime == FULL_STORAGE else Disturbances
        disturbances = kind(rig, random, regime, away=plan.away, pause=plan.pause, api_phase=plan.api_phase)
        load_began = time.monotonic()
        try:
            load.start()
            disturbances.start()
            while time.monotonic() - load_began < plan.seconds and not load.is_done():
                time.sleep(POLL)
            disturbances.stop()
            rig.api.set_faults(list(regime.always))
            disturbances.power_failure()
            quiet_from = time.monotonic()
            verdict.troubles += _wait_until_quiet(rig, load, began + plan.limit, is_hasty=plan.is_hasty)
        finally:
            disturbances.stop()
            load.stop()
        verdict.troubles += [f"a disturbance failed: {failure!r}" for failure in disturbances.failures]
        rig.api.set_faults([])
        markers = [marker for story in stories for marker in story.markers]
        judge(verdict, markers, load.ledger, rig.events(), rig.dead_letters())
        verdict.broken = disturbances.done
        verdict.figures = sending_figures(load.planned, load.ledger) | {
            "spooled": rig.ever_spooled(),
            "dead letters": len(rig.dead_letters()),
            "tries put off": rig.logged("not delivered yet"),
            "reconciled by look-up": rig.logged(" found "),
            "taken over from the dead": rig.logged("took over from a dead worker"),
            "unforeseen failures": rig.logged("delivery failed"),
            "events listed": len(rig.events()),
            "seconds until quiet": time.monotonic() - quiet_from,
            "seconds in all": time.monotonic() - began,
        }
    return verdict


def _wait_until_quiet(rig: Rig, load: Load, deadline: float, *, is_hasty: bool) -> list[str]:
    """Nothing to send, nothing in the spool, nothing queued; what there still is when time is up."""
    waiting: dict[str, int] = {"not looked at yet": 1}
    while time.monotonic() < deadline:
        try:
            if is_hasty:
                rig.hasten()
            waiting = {"to be sent": load.left()} if load.left() else rig.waiting()
        except (RedisError, requests.RequestException) as error:
            waiting = {f"no answer: {error}": 1}
        if not waiting:
            return []
        time.sleep(POLL)
    return [f"not quiet in time: {waiting}"]
