"""A marker that one worker has locked, so that no other one delivers it at the same time."""

from collections.abc import Callable

from redis import Redis

from receiver.datastore.keys import AccountKeys
from receiver.delivery.marker_scripts import LOCK_LIFETIME, RELEASE_LOCK, LockReply, MarkerSave
from receiver.delivery.markers import FIELDS, Marker, values_of


class MarkerBusy(Exception):
    """Somebody else holds the lock of this marker."""


class MustWait(Exception):
    """No request may begin now: since the job was dequeued, delivery was paused, or the budget is used up.

    Nothing was done and nothing is in doubt.
    """


class MarkerLock:
    """A marker locked by this worker.

    `known` is what was stored of it when it was locked. `others` are names under which parts of it are still
    stored as markers of their own; `claims` are the names that it claimed and was granted;
    `remembers_since` is when Redis last began without data. `defer` takes what saves and releases the marker
    at the end; without it, that is sent at once. `note_doubt` saves a doubt together with what else is to be
    sent, and returns whether the lock was still held.
    """

    def __init__(
        self,
        redis: Redis,
        reply: LockReply,
        known: Marker,
        defer: Callable[[MarkerSave], None] | None,
        note_doubt: Callable[[MarkerSave], bool] | None,
        keys: AccountKeys,
    ) -> None:
        self.known = known
        self._keys = keys
        self.others = reply.names[1:]
        self.claims = reply.claims
        self.remembers_since = reply.remembers_since
        self._redis = redis
        self._token = reply.token
        self._defer = defer
        self._note_doubt = note_doubt
        self._is_released = False

    def save_doubt(self, marker: Marker) -> None:
        """Save the marker just before a request about it begins, and keep the lock.

        Raises as `save` does, and `MustWait` if no request may begin.
        """
        if self._note_doubt is None:
            self.save(marker)
        elif not self._note_doubt(self._save(marker, LOCK_LIFETIME)):
            raise MarkerBusy(marker.key)

    def save(self, marker: Marker) -> None:
        """Save the marker and keep the lock.

        Raises `MarkerBusy` if the lock has been lost. A doubt must survive a fail-over, or the next worker
        would create the event a second time: raises `Unreplicated` if it might not.
        """
        self._send(self._save(marker, LOCK_LIFETIME), marker)

    def save_and_release(self, marker: Marker) -> None:
        """Save the marker and release the lock; raises as `save` does, unless that is deferred."""
        save = self._save(marker, 0)
        if self._defer is None:
            self._send(save, marker)
        else:
            self._defer(save)
        self._is_released = True

    def release(self) -> None:
        """Release the lock, if it is still held."""
        if not self._is_released:
            RELEASE_LOCK.run(self._redis, [f"{self._keys.lock}{self.known.key}"], [self._token])

    def _save(self, marker: Marker, hold_for: int) -> MarkerSave:
        fields = [item for pair in zip(FIELDS, values_of(marker), strict=True) for item in pair]
        keys = (f"{self._keys.marker}{marker.key}", f"{self._keys.lock}{marker.key}")
        return MarkerSave(keys, (self._token, hold_for, *fields))

    def _send(self, save: MarkerSave, marker: Marker) -> None:
        send = save.send_replicated if marker.is_in_doubt else save.send
        if not send(self._redis):
            raise MarkerBusy(marker.key)
