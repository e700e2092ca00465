"""What the container is made with is well made; `make container` runs the Dockerfile's own steps."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]


def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    hadolint = shutil.which("hadolint", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if hadolint is None:
        if os.environ.get("REQUIRE_TOOLS") == "1":
            pytest.fail("hadolint is not installed; make tools installs it")
        pytest.skip("hadolint is not installed; make tools installs it")
    done = subprocess.run([hadolint, ROOT / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_every_service_of_ours_is_confined() -> None:
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
    ours = {name: one for name, one in compose["services"].items() if one["image"] == "apitraffic-events"}
    assert set(ours) == {"receiver", "worker", "api"}
    for service in ours.values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["tmpfs"] == ["/tmp"]  # noqa: S108 - of the container
        assert set(service.get("secrets", ())) <= set(compose["secrets"])


def test_redis_keeps_what_it_has() -> None:
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
    command = " ".join(compose["services"]["redis"]["command"])
    assert "--appendonly yes" in command
    assert "--maxmemory-policy noeviction" in command
