import json
import re
from datetime import UTC, datetime, timedelta

from receiver.local.sample_catalogue import CATALOGUE, RESOLVED
from receiver.local.sample_deliveries import (
    SAMPLES,
    SampleDelivery,
    delivery_of,
    refreshed,
    sample_deliveries,
)
from receiver.sources import SOURCES
from receiver.sources.signing import SENDERS, github_request
from receiver.sources.source import translate

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def github_deliveries() -> list[SampleDelivery]:
    return [delivery for delivery in sample_deliveries(NOW) if delivery.event == "deployment_status"]


def ids(delivery: SampleDelivery) -> tuple[int, int]:
    payload = json.loads(delivery.body)
    return payload["deployment"]["id"], payload["deployment_status"]["id"]


def test_github_requests_are_signed_as_github_documents_it() -> None:
    """https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries#testing-the-webhook-payload-validation"""
    headers = github_request("It's a Secret to Everybody", "push", b"Hello, World!", "guid")
    assert (
        headers["X-Hub-Signature-256"]
        == "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    )
    assert headers["X-GitHub-Event"] == "push"
    assert headers["X-GitHub-Delivery"] == "guid"
    assert headers["User-Agent"].startswith("GitHub-Hookshot/")


def test_every_sample_is_let_in_and_makes_a_marker() -> None:
    for delivery in sample_deliveries(NOW):
        source, sender = SOURCES[delivery.source], SENDERS[delivery.source]
        headers = sender.headers("a secret", delivery.event, delivery.body, delivery.delivery_id)
        lower = {name.lower(): value for name, value in headers.items()}
        moment = datetime.now(UTC)
        assert source.verify(lower, delivery.body, {sender.secret_name: (b"a secret",)}, moment)
        received = source.receive(lower, delivery.body, moment)
        assert translate(source, received, source.options(deployments="point")).changes


def test_every_sample_of_trigger_is_let_in_and_says_what_its_option_says() -> None:
    for offer in CATALOGUE.values():
        for outcome, sample in offer.samples.items():
            delivery = delivery_of(sample, NOW)
            source, sender = SOURCES[delivery.source], SENDERS[delivery.source]
            headers = sender.headers("a secret", delivery.event, delivery.body, delivery.delivery_id)
            lower = {name.lower(): value for name, value in headers.items()}
            moment = datetime.now(UTC)
            assert source.verify(lower, delivery.body, {sender.secret_name: (b"a secret",)}, moment)
            received = source.receive(lower, delivery.body, moment)
            [change] = translate(source, received, source.options(deployments="point")).changes
            assert change.event.name.startswith("Failed ") == (outcome == "failed")
            is_over = change.event.type != "incident" or change.effect == "close"
            assert is_over == (RESOLVED not in offer.samples or outcome == RESOLVED)


def test_every_source_has_a_sample() -> None:
    assert {sample.source for sample in SAMPLES} == set(SOURCES) == set(SENDERS)
    assert {name.partition(".")[0] for name in CATALOGUE} == set(SOURCES)


def test_each_run_has_its_own_ids() -> None:
    deliveries = [*sample_deliveries(NOW), *sample_deliveries(NOW)]
    assert len({delivery.delivery_id for delivery in deliveries}) == len(deliveries) == 2 * len(SAMPLES)
    assert (
        len({delivery.body for delivery in deliveries if delivery.source != "events"}) >= len(deliveries) - 2
    )
    github = [*github_deliveries(), *github_deliveries()]
    assert len({ids(delivery) for delivery in github}) == len(github)


def test_an_id_is_the_same_wherever_a_payload_has_it() -> None:
    for delivery in github_deliveries():
        payload = json.loads(delivery.body)
        deployment = payload["deployment"]["id"]
        assert payload["deployment_status"]["deployment_url"].endswith(f"/deployments/{deployment}")
        assert payload["workflow_run"]["html_url"].endswith(f"/actions/runs/{payload['workflow_run']['id']}")
        assert not re.search(rb"\b9000000\d{4}\b", delivery.body)


def test_what_a_payload_tells_of_has_just_happened() -> None:
    samples = [sample for sample in SAMPLES if sample.event == "deployment_status"]
    for sample, delivery in zip(samples, github_deliveries(), strict=True):
        payload = json.loads(delivery.body)
        finished = datetime.fromisoformat(payload["deployment_status"]["created_at"])
        assert finished == NOW - sample.age
        assert finished - datetime.fromisoformat(payload["deployment"]["created_at"]) == timedelta(
            seconds=146
        )


def test_times_and_ids_move_and_nothing_else_does() -> None:
    text = '{"id": 90000000012, "at": ["2026-01-10T10:00:00Z", "2026-01-10T10:05:00Z"], "size": 900000000120}'
    payload = json.loads(refreshed(text, NOW))
    assert payload["at"] == ["2026-03-01T11:55:00Z", "2026-03-01T12:00:00Z"]
    assert payload["size"] == 900000000120
    assert payload["id"] != 90000000012
