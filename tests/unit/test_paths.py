"""Which path a person meant who set up a webhook."""

import pytest

from receiver.sources import SOURCES
from receiver.web.paths import right_path


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize(
    "path",
    ["/{}", "/webhooks//{}", "/webhooks/{}/", "/hooks/{}", "/webhooks/{} ", "/{}/webhooks"],
)
def test_a_path_that_names_a_source_means_its_webhook(path: str, name: str) -> None:
    assert right_path(path.format(name)) is not None
    assert str(right_path(path.format(name))).startswith(f"/webhooks/{name}")
    assert right_path(path.format(name.upper())) == right_path(path.format(name))


@pytest.mark.parametrize(
    "path", ["", "/", "/webhooks", "/webhooks/", "/favicon.ico", "/webhooks/bitbucket", "/" * 50]
)
def test_a_path_that_names_no_source_means_none(path: str) -> None:
    assert right_path(path) is None


@pytest.mark.parametrize("path", ["/webhooks/gitlab", "/webhooks/jenkins", "/webhooks/jenkins/token"])
def test_a_right_path_of_a_source_that_is_off_is_not_corrected(path: str) -> None:
    assert right_path(path) is None


def test_a_token_is_never_repeated() -> None:
    for path in (
        "/jenkins/s3cret",
        "/webhooks//jenkins/s3cret",
        "/webhooks/jenkins/s3cret/",
        "/s3cret/gitlab/s3cret",
    ):
        assert "s3cret" not in str(right_path(path))
    assert right_path("/webhooks//jenkins/s3cret") == "/webhooks/jenkins/<token>"
