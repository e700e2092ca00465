"""Runs the script inside the GitLab templates in a shell, with only some programs installed."""

import subprocess
from collections.abc import Mapping
from pathlib import Path
from tempfile import gettempdir
from typing import Final

from tests.plugins.contract import Run
from tests.support.gitlab_ci_local import SECRETS, TEMPLATES, required

SCRIPT: Final = TEMPLATES.parent / "apitraffic.sh"
PROGRAMS: Final = (
    *("awk", "cat", "cut", "date", "grep", "head", "mktemp", "od", "rm", "sed", "sha256sum", "sleep"),
    *("tail", "touch", "tr"),
)
"""Programs that every image has; no HTTP client is among them."""
JOB: Final = {
    "CI_SERVER_HOST": "gitlab.example.com",
    "CI_PROJECT_PATH": "acme/shop",
    "CI_PROJECT_URL": "https://gitlab.example.com/acme/shop",
    "CI_COMMIT_SHA": "0123abc4567890123abc4567890123abc4567890",
    "CI_COMMIT_REF_NAME": "main",
    "CI_PIPELINE_ID": "77",
    "CI_PIPELINE_URL": "https://gitlab.example.com/acme/shop/-/pipelines/77",
    "GITLAB_USER_LOGIN": "alice",
}
JOB_STATUS: Final = {"success": "success", "failure": "failed", "cancelled": "canceled"}


def install(folder: Path, names: Mapping[str, str]) -> Path:
    """A folder for the PATH in which these names are these programs."""
    folder.mkdir(exist_ok=True)
    for name, program in names.items():
        (folder / name).symlink_to(required(program))
    return folder


class GitLabScript:
    """A job's folder and PATH; `shell` runs the script, and `clients` are what it can reach the API with.

    A plugin as tests/plugins/contract.py wants it: `inputs` are named as there.
    """

    source = "gitlab_ci"

    def __init__(
        self, folder: Path, shell: tuple[str, ...] = ("dash",), clients: tuple[str, ...] = ("curl",)
    ) -> None:
        programs = {name: name for name in (*PROGRAMS, *clients)}
        if shell[0] == "busybox":
            programs |= {"awk": "busybox", "sh": "busybox"}
        self.folder = folder
        self.path = str(install(folder / "bin", programs))
        self._shell = (required(shell[0]), *shell[1:])
        self._jobs = 0

    def event(self, inputs: Mapping[str, str], commit_message: str = "Faster checkout") -> Run:
        self._jobs += 1
        return self._result(self.run("event", inputs, CI_COMMIT_TITLE=commit_message.partition("\n")[0]))

    def deployment(
        self, inputs: Mapping[str, str], outcome: str = "success", commit_message: str = "Faster checkout"
    ) -> Run:
        self._jobs += 1
        title = commit_message.partition("\n")[0]
        opened = self.run("open", inputs, CI_COMMIT_TITLE=title)
        closed = self.run("close", inputs, CI_COMMIT_TITLE=title, CI_JOB_STATUS=JOB_STATUS[outcome])
        run = self._result(closed)
        is_success = opened.returncode == 0 and outcome == "success"
        return Run(is_success=is_success, log=opened.stdout + opened.stderr + run.log, outputs=run.outputs)

    def run(
        self, command: str, inputs: Mapping[str, str], **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """The script with this command; `variables` are those of the job."""
        given = {SECRETS[name]: value for name, value in inputs.items() if name in SECRETS}
        given |= {
            f"APITRAFFIC_INPUT_{name.upper().replace('-', '_')}": value.replace("$", "$$")
            for name, value in inputs.items()
            if name not in SECRETS
        }
        return subprocess.run(
            [*self._shell, "-s", "--", command],
            cwd=self.folder,
            input=SCRIPT.read_text(),
            env={
                "PATH": self.path,
                "TMPDIR": gettempdir(),
                "CI_PROJECT_DIR": str(self.folder),
            }
            | JOB
            | {
                "CI_JOB_ID": str(self._jobs),
                "CI_JOB_URL": f"https://gitlab.example.com/acme/shop/-/jobs/{self._jobs}",
            }
            | given
            | variables,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def _result(self, finished: subprocess.CompletedProcess[str]) -> Run:
        written = dict(
            line.partition("=")[::2] for line in (self.folder / "apitraffic.env").read_text().splitlines()
        )
        outputs = {
            name.removeprefix("APITRAFFIC_").lower().replace("_", "-"): value
            for name, value in written.items()
        }
        return Run(finished.returncode == 0, finished.stdout + finished.stderr, outputs)
