"""Gitea: https://docs.gitea.com/usage/webhooks

Its Actions report runs as GitHub's do, from version 1.24.
"""

from typing import Final

from receiver.sources.forges import source_of
from receiver.sources.forges.hook import ForgeOptions
from receiver.sources.forges.runs import Run
from receiver.sources.payload import Payload


class Options(ForgeOptions):
    """`[gitea]` in apitraffic.toml."""


def workflow_run(payload: Payload) -> Run | None:
    if payload.text("action") != "completed":
        return None
    path = (payload.text("workflow_run.path") or "").partition("@")[0]
    file = path.rpartition("/")[2]
    name = payload.text("workflow.name", "workflow_run.name")
    branch = payload.text("workflow_run.head_branch")
    return Run(
        identifier=payload.require_identifier("workflow_run.id"),
        number=payload.identifier("workflow_run.run_number"),
        workflow=name or file,
        names=tuple(each for each in (name, file, path) if each),
        trigger=payload.text("workflow_run.event"),
        ref=branch,
        commit=payload.text("workflow_run.head_sha"),
        outcome=payload.text("workflow_run.conclusion") or "",
        started_at=payload.time("workflow_run.started_at"),
        ended_at=payload.time("workflow_run.completed_at", "workflow_run.updated_at"),
        url=payload.url("workflow_run.html_url"),
        actor=payload.text("workflow_run.actor.login", "sender.login"),
        is_of_fork=payload.text("workflow_run.head_repository.full_name", "repository.full_name")
        != payload.text("repository.full_name"),
    )


GITEA: Final = source_of(
    name="gitea",
    title="Gitea",
    variable="GITEA_WEBHOOK_SECRET",
    brands=("gitea",),
    runs={"workflow_run": workflow_run},
    options=Options,
)
