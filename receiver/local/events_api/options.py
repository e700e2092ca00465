"""The options of a local Events API."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from receiver.local.events_api.faults import Fault

LOCAL_ACCOUNT_SID: Final = "acc_local0000000000000000000000"

UpdateMethod = Literal["PUT", "PATCH"]


@dataclass(frozen=True, slots=True)
class Options:
    """`quota` is the number of requests allowed in each window of `window` seconds.

    `data` is the SQLite file with the events. `update_methods` are the methods that change an event; others
    are answered with 405. The vendor's reference does not say which one it has, so clients must find out.
    With `envelope`, successes are answered in `{"success": true, "data": …, "meta": …}` instead of bare. With
    `fault_control`, `/_faults` and `/_requests` are served.
    """

    data: Path
    token: str = field(repr=False)
    account_sid: str = LOCAL_ACCOUNT_SID
    quota: int = 1_000_000
    window: float = 3600.0
    update_methods: tuple[UpdateMethod, ...] = ("PUT", "PATCH")
    envelope: bool = False
    faults: tuple[Fault, ...] = ()
    fault_control: bool = False
