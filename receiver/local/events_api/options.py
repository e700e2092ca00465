"""How one local Events API behaves."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from receiver.local.events_api.faults import Fault

LOCAL_ACCOUNT_SID: Final = "acc_local0000000000000000000000"

UpdateMethod = Literal["PUT", "PATCH"]


@dataclass(frozen=True, slots=True)
class Options:
    """`window` is in seconds; `quota` is the number of requests allowed in each window.

    `update_methods` are the methods an event can be changed with; another one is answered with 405, because
    the vendor's reference does not say which it has and clients must settle it by themselves.
    `envelope` answers in `{"success": true, "data": …, "meta": …}` instead of bare objects.
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
