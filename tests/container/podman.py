"""podman with a store of its own, so that nothing of this machine's is used or left behind."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

SECONDS: Final = 300.0
BASE_MADE_HERE: Final = "localhost/python-of-debian"


class Podman:
    """Call it with podman's own words; gives what it printed, raises `AssertionError` where it fails.

    runc and plain cgroups: they work on machines without systemd too.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._sudo = [] if os.geteuid() == 0 else ["sudo"]
        stores = ["--root", str(folder / "store"), "--runroot", str(folder / "run")]
        self.command = [*self._sudo, "podman", *stores, "--runtime", "runc", "--cgroup-manager", "cgroupfs"]

    def __call__(self, *words: str) -> str:
        done = self.attempt(*words)
        assert done.returncode == 0, f"podman {' '.join(words)}\n{done.stdout}{done.stderr}"
        return done.stdout

    def attempt(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [*self.command, *words]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS)

    def start(self, name: str, image: str, **environment: str) -> None:
        """Run it as compose.yaml and the Kubernetes manifests do: confined, the root file system read-only.

        It has a network of its own without a way out, so that no port of this machine is taken.
        """
        confined = ["--read-only", "--cap-drop", "all", "--security-opt", "no-new-privileges"]
        # Left to itself, podman asks for more than some machines let root have.
        limits = ["--ulimit=nofile=4096:4096", "--ulimit=nproc=4096:4096"]
        variables = [f"--env={variable}={value}" for variable, value in environment.items()]
        self("run", "--detach", "--name", name, "--network", "none", *confined, *limits, *variables, image)

    def make_base(self, release: str) -> str:
        """An image of Debian's packages with Python, for machines that reach no registry of images."""
        self._make_image(BASE_MADE_HERE, "python3,python3-venv", release)
        return BASE_MADE_HERE

    def make_redis(self, name: str) -> None:
        """An image of Debian's Redis under the name of another, for the same machines."""
        self._make_image(name, "redis-server", "bookworm")

    def _make_image(self, name: str, packages: str, release: str) -> None:
        archive = self._folder / "made.tar"
        # Some mirrors keep a release for longer than it says that it is valid. Nothing of this is shipped.
        quick = "--dpkgopt=force-unsafe-io"
        options = ["--aptopt=Acquire::Check-Valid-Until false", quick, f"--include={packages}"]
        make = [*self._sudo, "mmdebstrap", "--quiet", "--variant=minbase", *options, release, str(archive)]
        done = subprocess.run(make, capture_output=True, text=True, check=False, timeout=SECONDS)
        assert done.returncode == 0, done.stderr
        self("import", "--quiet", str(archive), name)
        archive.unlink()

    def remove_everything(self) -> None:
        self.attempt("rm", "--all", "--force", "--volumes")
        self.attempt("rmi", "--all", "--force")
        if self._sudo:
            subprocess.run(["sudo", "rm", "-rf", "--one-file-system", str(self._folder)], check=True)
        else:
            shutil.rmtree(self._folder)
