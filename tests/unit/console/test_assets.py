"""What the console serves of others is what was checked, and small enough."""

import gzip
import hashlib
import json
import tomllib
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[3]
STATIC: Final = ROOT / "receiver/console/static"
MOST: Final = 150_000
"""Bytes of scripts and styles, compressed."""


def test_vendored_files_are_those_of_the_lock_each_with_its_licence() -> None:
    locked = json.loads((ROOT / "assets/vendored.lock").read_text())
    packages = tomllib.loads((ROOT / "assets/vendored.toml").read_text())["package"]
    names = {file["as"] for package in packages for file in package["file"]}
    assert names == {file.name for file in (STATIC / "vendor").iterdir()}
    for name in names:
        digest = hashlib.sha256((STATIC / "vendor" / name).read_bytes()).hexdigest()
        assert locked[name] == f"sha256-{digest}"
    for package in packages:
        assert locked[f"{package['name']}@{package['version']}"].startswith("sha512-")
        assert any(file["as"].endswith(".LICENSE") for file in package["file"])


def test_a_page_with_its_scripts_stays_small() -> None:
    files = [path for path in STATIC.rglob("*") if path.suffix in {".js", ".css"}]
    assert sum(len(gzip.compress(path.read_bytes(), 9)) for path in files) < MOST
