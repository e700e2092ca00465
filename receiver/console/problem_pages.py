"""The Problems page: quarantine and dead letters, to be looked at, replayed or discarded."""

import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from flask import Blueprint, abort, render_template, request
from redis import Redis

from apitraffic_events.timestamps import now
from receiver.config.settings import Settings
from receiver.console.wording import readable
from receiver.errors import StorageUnavailable
from receiver.monitoring.status import AccountState, read_accounts
from receiver.queue.dead_letters import Cause, DeadLetter, DeadLetterFilter, DeadLetters
from receiver.queue.enqueueing import Enqueuer
from receiver.queue.inspection import JobState, states_of
from receiver.reception.delivery_store import DeliveryStore
from receiver.reception.ingestion import Ingestor
from receiver.reception.quarantine import Quarantine, Quarantined
from receiver.sources.not_translated import Invalid
from receiver.translation import translate_and_route

MOST_SHOWN: Final = 200
"""Rows of one list, the newest."""
MOST_FOLLOWED: Final = 200
"""Dead letters of which a page follows what comes of them."""
NO_REDIS: Final = "REDIS_URL is not set, so nothing is known of deliveries here."


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one that was chosen."""

    name: str
    status: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ProblemPages:
    settings: Settings
    redis: Redis | None

    def blueprint(self) -> Blueprint:
        pages = Blueprint("problems", __name__)
        pages.add_url_rule("/problems", "page", self.page)
        pages.add_url_rule("/problems/lists", "lists", self.lists)
        pages.add_url_rule("/problems/results", "results", self.results)
        pages.add_url_rule("/problems/quarantined", "quarantined", self.quarantined)
        pages.add_url_rule("/problems/dead-letter", "dead_letter", self.dead_letter)
        pages.add_url_rule(
            "/problems/quarantine", "act_on_quarantine", self.act_on_quarantine, methods=["POST"]
        )
        pages.add_url_rule(
            "/problems/dead-letters", "act_on_dead_letters", self.act_on_dead_letters, methods=["POST"]
        )
        return pages

    def page(self) -> str:
        return render_template("problems.html", **self._lists(), outcomes=(), followed=())

    def lists(self) -> str:
        return render_template("_problems.html", **self._lists())

    def results(self) -> str:
        """What has come of dead letters that were replayed, as far as it is known."""
        names = request.args.getlist("name")[:MOST_FOLLOWED]
        try:
            states = states_of(self._redis(), names)
            letters = DeadLetters.of_all_accounts(self._redis())
            results = [_result_of(name, state, letters) for name, state in states.items()]
        except StorageUnavailable as error:
            results = [Result(name, "unknown", str(error)) for name in names]
        is_settled = all(result.status in {"delivered", "dead again"} for result in results)
        return render_template("_results.html", results=results, followed=() if is_settled else names)

    def quarantined(self) -> str:
        item = self._stored(lambda redis: Quarantine(redis).find(request.args.get("name", "")))
        if not isinstance(item, Quarantined):
            abort(HTTPStatus.NOT_FOUND, "It is not in quarantine any more.")
        return render_template("quarantined.html", item=item, body=readable(item.delivery.body))

    def dead_letter(self) -> str:
        name = request.args.get("name", "")
        letter = self._stored(lambda redis: DeadLetters.of_all_accounts(redis).find(name))
        if not isinstance(letter, DeadLetter):
            abort(HTTPStatus.NOT_FOUND, "It is not a dead letter any more.")
        change = json.dumps(letter.change, indent=2, ensure_ascii=False)
        return render_template("dead_letter.html", letter=letter, change=change)

    def act_on_quarantine(self) -> str:
        quarantine = Quarantine(self._redis())
        names = None if "all" in request.form else set(request.form.getlist("name"))
        try:
            chosen = [item for item in quarantine if names is None or item.name in names]
            if request.form.get("act") == "discard":
                outcomes = [self._discarded(quarantine, item) for item in chosen]
            else:
                outcomes = [self._replayed(quarantine, item) for item in chosen]
        except StorageUnavailable as error:
            abort(HTTPStatus.SERVICE_UNAVAILABLE, str(error))
        return render_template("problems.html", **self._lists(), outcomes=outcomes, followed=())

    def act_on_dead_letters(self) -> str:
        wanted = _filter() if "all" in request.form else None
        names = set(request.form.getlist("name"))
        is_discard = request.form.get("act") == "discard"
        try:
            letters = DeadLetters.of_all_accounts(self._redis())
            chosen = [one for one in letters if (wanted.includes(one) if wanted else one.name in names)]
            outcomes = []
            for letter in chosen:
                done = letters.discard(letter) if is_discard else letters.replay(letter)
                word = "discarded" if is_discard else "queued again"
                outcomes.append(Result(letter.name, word if done else "was gone already"))
        except StorageUnavailable as error:
            abort(HTTPStatus.SERVICE_UNAVAILABLE, str(error))
        followed = [] if is_discard else [one.name for one in outcomes][:MOST_FOLLOWED]
        return render_template("problems.html", **self._lists(), outcomes=outcomes, followed=followed)

    def _replayed(self, quarantine: Quarantine, item: Quarantined) -> Result:
        if item.delivery.source not in self.settings.senders:
            return Result(item.name, "quarantined", "This configuration does not know the sender.")
        source = self.settings.senders[item.delivery.source]
        ingestor = Ingestor(DeliveryStore(Enqueuer(self._redis()), quarantine, spool=None))
        try:
            options = self.settings.options_for(source)
            meaning = translate_and_route(source, item.delivery, options, self.settings.route)
            body = ingestor.ingest(item.delivery, meaning).body
        except Invalid as invalid:
            return Result(item.name, "refused", invalid.reason)
        if body["status"] != "quarantined":
            quarantine.discard(item.name)
        return Result(item.name, str(body["status"]), str(body.get("reason", "")))

    def _discarded(self, quarantine: Quarantine, item: Quarantined) -> Result:
        quarantine.discard(item.name)
        return Result(item.name, "discarded")

    def _lists(self) -> dict[str, Any]:
        """What the templates need; `problem` says why the lists are empty."""
        wanted = _filter()
        quarantined: list[Quarantined] = []
        letters: list[DeadLetter] = []
        accounts: tuple[AccountState, ...] = ()
        problem = NO_REDIS if self.redis is None else None
        if self.redis is not None:
            try:
                quarantined = list(Quarantine(self.redis))
                letters = [one for one in DeadLetters.of_all_accounts(self.redis) if wanted.includes(one)]
                accounts = read_accounts(self.redis, self.settings.account)
            except StorageUnavailable as error:
                problem = f"{str(error).rstrip('.')}."
        return {
            "problem": problem,
            "now": now(),
            "accounts": accounts,
            "quarantined": quarantined[: -MOST_SHOWN - 1 : -1],
            "quarantined_count": len(quarantined),
            "letters": letters[: -MOST_SHOWN - 1 : -1],
            "letters_count": len(letters),
            "wanted": wanted,
            "causes": [cause.value for cause in Cause],
            "sources": list(self.settings.active_sources),
            "query": {name: value for name, value in request.values.items() if name in FILTERS and value},
        }

    def _redis(self) -> Redis:
        if self.redis is None:
            abort(HTTPStatus.SERVICE_UNAVAILABLE, NO_REDIS)
        return self.redis

    def _stored(self, find: Any) -> object:
        try:
            return find(self._redis())
        except StorageUnavailable as error:
            abort(HTTPStatus.SERVICE_UNAVAILABLE, str(error))


FILTERS: Final = ("source", "key", "code", "cause")


def _filter() -> DeadLetterFilter:
    given = {name: request.values.get(name, "").strip() or None for name in FILTERS}
    return DeadLetterFilter(
        source=given["source"], key=given["key"], code=given["code"], cause=given["cause"]
    )


def _result_of(name: str, state: JobState, letters: DeadLetters) -> Result:
    if state is JobState.DEAD:
        letter = letters.find(name)
        return Result(name, "dead again", letter.death.message if letter else "")
    words = {JobState.GONE: "delivered", JobState.WAITING: "queued again", JobState.IN_WORK: "in work"}
    return Result(name, words.get(state, "will be retried"))
