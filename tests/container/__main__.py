"""Runs the Dockerfile in a copy-on-write view of this machine's root: every COPY, RUN and ENV as written.

Each stage gets a root of its own (overlayfs in a mount namespace, chroot). Needs root on Linux.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

REPOSITORY: Final = Path(__file__).parents[2]
INSTRUCTION: Final = re.compile(r"([A-Z]+)\s+(.*)", re.DOTALL)


def instructions() -> list[tuple[str, str]]:
    text = re.sub(r"^#.*\n", "", (REPOSITORY / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", " ", text).splitlines()
    found = [INSTRUCTION.fullmatch(line) for line in lines if line.strip()]
    return [(match[1], match[2].strip()) for match in found if match]


class Stage:
    """A root of its own over this machine's."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        for name in ("root", "upper", "work"):
            (folder / name).mkdir(parents=True)
        options = f"lowerdir=/,upperdir={folder}/upper,workdir={folder}/work"
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, str(self.root)], check=True)
        subprocess.run(["mount", "-t", "proc", "proc", str(self.root / "proc")], check=True)
        self.python = Path(os.path.realpath(sys.executable))
        # The image's python3 is for everybody; this machine's may lie in a folder of one user.
        for parent in self.python.parents:
            (self.root / str(parent).lstrip("/")).chmod(0o755)
        self.workdir, self.user = "/", ""
        self.environment = {"PATH": f"{self.python.parent}:/usr/sbin:/usr/bin:/sbin:/bin"}

    def path(self, inside: str) -> Path:
        return self.root / str(Path(self.workdir, inside)).lstrip("/")

    def run(self, *command: str) -> subprocess.Popen[str]:
        user = [f"--userspec={self.user}", "--groups="] if self.user else []
        script = f'cd {shlex.quote(self.workdir)} && exec "$@"'
        return subprocess.Popen(
            ["chroot", *user, str(self.root), "sh", "-c", script, "sh", *command],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def must_run(self, *command: str) -> str:
        process = self.run(*command)
        output, _ = process.communicate(timeout=300)
        if process.returncode:
            raise SystemExit(f"{shlex.join(command)}\n{output}\nended with {process.returncode}")
        return output


def copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True, symlinks=True)
    else:
        shutil.copy(source, target)


def build(folder: Path) -> tuple[Stage, dict[str, list[str]]]:
    """The last stage as the Dockerfile makes it, and its commands."""
    stages: dict[str, Stage] = {}
    stage, commands = Stage(folder / "0"), {}
    for name, rest in instructions():
        print(f"{name} {rest[:90]}", flush=True)
        if name == "FROM":
            stage = Stage(folder / str(len(stages) + 1))
            stages[rest.partition(" AS ")[2] or "final"] = stage
        elif name == "WORKDIR":
            stage.workdir = rest
            stage.path(".").mkdir(parents=True, exist_ok=True)
        elif name == "COPY":
            words = rest.split()
            origin = REPOSITORY
            if words[0].startswith("--from="):
                origin = stages[words.pop(0).removeprefix("--from=")].root
            for source in words[:-1]:
                copy(origin / source.lstrip("/"), stage.path(words[-1]))
        elif name == "RUN":
            stage.must_run("sh", "-ec", rest)
        elif name == "ENV":
            for key, value in (word.split("=", 1) for word in shlex.split(rest)):
                stage.environment[key] = value.replace("$PATH", stage.environment["PATH"])
        elif name == "USER":
            stage.user = rest
        elif name in {"ENTRYPOINT", "CMD"}:
            commands[name] = json.loads(rest)
        elif name == "HEALTHCHECK":
            commands[name] = json.loads(rest.partition(" CMD ")[2])
        elif name not in {"ARG", "LABEL", "EXPOSE", "VOLUME"}:
            raise SystemExit(f"this check does not know {name}")
    return stage, commands


def check(stage: Stage, commands: dict[str, list[str]]) -> None:
    stage.must_run(
        "sh", "-c", "test $(id -u) = 10001 && test -w /var/lib/apitraffic && ! test -w /opt/apitraffic"
    )
    stage.must_run("sh", "-c", "! /opt/apitraffic/bin/python -m pip --version")
    print(stage.must_run(*commands["ENTRYPOINT"], "--version").strip())
    read_only = ["mount", "-o", "remount,ro", str(stage.root)]
    spool = stage.root / "var/lib/apitraffic"
    for target in (spool, stage.root / "tmp"):
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=1777", "tmpfs", str(target)], check=True)
    subprocess.run(read_only, check=True)
    # There is no Redis there: the spool has to take what comes.
    stage.environment |= {
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "GITHUB_WEBHOOK_SECRET": "a-secret-of-the-check",
    }
    receiver = stage.run(*commands["ENTRYPOINT"], *commands["CMD"])
    try:
        assert receiver.stdout is not None
        for line in receiver.stdout:
            print(line, end="")
            if "receiver listens" in line:
                break
        else:
            raise SystemExit("the receiver did not start")
        stage.must_run(*commands["HEALTHCHECK"])
        ready = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8080/readyz').read().decode())"
        answer = stage.must_run("python3", "-c", ready)
        if '"spool"' not in answer:
            raise SystemExit(f"not ready on a read-only root: {answer}")
    finally:
        receiver.terminate()
        receiver.wait(30)


def main() -> None:
    if "APITRAFFIC_OWN_MOUNTS" not in os.environ:
        os.environ["APITRAFFIC_OWN_MOUNTS"] = "1"
        os.execvp("unshare", ["unshare", "--mount", sys.executable, "-m", "tests.container"])
    with tempfile.TemporaryDirectory() as name:
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", name], check=True)
        try:
            stage, commands = build(Path(name))
            check(stage, commands)
        finally:
            subprocess.run(["umount", "--recursive", "--lazy", name], check=True)
    print("The Dockerfile's steps, its command and its health check work, as uid 10001 on a read-only root.")


if __name__ == "__main__":
    main()
