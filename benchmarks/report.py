"""The figures for people to read."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.accepting import BEFORE, CONNECTIONS, OURS, PLAIN, WEBHOOK, Comparison, Serving
from benchmarks.calling import Calling
from benchmarks.contenders import EMPTY, FLOOR, NAIVE, NAIVE_DEDUPE, NAIVE_LEAN
from benchmarks.delivering import Latency, Work
from benchmarks.enduring import Enduring
from benchmarks.hanging import Hanging
from benchmarks.machine import Machine
from benchmarks.translating import Translating

TITLES: Final = {
    EMPTY: "empty Flask route",
    FLOOR: "floor: HMAC, JSON, one SET NX",
    WEBHOOK: "adnanh/webhook, /bin/true, stores nothing",
    BEFORE: "apitraffic-events, the commit before",
    PLAIN: "apitraffic-events, serve --plain",
    NAIVE: "naive: HMAC, JSON, queue.enqueue(payload)",
    NAIVE_LEAN: "naive, enqueues 3 fields only",
    NAIVE_DEDUPE: "naive, with SET NX against repeats",
    OURS: "apitraffic-events",
}


@dataclass(frozen=True, slots=True)
class Results:
    """All that was measured; what was not asked for is missing."""

    machine: Machine
    serving: Serving
    accepting: Sequence[Comparison] = ()
    enduring: Enduring | None = None
    hanging: Hanging | None = None
    latency: Latency | None = None
    work: Mapping[str, Work] | None = None
    translating: Translating | None = None
    calling: Sequence[Calling] = ()


def lines(results: Results) -> Iterable[str]:
    yield from _machine(results.machine)
    for comparison in results.accepting:
        yield from _accepting(comparison, results.serving)
    if results.enduring:
        yield from _enduring(results.enduring)
    if results.hanging:
        yield from _hanging(results.hanging)
    if results.latency:
        yield from _latency(results.latency)
    if results.work:
        yield from _work(results.work)
    if results.translating:
        yield from _translating(results.translating)
    if results.calling:
        yield from _calling(results.calling)


def _machine(machine: Machine) -> Iterable[str]:
    packages = ", ".join(f"{name} {version}" for name, version in machine.packages.items())
    cores = f"{machine.cores} cores of {machine.processor}"
    yield f"{machine.date}: {cores}, {machine.system}, load {machine.load:.2f}"
    yield f"{machine.python}, {packages}"
    yield (
        f"redis-server {machine.redis_server}, unix socket, appendfsync {machine.append_fsync};"
        f" one fsync takes {machine.sync_us:.0f} µs here"
    )


def _accepting(comparison: Comparison, how: Serving) -> Iterable[str]:
    deployed = "by GitHub Actions" if comparison.from_actions else "through GitHub's API"
    yield from _title(f"Accepting {comparison.body_bytes:,} bytes: a deployment made {deployed}")
    accepting = comparison.contenders
    ours = accepting[OURS]
    heads = ("req/s", "min … max", "p50 ms", "p99 ms", "server µs", "Redis µs", "both", "our rate", "our µs")
    rows: list[tuple[str, ...]] = [("", *heads)]
    rows += [
        (
            TITLES[name],
            f"{each.per_second:,.0f}",
            f"{min(each.rounds):,.0f} … {max(each.rounds):,.0f}",
            f"{each.p50_ms:.1f}",
            f"{each.p99_ms:.1f}",
            "?" if each.server_us is None else f"{each.server_us:.0f}",
            f"{each.redis_us:.0f}",
            f"{each.both_us:.0f}",
            f"{ours.times(each):.2f} x",
            f"{ours.cost_of(each):.2f} x",
        )
        for name, each in accepting.items()
    ]
    yield from _table(rows)
    total = sum(each.accepted for each in accepting.values())
    share = max(each.generator_us * each.per_second / 1e6 for each in accepting.values())
    yield (
        f"{how.workers} processes of {how.threads} threads, {CONNECTIONS} restless connections; medians"
        f" of {len(ours.rounds)} rounds in turns, ratios round by round; µs are processor time a request."
    )
    yield (
        f"All {total:,} requests were answered with 202, and each is in its queue. The load generator took"
        f" {ours.generator_us:.0f} µs a request, at most {share:.0%} of one core."
    )


def _enduring(figures: Enduring) -> Iterable[str]:
    yield from _title("Accepting, for long")
    for when, steady in (
        ("with nothing queued", figures.idle),
        (f"with {figures.queued:,} queued", figures.behind_queued),
    ):
        yield (
            f"At {figures.rate:.0f} requests/s {when}: p50 {steady.p50_ms:.1f} ms,"
            f" p99 {steady.p99_ms:.1f} ms, slowest {steady.slowest_ms:.0f} ms."
        )
    yield (
        f"A burst of {figures.burst:,}: {figures.burst_per_second:,.0f} requests/s, slowest"
        f" {figures.burst_slowest_ms:.0f} ms; all answered with 202 and queued."
    )
    yield (
        f"The largest process has {figures.memory_before_mib:.0f} MiB,"
        f" and after {figures.queued:,} deliveries {figures.memory_after_mib:.0f} MiB."
    )


def _hanging(figures: Hanging) -> Iterable[str]:
    yield from _title("While Redis hangs")
    yield (
        f"/healthz: p99 {figures.healthz_p99_ms:.0f} ms, slowest {figures.healthz_slowest_ms:.0f} ms."
        f" {figures.posts:,} deliveries, all answered with 2xx: p50 {figures.post_p50_ms:.0f} ms,"
        f" slowest {figures.post_slowest_ms:,.0f} ms."
    )


def _latency(latency: Latency) -> Iterable[str]:
    yield from _title("From accepted to listed by the Events API, when idle")
    yield (
        f"p50 {latency.p50_ms:.1f} ms, p99 {latency.p99_ms:.1f} ms after the 202, which itself takes"
        f" {latency.accepted_p50_ms:.1f} ms ({latency.deliveries} deliveries one by one)."
    )
    yield f"Seen by asking the local Events API for its list without pause, {latency.poll_ms:.1f} ms a look."


def _work(work: Mapping[str, Work]) -> Iterable[str]:
    yield from _title("Working: one worker")
    rows = [("", "does", "jobs/s", "ms a job", "Redis commands a job")]
    rows += [
        (
            name,
            "delivers" if pace.delivers else "nothing",
            f"{pace.per_second:.0f}",
            f"{1000 / pace.per_second:.1f}",
            f"{pace.commands:.0f}",
        )
        for name, pace in work.items()
    ]
    yield from _table(rows)


def _translating(figures: Translating) -> Iterable[str]:
    yield from _title("Translating one delivery")
    yield (
        f"{figures.all_us:.0f} µs: verify {figures.verify_us:.0f}, receive {figures.receive_us:.0f},"
        f" translate {figures.translate_us:.0f}"
        f" (median of {figures.times:,}, a body of {figures.body_bytes:,} bytes)."
    )


def _calling(figures: Sequence[Calling]) -> Iterable[str]:
    yield from _title("What a request costs the application alone, with no server around it")
    heads = [f"µs, {each.body_bytes:,} bytes" for each in figures]
    rows = [["", *(word for head in heads for word in (head, "ours is"))]]
    for name in figures[0].application_us:
        row = [TITLES[name]]
        for each in figures:
            us, ours = each.application_us[name], each.application_us[OURS]
            row += [f"{us:.0f}", f"{us / ours:.2f} x"]
        rows.append(row)
    yield from _table(rows)
    rounds = figures[0].rounds
    yield f"Processor time of one process, one request after the other; medians of {rounds} rounds in turns."


def _title(text: str) -> Iterable[str]:
    yield ""
    yield text
    yield "-" * len(text)


def _table(rows: Sequence[Sequence[str]]) -> Iterable[str]:
    """The first column to the left, all others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for first, *rest in rows:
        cells = (cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))
        yield "  ".join((first.ljust(widths[0]), *cells)).rstrip()
