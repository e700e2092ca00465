"""Forgejo: https://forgejo.org/docs/latest/user/webhooks/

Its Actions have events of their own, one for each way in which a run ends.
"""

from typing import Final

from receiver.sources.forges import source_of
from receiver.sources.forges.hook import ForgeOptions
from receiver.sources.forges.runs import Run
from receiver.sources.payload import Payload

OUTCOMES: Final = {
    "action_run_success": "success",
    "action_run_recover": "success",
    "action_run_failure": "failure",
}
"""Event -> how the run ended. `recover` is a success after a failure. The run's own status says more: a
cancelled one is reported as a failure."""


class Options(ForgeOptions):
    """`[forgejo]` in apitraffic.toml."""


def action_run(payload: Payload) -> Run:
    file = payload.text("run.workflow_id") or ""
    return Run(
        identifier=payload.require_identifier("run.id"),
        number=payload.identifier("run.index_in_repo"),
        workflow=file,
        names=(file,),
        trigger=payload.text("run.trigger_event", "run.event"),
        ref=payload.text("run.prettyref"),
        commit=payload.text("run.commit_sha"),
        outcome=payload.text("run.status") or "success",
        started_at=payload.time("run.started"),
        ended_at=payload.time("run.stopped", "run.updated"),
        url=payload.url("run.html_url"),
        actor=payload.text("run.trigger_user.login"),
        is_of_fork=bool(payload.flag("run.is_fork_pull_request")),
    )


FORGEJO: Final = source_of(
    name="forgejo",
    title="Forgejo",
    variable="FORGEJO_WEBHOOK_SECRET",
    brands=("forgejo", "gitea"),
    runs=dict.fromkeys(OUTCOMES, action_run),
    options=Options,
)
