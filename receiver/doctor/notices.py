"""Checks of notices to people. A sample is posted only on request: somebody reads it."""

from collections.abc import Iterator

from apitraffic_events.errors import EventsApiError
from apitraffic_events.timestamps import now
from receiver.config.accounts import NOTIFY
from receiver.config.settings import Settings
from receiver.delivery.notices import body_of, sample_notice
from receiver.delivery.notifier import target_of
from receiver.doctor.findings import Finding, failure, ok, warning
from receiver.monitoring.status import QueueStatus
from receiver.queue.queues import account_of
from receiver.senders_api.notify import CHECK


def waiting(found: QueueStatus, *, are_posted: bool) -> Iterator[Finding]:
    """Notices to people that wait although no worker posts any."""
    own = [queue for queue in found.queues if account_of(queue.name) == NOTIFY]
    pending = sum(queue.pending for queue in own)
    if pending and not are_posted:
        yield warning(
            "notices",
            f"there is no address to post notices to, and notices wait: {pending}",
            "set APITRAFFIC_NOTIFY_URL again, and restart the workers",
        )


def posted(settings: Settings) -> Finding:
    """Post a sample notice, as a worker would post others."""
    target = target_of(settings)
    if target is None:
        return warning(
            "notify",
            "APITRAFFIC_NOTIFY_URL is not set, so no notices are posted",
            "docs/notify.md says more",
        )
    moment = now()
    notice = sample_notice(moment)
    try:
        target.post(notice.id, body_of(notice, moment, is_whole=target.is_signed))
    except EventsApiError as error:
        found = error.message.removesuffix(f"; {CHECK}")
        return failure("notify", found, f"{CHECK}, and whether this host may reach it")
    kind = "a signed sample notice" if target.is_signed else "a sample notice"
    return ok("notify", f"{target.host} takes {kind}; workers post: {', '.join(settings.notify.events)}")
