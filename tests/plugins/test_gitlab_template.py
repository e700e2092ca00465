"""The GitLab templates, run by gitlab-ci-local: what all plugins do, and what only GitLab has."""

import os
from pathlib import Path

import pytest

from tests.plugins.contract import PluginContract
from tests.support.gitlab_ci_local import GitLabProject


class TestGitLabTemplate(PluginContract):
    @pytest.fixture
    def plugin(self, tmp_path: Path) -> GitLabProject:
        return GitLabProject(tmp_path)
