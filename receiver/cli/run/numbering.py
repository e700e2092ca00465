"""The names of several deployments of one CI job to one environment: each has an event of its own."""

import hashlib
import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from receiver.config.ci.job import CiJob
from receiver.events import marker_key

FOLDERS: Final = ("RUNNER_TEMP", "WORKSPACE_TMP", "AGENT_TEMPDIRECTORY")
"""Folders that GitHub's runner, Jenkins and the agent of Azure Pipelines empty."""
MOST: Final = 1_000
JENKINS: Final = "Jenkins"


def name_of_run(key: str, job: CiJob, environ: Mapping[str, str]) -> str:
    """The key of the first run that has it; the second one gets the number 2, as docs/ci-plugins.md has it.

    Counted by empty files, so that two runs at the same moment get different numbers. If none can be written,
    each run is taken for the first one.
    """
    folder = Path(next(filter(None, map(environ.get, FOLDERS)), "") or tempfile.gettempdir())
    digest = hashlib.sha256(key.encode()).hexdigest()[:16]
    for number in range(1, MOST):
        try:
            file = os.open(folder / f"apitraffic-run-{digest}-{number}", os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            continue
        except OSError:
            break
        with suppress(OSError):
            os.close(file)
        return key if number == 1 else _numbered(key, number, job)
    return key


def _numbered(key: str, number: int, job: CiJob) -> str:
    if job.system == JENKINS:
        return marker_key(key.replace(job.key, f"{job.key}#{number}", 1))
    return marker_key(f"{key}:{number}")
