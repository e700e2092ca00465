"""Another regime: Redis and the disk of the spool are full, while all else goes wrong as ever."""

from collections.abc import Callable
from random import Random

from tests.chaos.disturbances import Disturbances
from tests.support.disks import fill


class FullStorage(Disturbances):
    """In place of killing Redis. The disk is only filled if it is a small one, mounted for this."""

    def _redis_troubles(self) -> list[Callable[[Random], str]]:
        troubles: list[Callable[[Random], str]] = [self._fill_redis, self._fill_redis, self._stop_redis]
        if self._rig.spool.parent.is_mount():
            troubles.append(self._fill_disk)
        return troubles

    def _fill_redis(self, _random: Random) -> str:
        """Meanwhile workers are killed, start and deliver, and what arrives is spooled."""
        self._rig.redis.config_set("maxmemory", 1)
        self._stopped.wait(self._away)
        self._rig.redis.config_set("maxmemory", 0)
        return f"Redis full for {self._away:g} s"

    def _fill_disk(self, random: Random) -> str:
        """Redis is away, so the spool is in use; it is back while the disk is still full."""
        self._rig.redis_process.stop()
        self._stopped.wait(self._away)
        filler = fill(self._rig.spool.parent)
        self._stopped.wait(random.uniform(0.5, 1.5))
        self._rig.redis_process.start()
        self._stopped.wait(random.uniform(1, 3))
        filler.unlink()
        return f"disk full, Redis stopped for {self._away:g} s"
