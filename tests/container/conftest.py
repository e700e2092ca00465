import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from string import Template
from tempfile import mkdtemp
from typing import Final

import pytest

from tests.container.podman import Podman
from tests.support.gitlab_ci_local import required

REPOSITORY: Final = Path(__file__).parents[2]
CERTIFICATES: Final = "/etc/ssl/certs/ca-certificates.crt"
IMAGE: Final = "localhost/apitraffic-events"
REVISION: Final = "0123abc"


@pytest.fixture(scope="session")
def podman() -> Iterator[Podman]:
    for tool in ("podman", "runc", "mmdebstrap"):
        required(tool)
    engine = Podman(Path(mkdtemp(prefix="container-")))
    yield engine
    engine.remove_everything()


@pytest.fixture(scope="session")
def image(podman: Podman, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The image, on the Dockerfile's own base or, where no registry is reached, on Debian's Python.

    CONTAINER_RELEASE names the release of Debian whose Python it is to be, for instance a newer one.
    """
    base = pinned_base()
    if release := os.environ.get("CONTAINER_RELEASE"):
        base = podman.make_base(release)
    elif podman.attempt("pull", "--quiet", base).returncode != 0:
        print(f"{base} cannot be pulled; its place is taken by Debian's packages of Python")
        base = podman.make_base(base.partition("@")[0].rpartition("-")[2])
    settings = tmp_path_factory.mktemp("pip") / "pip.conf"
    settings.write_text(pip_settings(), encoding="utf-8")
    trusted = [f"--volume={CERTIFICATES}:{CERTIFICATES}:ro", f"--volume={settings}:/etc/pip.conf:ro"]
    how = ["--format", "docker", "--isolation", "chroot", "--pull=never", "--build-arg", f"BASE={base}"]
    podman("build", *how, *trusted, "--build-arg", f"REVISION={REVISION}", "--tag", IMAGE, str(REPOSITORY))
    return IMAGE


def pinned_base() -> str:
    text = (REPOSITORY / "Dockerfile").read_text(encoding="utf-8")
    arguments = dict(re.findall(r"^ARG (\w+)=(\S+)$", text, re.MULTILINE))
    return Template(arguments["BASE"]).substitute(arguments)


def pip_settings() -> str:
    """What pip needs to reach packages from here: this machine's certificates and index, if it has one."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    index = re.search(r"^[^=]*\bindex-url='(http[^']+)'$", listed, re.MULTILINE)
    return f"[global]\ncert = {CERTIFICATES}\n" + (f"index-url = {index[1]}\n" if index else "")
