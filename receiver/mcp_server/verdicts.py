"""The tool that says what a deploy did to the API's traffic."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from apitraffic_events.client import EventsClient
from apitraffic_events.event import EventType
from apitraffic_events.timestamps import format_timestamp, now
from receiver.config.verdict import VerdictSection
from receiver.delivery.asked_events import around_deploy
from receiver.insight.figures import NoFigures, figure_source
from receiver.insight.judging import UNTIL_FIGURES, disturbance, judged
from receiver.insight.nearby_events import told_verdict
from receiver.insight.records import DeployOutcome, Record, is_shown_everywhere, record_of
from receiver.insight.verdict import Thresholds, Verdict, Word, not_compared, windows_of
from receiver.mcp_server.arguments import DeployVerdict
from receiver.mcp_server.results import JUDGEMENT
from receiver.mcp_server.tools import TOOLS, Tool, ToolRefused, named
from receiver.wording import duration

MARKER: Final = "marker"
FIGURES: Final = "figures"
NONE: Final = "none"


class NothingCompared(Exception):
    """Why there is no verdict, for people."""


@dataclass(frozen=True, slots=True)
class Judge:
    """Judges deploys as `[verdict]` says. `token` is the Prometheus' bearer token."""

    section: VerdictSection
    token: str | None = None

    def tool(self) -> Tool:
        return Tool(
            "deploy_verdict",
            "What a deploy did",
            "Compare the API's traffic before a deploy with that after it: errors, mean response time, "
            "requests. Takes the verdict that the marker has, and otherwise asks for the figures. `unknown` "
            "comes with the reason; it does not mean that nothing happened.",
            DeployVerdict,
            self.answer,
            JUDGEMENT,
            reads_only=True,
        )

    def answer(self, client: EventsClient, wanted: DeployVerdict) -> dict[str, Any]:
        event = named(client, wanted.event)
        deploy = record_of(event, event.sid, event.created_at)
        if deploy is None or deploy.type is not EventType.DEPLOYMENT:
            raise ToolRefused(f"{event.sid} is not a deployment but of the type {event.type}.")
        asked = None if wanted.after is None else timedelta(minutes=wanted.after)
        length = asked or timedelta(minutes=self.section.after)
        verdict, origin = told_verdict(event, asked), MARKER
        reason = ""
        if verdict is None:
            try:
                verdict, origin = self._compared(client, deploy, length), FIGURES
            except NothingCompared as nothing:
                reason, origin = str(nothing), NONE
        ended_at = None if deploy.outcome is DeployOutcome.RUNNING and not deploy.has_ended else deploy.at
        return {
            "sid": event.sid,
            "name": event.name,
            "verdict": (verdict.word if verdict else Word.UNKNOWN).value,
            "line": verdict.line if verdict else reason,
            "origin": origin,
            "now": format_timestamp(now()),
        } | ({"endedAt": format_timestamp(ended_at)} if ended_at else {})

    def _compared(self, client: EventsClient, deploy: Record, length: timedelta) -> Verdict:
        """Raises `NothingCompared` and `EventsApiError`."""
        if deploy.outcome is DeployOutcome.CALLED_OFF:
            raise NothingCompared("It was called off, so it changed nothing.")
        if deploy.outcome is DeployOutcome.RUNNING and not deploy.has_ended:
            raise NothingCompared("It has not ended yet.")
        due = deploy.at + length + UNTIL_FIGURES
        if now() < due:
            raise NothingCompared(
                f"{duration(length)} after its end is not over; ask again at {format_timestamp(due)}."
            )
        if deploy.is_production is False and is_shown_everywhere(deploy):
            raise NothingCompared(
                f"It went to {deploy.environment or 'a test environment'} and is shown on all charts, whose "
                "traffic is not that of a test environment. Only a marker on certain charts can be compared."
            )
        windows = windows_of(deploy.started_at, deploy.at, length)
        if (other := disturbance(deploy, windows, around_deploy(client, windows))) is not None:
            raise NothingCompared(not_compared(other, length, deploy.at).line)
        thresholds = Thresholds(self.section.errors_up, self.section.slower, self.section.fewest_requests)
        try:
            return judged(
                deploy, length, figure_source(client, self.section.prometheus, self.token), thresholds
            )
        except NoFigures as error:
            raise NothingCompared(f"There are no figures: {error}.") from error


def all_tools(judge: Judge) -> tuple[Tool, ...]:
    """Those that need no settings, and that of the judge beside the one that it belongs to."""
    first, *others = TOOLS
    return (first, judge.tool(), *others)
