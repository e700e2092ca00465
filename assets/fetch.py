"""Fetch the vendored scripts and styles that `vendored.toml` names, and check them.

`python assets/fetch.py` writes the files if all are what they should be. With `--update` it writes what npm
has for these versions, and their checksums into `vendored.lock`.
"""

import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from pathlib import Path
from typing import Any, Final

HERE: Final = Path(__file__).parent
TARGET: Final = HERE.parent / "receiver/console/static/vendor"
LOCK: Final = HERE / "vendored.lock"


def main() -> int:
    is_update = "--update" in sys.argv[1:]
    known: dict[str, str] = json.loads(LOCK.read_text(encoding="utf-8")) if LOCK.exists() else {}
    found: dict[str, str] = {}
    contents: dict[str, bytes] = {}
    for package in tomllib.loads((HERE / "vendored.toml").read_text(encoding="utf-8"))["package"]:
        with tempfile.TemporaryDirectory() as folder:
            integrity, archive = fetch(package, Path(folder))
            found[f"{package['name']}@{package['version']}"] = integrity
            with tarfile.open(archive) as files:
                for file in package["file"]:
                    member = files.extractfile(f"package/{file['path']}")
                    if member is None:
                        raise SystemExit(f"{package['name']} has no file {file['path']}")
                    contents[file["as"]] = member.read()
                    found[file["as"]] = f"sha256-{hashlib.sha256(contents[file['as']]).hexdigest()}"
    if found != known and not is_update:
        for name in sorted(found.keys() | known.keys()):
            if found.get(name) != known.get(name):
                sys.stderr.write(f"{name} is {found.get(name)}, and not {known.get(name)}\n")
        sys.stderr.write("Nothing was written. If that is wanted: make assets UPDATE=1\n")
        return 1
    TARGET.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (TARGET / name).write_bytes(content)
    LOCK.write_text(json.dumps(found, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return 0


def fetch(package: dict[str, Any], folder: Path) -> tuple[str, Path]:
    """The package's archive, which npm has checked against the integrity that it returns."""
    command = ["npm", "pack", "--json", "--silent", "--ignore-scripts"]
    target = f"{package['name']}@{package['version']}"
    output = subprocess.run([*command, target], cwd=folder, check=True, capture_output=True, text=True).stdout
    answer = json.loads(output)
    (packed,) = answer if isinstance(answer, list) else answer.values()
    return packed["integrity"], folder / packed["filename"]


if __name__ == "__main__":
    sys.exit(main())
