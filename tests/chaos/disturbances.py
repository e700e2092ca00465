"""What goes wrong, at random but the same for the same seed: processes, Redis and the API each by themselves.

Three threads, so that a worker may die while Redis is away and the API fails. Each shuffles what it can do
and does all of it before it begins anew.
"""

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from random import Random
from typing import Final

from tests.chaos.regimes import Regime
from tests.chaos.rig import Rig
from tests.chaos.seeds import seeded

REFUSAL: Final = ("status=401",)
"""Once in a run: it stops the line, which looks only every minute whether it is let in again."""


class Disturbances:
    """Runs until stopped; then everything that was taken down is up again."""

    def __init__(
        self,
        rig: Rig,
        random: Random,
        regime: Regime,
        *,
        away: float,
        pause: tuple[float, float],
        api_phase: float,
    ) -> None:
        """`away` is how long Redis is stopped for at a time, `pause` the time between two troubles of a kind.

        The API's faults hold for `api_phase` seconds each, with less than that between them.
        """
        self._rig = rig
        self._regime = regime
        self._away = away
        self._api_phase = api_phase
        self._stopped = threading.Event()
        self.done: Counter[str] = Counter()
        self.failures: list[BaseException] = []
        refusal = [self._order(REFUSAL)] if regime.refuses_once else []
        self._threads = [
            threading.Thread(target=self._trouble, args=(seeded(random.randrange(10**9)), *kind), daemon=True)
            for kind in (
                (self._process_troubles(), pause, ()),
                (self._redis_troubles(), pause, ()),
                (self._api_troubles(), (0.0, api_phase / 2), refusal),
            )
        ]

    def start(self) -> None:
        self._rig.api.set_faults(list(self._regime.always))
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stopped.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(timeout=90)

    def power_failure(self) -> None:
        """All at once: nobody is left who could have finished anything."""
        rig = self._rig
        for program in (*rig.workers, rig.receiver):
            program.kill()
        rig.redis_process.kill()
        rig.redis_process.start()
        rig.start()
        self.done["power failure"] += 1

    def _trouble(
        self,
        random: Random,
        troubles: Sequence[Callable[[Random], str]],
        pause: tuple[float, float],
        once: Sequence[Callable[[Random], str]],
    ) -> None:
        try:
            for trouble in _shuffled_for_ever(random, troubles, once):
                if self._stopped.wait(random.uniform(*pause)):
                    return
                self.done[trouble(random)] += 1
        except BaseException as failure:  # noqa: BLE001 - the run fails with it, in its own thread
            self.failures.append(failure)

    def _process_troubles(self) -> list[Callable[[Random], str]]:
        return [
            self._kill_worker,
            self._kill_worker,
            self._kill_receiver_process,
            self._kill_receiver_process,
            self._kill_receiver,
            self._freeze_worker,
        ]

    def _redis_troubles(self) -> list[Callable[[Random], str]]:
        return [self._kill_redis, self._kill_redis, self._freeze_redis, self._stop_redis]

    def _api_troubles(self) -> list[Callable[[Random], str]]:
        return [self._order(faults) for faults in self._regime.at_times]

    def _kill_worker(self, random: Random) -> str:
        worker = random.choice(self._rig.workers)
        worker.kill()
        time.sleep(random.uniform(0, 1))
        worker.start()
        return "worker killed"

    def _freeze_worker(self, random: Random) -> str:
        worker = random.choice(self._rig.workers)
        worker.send_signal(signal.SIGSTOP)
        self._stopped.wait(random.uniform(1, 3))
        worker.send_signal(signal.SIGCONT)
        return "worker frozen"

    def _kill_receiver_process(self, random: Random) -> str:
        processes = self._rig.receiver_processes()
        if processes:
            with suppress(ProcessLookupError):
                os.kill(random.choice(processes), signal.SIGKILL)
        return "gunicorn process killed"

    def _kill_receiver(self, random: Random) -> str:
        self._rig.receiver.kill()
        time.sleep(random.uniform(0, 1))
        self._rig.start_receiver()
        return "receiver killed"

    def _kill_redis(self, random: Random) -> str:
        self._rig.redis_process.kill()
        time.sleep(random.uniform(0, 1.5))
        self._rig.redis_process.start()
        return "Redis killed"

    def _freeze_redis(self, random: Random) -> str:
        self._rig.redis_process.pause()
        self._stopped.wait(random.uniform(0.5, 4))
        self._rig.redis_process.resume()
        return "Redis frozen"

    def _stop_redis(self, _random: Random) -> str:
        self._rig.redis_process.stop()
        self._stopped.wait(self._away)
        self._rig.redis_process.start()
        return f"Redis stopped for {self._away:g} s"

    def _order(self, faults: Sequence[str]) -> Callable[[Random], str]:
        def order(_random: Random) -> str:
            self._rig.api.set_faults([*self._regime.always, *faults])
            self._stopped.wait(self._api_phase)
            self._rig.api.set_faults(list(self._regime.always))
            return f"API {faults[-1].partition(':')[2] or faults[-1]}"

        return order


def _shuffled_for_ever(
    random: Random, troubles: Sequence[Callable[[Random], str]], once: Sequence[Callable[[Random], str]]
) -> Iterator[Callable[[Random], str]]:
    yield from random.sample([*troubles, *once], len(troubles) + len(once))
    while True:
        yield from random.sample(troubles, len(troubles))
