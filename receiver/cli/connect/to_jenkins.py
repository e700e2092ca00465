"""What `connect jenkins` and `disconnect jenkins` do."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import sleep
from typing import Final
from urllib.parse import unquote

import click

from receiver.cli.connect import flow
from receiver.cli.connect.tokens import token_of
from receiver.senders_api import jenkins as jenkins_api
from receiver.senders_api.jenkins import JenkinsJob
from receiver.senders_api.webhooks import FoundWebhook, PingAnswer, SenderRejected
from receiver.sources.jenkins import JENKINS

JOB: Final = re.compile(r"[^/\s][^/]*(/[^/]+)*")
DESCRIPTION: Final = "ApiTraffic event markers, "
"""How the description of a credential of ours begins; its address follows."""
NEEDED: Final = "make one in Jenkins: your name, Security, API Token"


def connect(
    wishes: flow.Wishes,
    job: str,
    jenkins_url: str,
    user: str,
    credential: str,
) -> None:
    with _opened(job, jenkins_url, user, credential) as connection:
        flow.warn_if_out_of_reach(wishes.url, jenkins_url)
        flow.connect(connection, wishes)


def disconnect(job: str, jenkins_url: str, user: str, credential: str, url: str, *, dry_run: bool) -> None:
    with _opened(job, jenkins_url, user, credential) as connection:
        connection.counts_credential = False
        flow.disconnect(connection, url, dry_run=dry_run)


@dataclass
class JenkinsConnection:
    """See `flow.Connection`. The webhook is the job's endpoint together with the credential."""

    job: JenkinsJob
    name: str
    counts_credential: bool = True

    source: str = "jenkins"
    variable: str = JENKINS.secret_variables[0]
    sends: str = "all phases of its builds"

    @property
    def sender(self) -> str:
        return f"job {self.name} on Jenkins"

    def make_secret(self) -> str:
        return flow.random_secret()

    def find(self, url: str) -> FoundWebhook | None:
        endpoint = jenkins_api.endpoint_in(self.job.config(), self.job.credential)
        description = self._description(url)
        if endpoint is None and (description is None or not self.counts_credential):
            return None
        problems = ["the job has no endpoint"] if endpoint is None else jenkins_api.differences(endpoint)
        return FoundWebhook(self.name, has_secret=description is not None, differences=tuple(problems))

    def create(self, url: str, secret: str) -> str:
        self._write(url, secret, is_new=True)
        return self.name

    def update(self, found: FoundWebhook, url: str, secret: str | None) -> None:
        self._write(url, secret, is_new=not found.has_secret)

    def delete(self, found: FoundWebhook) -> None:
        config = self.job.config()
        jenkins_api.remove_endpoint(config, self.job.credential)
        self.job.write_config(config)

    def ping(self, webhook: str, *, is_new: bool) -> Callable[[], PingAnswer | None] | None:
        return None

    def _description(self, url: str) -> str | None:
        """The credential's description. Raises `SenderRejected` if it is not about this address."""
        found = self.job.description()
        if found is None or not self.counts_credential or found == f"{DESCRIPTION}{url}":
            return found
        raise SenderRejected(
            f"Jenkins has a credential {self.job.credential!r} for something else; choose another id with "
            "--credential"
        )

    def _write(self, url: str, secret: str | None, *, is_new: bool) -> None:
        if secret is not None:
            self.job.write_credential(f"{url}/{secret}", f"{DESCRIPTION}{url}", is_new=is_new)
        config = self.job.config()
        endpoint = jenkins_api.endpoint_in(config, self.job.credential)
        if endpoint is not None and not jenkins_api.differences(endpoint):
            return
        jenkins_api.set_endpoint(config, self.job.credential)
        self.job.write_config(config)
        if jenkins_api.endpoint_in(self.job.config(), self.job.credential) is None:
            raise SenderRejected(
                "Jenkins did not keep the endpoint; is the Notification plugin installed and enabled?"
            )


@contextmanager
def _opened(job: str, url: str, user: str, credential: str) -> Iterator[JenkinsConnection]:
    # The address of a job's page: https://ci.example.com/job/shop/job/deploy/
    if job.startswith(f"{url.rstrip('/')}/job/"):
        job = "/".join(re.findall(r"/job/([^/]+)", unquote(job.removeprefix(url.rstrip("/")))))
    if not JOB.fullmatch(job):
        raise click.UsageError(f"{job!r} is not the name of a job with its folders, such as shop/deploy.")
    token = token_of("JENKINS_API_TOKEN", permission=NEEDED)
    jenkins = JenkinsJob(url=url, user=user, token=token, job=job, credential=credential, sleep=sleep)
    try:
        yield JenkinsConnection(jenkins, job)
    finally:
        jenkins.close()
