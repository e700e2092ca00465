"""`[jenkins]` in apitraffic.toml: which jobs deploy, and how a build says what it deploys to where."""

from fnmatch import fnmatchcase

from receiver.sources.jenkins.builds import project_of
from receiver.sources.source import SourceOptions


class Options(SourceOptions):
    """`[jenkins]` in apitraffic.toml."""

    jobs: tuple[str, ...] = ("*deploy*", "*release*")
    """Shell patterns, upper and lower case alike, of the jobs that deploy, by their names with folders."""
    pull_requests: bool = False
    """Whether a multibranch project's builds of pull and merge requests (`PR-12`, `MR-12`) are deploys."""
    environment_parameters: tuple[str, ...] = (
        "ENVIRONMENT",
        "ENV",
        "DEPLOY_ENV",
        "DEPLOY_ENVIRONMENT",
        "TARGET_ENV",
        "TARGET_ENVIRONMENT",
    )
    """Names of build parameters, the first with a value counts: where it is deployed to."""
    version_parameters: tuple[str, ...] = (
        "VERSION",
        "RELEASE_VERSION",
        "APP_VERSION",
        "IMAGE_TAG",
        "GIT_TAG",
        "TAG",
        "RELEASE",
    )
    """As above: what is deployed."""

    def deploys(self, job: str) -> bool:
        """Whether this job is one that deploys.

        A pattern may match a multi-configuration project or one of its cells.
        """
        names = {job.lower(), project_of(job).lower()}
        return any(fnmatchcase(name, pattern.lower()) for name in names for pattern in self.jobs)
