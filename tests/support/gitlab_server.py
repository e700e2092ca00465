"""A GitLab as far as gitlab-ci-local needs one for what a pipeline includes: raw files, and a repository.

git comes to that repository by its configuration, not by HTTP.
"""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

from tests.support.serving import serving

PROJECT: Final = "acme/apitraffic"
VERSION: Final = "1.0.0"
GIT: Final = (
    "git",
    "-c",
    "user.name=alice",
    "-c",
    "user.email=alice@example.com",
    "-c",
    "init.defaultBranch=main",
)


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *arguments: Any) -> None:
        """Tests print nothing."""


@contextmanager
def serving_templates(folder: Path, templates: Path, home: Path) -> Iterator[str]:
    """The project with these templates, tagged as a version; the server's `host:port`.

    `home` is that of the user whose git is to find it.
    """
    repository = folder / f"{PROJECT}.git"
    shutil.copytree(templates, repository / "templates")
    for command in (("init", "-q"), ("add", "."), ("commit", "-q", "-m", "Begin"), ("tag", VERSION)):
        subprocess.run([*GIT, *command], cwd=repository, check=True)
    shutil.copytree(templates, folder / PROJECT / "-" / "raw" / VERSION / "templates")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=folder))
    host = f"127.0.0.1:{server.server_port}"
    (home / ".gitconfig").write_text(
        f'[url "file://{repository}"]\n\tinsteadOf = http://{host}/{PROJECT}.git\n'
    )
    with serving(server):
        yield host
