"""Random sets of deployments of one run to one environment, as GitHub reports them."""

import json
from copy import deepcopy
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from hypothesis import strategies as st

from apitraffic_events.timestamps import format_timestamp
from tests.support.changes import at
from tests.support.source_fixtures import body_of

ENDS: Final = ("success", "failure", "error")
SUCCESS: Final = json.loads(body_of("github", "deployment_status__production_success"))


@dataclass(frozen=True, slots=True)
class Deployment:
    """Its id and its statuses: the second after its start, and the state."""

    number: int
    statuses: tuple[tuple[int, str], ...]

    def payloads(self) -> list[dict[str, Any]]:
        return [self._payload(index) for index in range(len(self.statuses))]

    def _payload(self, index: int) -> dict[str, Any]:
        second, state = self.statuses[index]
        moment = format_timestamp(at(self.number) + timedelta(seconds=second))
        payload: dict[str, Any] = deepcopy(SUCCESS)
        payload["deployment"] |= {"id": self.number, "created_at": format_timestamp(at(self.number))}
        payload["check_run"] |= {
            "id": 1000 + self.number,
            "name": f"job {self.number}",
            "started_at": format_timestamp(at(self.number)),
            "conclusion": "success" if state == "success" else "failure",
        }
        payload["deployment_status"] |= {
            "id": self.number * 100 + index,
            "state": state,
            "created_at": moment,
            "updated_at": moment,
        }
        return payload


@st.composite
def runs(draw: st.DrawFn, most: int = 4, fewest_ends: int = 0) -> tuple[list[Deployment], list[int]]:
    """Deployments, and the order in which their statuses arrive, some of them again."""
    deployments = []
    for number in range(1, draw(st.integers(1, most)) + 1):
        ends = draw(st.lists(st.sampled_from(ENDS), min_size=fewest_ends, max_size=3))
        seconds = sorted(draw(st.lists(st.integers(1, 4), min_size=len(ends), max_size=len(ends))))
        deployments.append(Deployment(number, ((0, "in_progress"), *zip(seconds, ends, strict=True))))
    count = sum(len(deployment.statuses) for deployment in deployments)
    order = draw(st.permutations(range(count)))
    again = draw(st.lists(st.sampled_from(range(count)), max_size=3))
    return deployments, [*order, *again]


def delivered(deployments: list[Deployment], order: list[int]) -> list[tuple[dict[str, Any], int]]:
    """The payloads as they arrive, each with the number of its delivery."""
    payloads = [payload for deployment in deployments for payload in deployment.payloads()]
    return [(payloads[number], number) for number in order]


def last_outcomes(deployments: list[Deployment], mode: str) -> dict[str, str]:
    """What each deployment's marker has to say; a point is not drawn before an end."""
    return {
        str(deployment.number): deployment.statuses[-1][1]
        for deployment in deployments
        if mode == "span" or len(deployment.statuses) > 1
    }
