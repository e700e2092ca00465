"""Writes each action as a repository of its own: `python actions/mirror.py FOLDER`.

GitHub's Marketplace lists an action whose action.yml is at the root of a public repository. The code is in
folders of the same names as here, so that its imports stay as they are.
"""

import re
import shutil
import sys
import tomllib
from pathlib import Path

ACTIONS = Path(__file__).parent
ROOT = ACTIONS.parent
NAMES = ("event", "deployment")


def repository() -> str:
    """The address of this repository, without a slash at its end."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    address: str = project["urls"]["Repository"]
    return address


def mirror(name: str, folder: Path) -> Path:
    """Write the action below this folder, over an older mirror of it; the folder's .git stays."""
    home = folder / f"apitraffic-{name}-action"
    for part in (name, "lib"):
        shutil.rmtree(home / part, ignore_errors=True)
        shutil.copytree(ACTIONS / part, home / part, ignore=shutil.ignore_patterns("action.yml", "README.md"))
    action = (ACTIONS / name / "action.yml").read_text(encoding="utf-8")
    action = re.sub(r"^(  (?:main|pre|post): )(\S+)$", rf"\1{name}/\2", action, flags=re.MULTILINE)
    (home / "action.yml").write_text(action, encoding="utf-8")
    readme = (ACTIONS / name / "README.md").read_text(encoding="utf-8")
    (home / "README.md").write_text(standalone(readme, name), encoding="utf-8")
    shutil.copy(ROOT / "LICENSE", home / "LICENSE")
    return home


def standalone(readme: str, name: str) -> str:
    """The README with the mirror's name in its examples, and links that lead to the original repository."""
    address = repository()
    owner = address.removeprefix("https://github.com/").partition("/")[0]
    readme = readme.replace(
        f"{owner}/apitraffic-events/actions/{name}@", f"{owner}/apitraffic-{name}-action@"
    )

    def absolute(link: re.Match[str]) -> str:
        target, hash_, anchor = link[1].partition("#")
        path = (ACTIONS / name / target).resolve().relative_to(ROOT.resolve())
        return f"]({address}/blob/main/{path.as_posix()}{hash_}{anchor})"

    readme = re.sub(r"\]\((?![a-z]+:|#)([^)\s]+)\)", absolute, readme)
    return f"{readme}\nThis repository is a mirror: issues and changes belong to <{address}>.\n"


if __name__ == "__main__":
    for each in NAMES:
        mirror(each, Path(sys.argv[1]))
