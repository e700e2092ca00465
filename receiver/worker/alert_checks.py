"""Alerts without news for long: their last report is delivered again, which ends them as unseen."""

from redis import Redis

from apitraffic_events.event import ALREADY_CLEAN
from receiver.datastore.keys import keys_of
from receiver.delivery.marker_fields import CHANGES
from receiver.events import Change
from receiver.worker.due_markers import DueMarkers


def alert_checks(redis: Redis, account: str | None = None) -> DueMarkers:
    """Queues the last report of each alert that is due."""
    keys = keys_of(account)

    def last_report(key: str) -> Change | None:
        kept = redis.hget(f"{keys.marker}{key}", "changes")
        reports = CHANGES.validate_json(kept, context=ALREADY_CLEAN) if kept else ()
        return reports[-1].model_copy(update={"key": key}) if reports else None

    return DueMarkers(
        redis,
        account,
        keys.alerts_to_check,
        "alert-check",
        last_report,
        is_urgent=True,
        said="no news of an alert",
    )
