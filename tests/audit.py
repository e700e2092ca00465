"""Looks up what is known against the locked packages: `make audit`.

Where a service does not answer, or does not know a package, that is not taken for "no vulnerabilities": it
ends with 2, a finding with 1. Options go to pip-audit: `make audit AUDIT="--vulnerability-service osv"`.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

REPOSITORY: Final = Path(__file__).parents[1]
LOCKS: Final = (
    "requirements.lock",
    "requirements-dev.lock",
    "requirements-image.lock",
    "requirements-local.lock",
)
FOUND, UNKNOWN = 1, 2


def main(*options: str) -> int:
    files = [word for lock in LOCKS for word in ("--requirement", lock)]
    exactly = ("--disable-pip", "--require-hashes", "--progress-spinner", "off", "--format", "json")
    command = [sys.executable, "-m", "pip_audit", *exactly, *files, *options]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    try:
        packages: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except json.JSONDecodeError:
        reason = (done.stderr.strip().splitlines() or ["pip-audit said nothing"])[-1]
        print(f"NOT AUDITED: the service could not be asked ({reason}). Try where it is reachable.")
        return UNKNOWN
    vulnerable = {package["name"]: package for package in packages if package.get("vulns")}
    skipped = {package["name"]: package for package in packages if "skip_reason" in package}
    for name, package in vulnerable.items():
        for finding in package["vulns"]:
            fixed = ", ".join(finding["fix_versions"]) or "no version yet"
            print(f"{name} {package['version']}: {finding['id']}, fixed in {fixed}")
    if vulnerable:
        print("VULNERABLE: take fixed versions into the locks: make lock")
        return FOUND
    if skipped:
        first = next(iter(skipped.values()))["skip_reason"]
        print(f"NOT AUDITED: nothing is known of {len(skipped)} of {len(packages)} packages here ({first}).")
        return UNKNOWN
    print(f"Nothing is known against any of {len(packages)} packages.")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
