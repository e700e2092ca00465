"""pytest-xdist runs the tests of a file in one process, and all of them."""

import subprocess
import sys
from pathlib import Path

from tests.support.launcher import surroundings

OPTIONS = ("-p", "xdist", "-n", "1", "--dist", "loadfile", "-ra", "--basetemp", "temporary")
CONFTEST = """
from tests.support.by_file import ByFile


def pytest_xdist_make_scheduler(config, log):
    return ByFile(config, log)
"""
TESTS = """
import os


def test_before():
    pass


def test_that_ends_the_process():
    os._exit(3)


def test_after():
    pass
"""


def test_a_test_that_ends_its_process_fails_once_and_the_rest_of_its_file_is_run(tmp_path: Path) -> None:
    files = {"pytest.ini": "[pytest]", "conftest.py": CONFTEST, "test_one.py": TESTS}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", *OPTIONS],
        cwd=tmp_path,
        env=surroundings() | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        check=False,
        capture_output=True,
        text=True,
    )
    assert "FAILED test_one.py::test_that_ends_the_process - worker 'gw0' crashed" in ended.stdout
    assert "= 1 failed, 2 passed in " in ended.stdout
    assert ended.returncode == 1
