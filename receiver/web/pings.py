"""What `doctor` sends to see whether a receiver has the same secrets."""

from typing import Final

DOCTOR: Final = "doctor-"
"""How the ids of its deliveries begin."""


def is_from_doctor(delivery_id: str) -> bool:
    """Of a delivery that is authentic. If it is refused as invalid, that is no sign of a problem."""
    return delivery_id.startswith(DOCTOR)
