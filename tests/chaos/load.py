"""The senders' side: every delivery one to three times, shuffled, from several threads, as senders try."""

import heapq
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import count
from random import Random
from types import MappingProxyType
from typing import Final

import requests

from receiver.sources.signing import SENDERS
from tests.chaos.rig import SECRETS
from tests.chaos.senders import Parcel

THREADS: Final = 8
TIMES_SENT: Final = ((1, 50), (2, 30), (3, 20))
"""How often a delivery is sent, and in how many of a hundred cases."""
RETRY_BETWEEN: Final = (0.4, 2.0)
"""Seconds; real senders wait longer."""
PATIENCE: Final = MappingProxyType({"pagerduty": 5.0})
USUAL_PATIENCE: Final = 10.0
"""Seconds that senders wait for an answer."""
TAKEN: Final = frozenset({"accepted", "duplicate"})


@dataclass
class Ledger:
    """What became of what was sent. A delivery is `taken` once it got a 2xx that says so."""

    taken: set[str] = field(default_factory=set)
    tried: set[str] = field(default_factory=set)
    answers: Counter[str] = field(default_factory=Counter)
    unexpected: list[str] = field(default_factory=list)
    slowest: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def uncertain(self) -> set[str]:
        return self.tried - self.taken


class Load:
    """Sends from several threads until all is sent and, where its sender would, tried again."""

    def __init__(
        self, parcels: Iterable[Parcel], random: Random, seconds: float, url: Callable[[], str]
    ) -> None:
        """Spread over so many seconds; `url` is the receiver's, which may move when it is started again."""
        self._random = random
        self._url = url
        self._order = count()
        self._due: list[tuple[float, int, Parcel]] = []
        self._in_hand = 0
        self._changed = threading.Condition()
        self._stopped = False
        self.ledger = Ledger()
        self.planned = 0
        began = time.monotonic()
        times, weights = zip(*TIMES_SENT, strict=True)
        for parcel in parcels:
            again = random.choices(times, weights)[0] - 1
            first = random.random() if parcel.moment is None else parcel.moment
            for share in (first, *(random.random() for _ in range(again))):
                self._plan(began + share * seconds, parcel)
                self.planned += 1
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(THREADS)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def is_done(self) -> bool:
        with self._changed:
            return not self._due and not self._in_hand

    def left(self) -> int:
        with self._changed:
            return len(self._due) + self._in_hand

    def stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(timeout=2 * USUAL_PATIENCE)

    def _plan(self, at: float, parcel: Parcel) -> None:
        heapq.heappush(self._due, (at, next(self._order), parcel))

    def _run(self) -> None:
        while (parcel := self._next()) is not None:
            is_answered = self._send(parcel)
            with self._changed:
                if not is_answered and parcel.is_retried:
                    self._plan(time.monotonic() + self._random.uniform(*RETRY_BETWEEN), parcel)
                self._in_hand -= 1
                self._changed.notify_all()

    def _next(self) -> Parcel | None:
        """Waits until the next one is due; `None` at the end."""
        with self._changed:
            while not self._stopped:
                wait = self._due[0][0] - time.monotonic() if self._due else None
                if wait is not None and wait <= 0:
                    self._in_hand += 1
                    return heapq.heappop(self._due)[2]
                if wait is None and not self._in_hand:
                    return None
                self._changed.wait(wait)
        return None

    def _send(self, parcel: Parcel) -> bool:
        """Whether there was an answer after which a sender does not try again."""
        sender = SENDERS[parcel.source]
        headers = sender.headers(SECRETS[sender.secret_name], parcel.event, parcel.body, parcel.id)
        began = time.monotonic()
        with self.ledger.lock:
            self.ledger.tried.add(parcel.id)
        try:
            answer = requests.post(
                f"{self._url()}/webhooks/{parcel.source}",
                data=parcel.body,
                headers=headers | {"Connection": "close"},
                timeout=PATIENCE.get(parcel.source, USUAL_PATIENCE),
            )
        except requests.RequestException as error:
            kind = "time-out" if isinstance(error, requests.Timeout) else "no answer"
            with self.ledger.lock:
                self.ledger.answers[kind] += 1
            return False
        return self._note(parcel, answer, time.monotonic() - began)

    def _note(self, parcel: Parcel, answer: requests.Response, seconds: float) -> bool:
        ledger = self.ledger
        try:
            status = str(answer.json().get("status"))
        except ValueError:
            status = "not JSON"
        with ledger.lock:
            ledger.slowest = max(ledger.slowest, seconds)
            if answer.ok and status in TAKEN:
                ledger.taken.add(parcel.id)
                ledger.answers[status] += 1
                return True
            ledger.answers[str(answer.status_code)] += 1
            if answer.status_code >= requests.codes.server_error:
                return False
            ledger.unexpected.append(
                f"{parcel.source} {parcel.event}: {answer.status_code} {answer.text[:200]}"
            )
            return True
