"""How pytest-xdist's processes share the tests that start programs: by file."""

from typing import Final

from xdist.scheduler import LoadFileScheduling
from xdist.workermanage import WorkerController

JVM_FILES: Final = ("tests/plugins/test_jenkins_", "tests/plugins/test_vectors.py")
"""They run pipelines in a JVM, which each process that runs some of them has to start."""


class ByFile(LoadFileScheduling):  # type: ignore[misc]  # xdist has no types
    """One process runs all tests of a file, which share what they start; one runs all that needs the JVM."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return "JVM" if file.startswith(JVM_FILES) else file

    def remove_node(self, node: WorkerController) -> str | None:
        """A test that ended its process is given back, to be reported, and is not run again.

        xdist would run it in the next process, and end one after the other until it gives up all tests. Its
        other schedulers do not.
        """
        files: dict[str, dict[str, bool]] = self.assigned_work[node]
        running = next(
            ((file, test) for file, tests in files.items() for test in tests if not tests[test]), None
        )
        if running is not None:
            file, test = running
            files[file][test] = True  # as if it had run to its end
        super().remove_node(node)
        return None if running is None else running[1]
