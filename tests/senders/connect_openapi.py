"""What `connect` and `disconnect` ask of GitHub and PagerDuty, against the descriptions that these publish.

`python -m tests.senders.connect_openapi FOLDER`; needs Node. Prism (npm `@stoplight/prism-cli`) stands between
the commands and the servers of the suite's tests, and reports every request that is not as the description
says. The answers of these servers are shorter than the real ones; what is said of them is counted only. FOLDER keeps what is installed, and holds PagerDuty's `openapiv3.json`
(repository PagerDuty/api-schema), if it is to be checked too; GitHub's comes from npm `@octokit/openapi`.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from tests.support.ports import held_ports
from tests.support.waiting import wait_until

PACKAGES: Final = ("@stoplight/prism-cli@5.16.0", "@octokit/openapi@23.0.2")
GITHUB: Final = ("/repos/{owner}/{repo}/hooks", "/orgs/{org}/hooks")
PAGERDUTY: Final = ("/services", "/webhook_subscriptions")
TESTS: Final = Path("tests/integration/cli/connect")
UPSTREAM: Final = "CONNECT_UPSTREAM_PORT"
"""The variable in which the tests find the port that the fake server is to use, and …"""
PROXY: Final = "CONNECT_PROXY_URL"
"""… the address that the commands are to use."""
FROM_THERE: Final = (
    "-k not refuse and not refused and not githubs and not does_not_arrive and not waits_until"
)
"""Answers that are wrong on purpose are not checked, nor what needs two servers."""


def main(folder: Path) -> int:
    folder.mkdir(exist_ok=True)
    prism = folder / "node_modules/.bin/prism"
    if not prism.exists():
        subprocess.run(["npm", "install", "--prefix", str(folder), "--no-audit", *PACKAGES], check=True)
    github = folder / "node_modules/@octokit/openapi/generated/api.github.com.json"
    jobs = [("github", github, GITHUB)]
    if (folder / "openapiv3.json").exists():
        jobs.append(("pagerduty", folder / "openapiv3.json", PAGERDUTY))
    failed = [name for name, source, paths in jobs if not _check(folder, prism, name, source, paths)]
    print(f"{len(jobs) - len(failed)} of {len(jobs)} descriptions agree", *failed)
    return 1 if failed else 0


def _check(folder: Path, prism: Path, name: str, source: Path, paths: tuple[str, ...]) -> bool:
    description = folder / f"{name}-hooks.json"
    description.write_text(json.dumps(part_of(json.loads(source.read_text()), paths)))
    with held_ports(2) as ports:
        return _check_with(folder, prism, name, description, *ports)


def _check_with(folder: Path, prism: Path, name: str, description: Path, upstream: int, port: int) -> bool:
    command = [str(prism), "proxy", str(description), f"http://127.0.0.1:{upstream}"]
    log = folder / f"{name}.log"
    with (
        log.open("w") as output,
        subprocess.Popen([*command, "--port", str(port)], stdout=output, stderr=subprocess.STDOUT) as process,
    ):
        try:
            wait_until(lambda: "listening" in log.read_text(), "Prism listens", 60)
            variables = {UPSTREAM: str(upstream), PROXY: f"http://127.0.0.1:{port}"}
            tests = [sys.executable, "-m", "pytest", "-q", str(TESTS / f"test_{name}.py"), FROM_THERE]
            result = subprocess.run(tests, env=os.environ | variables, check=False)
        finally:
            process.terminate()
    said = re.sub(r"\x1b\[[0-9;]*m", "", log.read_text()).splitlines()
    requests = [line for line in said if "Request received" in line]
    violations = [line for line in said if "Violation: request" in line or "terminated" in line]
    answers = [line for line in said if "Violation: response" in line]
    print(f"{name}: {len(requests)} requests, {len(violations)} violations ({len(answers)} in our answers)")
    print(*violations, sep="\n")
    return result.returncode == 0 and not violations


def part_of(description: dict[str, Any], beginnings: tuple[str, ...]) -> dict[str, Any]:
    """These paths and the components they refer to: Prism takes minutes for all of GitHub's."""
    kept: set[tuple[str, str]] = set()
    components = description["components"]

    def walk(item: object) -> None:
        if isinstance(item, dict):
            if item.get("format") == "url":
                del item["format"]  # Prism's idea of it leaves out 127.0.0.1.
            reference = str(item.get("$ref", ""))
            if reference.startswith("#/components/"):
                kind, name = reference.split("/")[2:4]
                if (kind, name) not in kept and name in components.get(kind, {}):
                    kept.add((kind, name))
                    walk(components[kind][name])
            for value in item.values():
                walk(value)
        elif isinstance(item, list):
            for value in item:
                walk(value)

    paths = {path: item for path, item in description["paths"].items() if path.startswith(beginnings)}
    walk(paths)
    parts: dict[str, dict[str, Any]] = {"securitySchemes": components.get("securitySchemes", {})}
    for kind, name in kept:
        parts.setdefault(kind, {})[name] = components[kind][name]
    return {
        "openapi": description["openapi"],
        "info": description["info"],
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": parts,
    }


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve()))
