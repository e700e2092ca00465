"""Job notifications on Jenkins: the endpoint of the Notification plugin in one job, and its credential.

https://plugins.jenkins.io/notification/, and the credentials' URLs as
https://github.com/jenkinsci/credentials-plugin/blob/master/docs/user.adoc has them.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

# What is parsed has no DOCTYPE, see `JenkinsJob.config`; `escape` only escapes.
from xml.etree import ElementTree as ET  # nosec B405
from xml.sax.saxutils import escape  # nosec B406

import requests
from pydantic import TypeAdapter
from requests.auth import HTTPBasicAuth

from receiver.senders_api.client import SenderClient
from receiver.senders_api.webhooks import SenderNotFound, SenderRejected, SenderUnavailable

PLUGIN: Final = "com.tikal.hudson.plugins.notification"
PROPERTY: Final = f"{PLUGIN}.HudsonNotificationProperty"
ENDPOINT: Final = f"{PLUGIN}.Endpoint"
STORE: Final = "/credentials/store/system/domain/_"
SETTINGS: Final = {
    "protocol": "HTTP",
    "format": "JSON",
    "event": "all",
    "timeout": "5000",
    "loglines": "0",
    "retries": "2",
    "branch": ".*",
}
"""Of an endpoint, as docs/senders/jenkins.md explains them."""
NECESSARY: Final = ("protocol", "format", "event", "loglines")
"""Settings without which the receiver does not get what it needs; the others may differ."""
DECLARATION: Final = re.compile(r"^\s*<\?xml[^>]*\?>")
MULTIBRANCH: Final = ("MultiBranchProject", "OrganizationFolder")


@dataclass(frozen=True, slots=True)
class Credential:
    description: str | None = None


CREDENTIAL: Final = TypeAdapter(Credential)


class JenkinsJob:
    """One job, by its name with folders. Methods raise a `SenderError` if they fail."""

    def __init__(
        self, *, url: str, user: str, token: str, job: str, credential: str, sleep: Callable[[float], None]
    ) -> None:
        basic = HTTPBasicAuth(user, token)

        def authorise(request: requests.PreparedRequest) -> requests.PreparedRequest:
            # With an API token, Jenkins asks for no crumb.
            basic(request)
            return request

        self._client = SenderClient(
            title="Jenkins",
            api_url=url,
            authorise=authorise,
            permission="the user of the API token needs Credentials/Create and Update, and Job/Configure",
            sleep=sleep,
        )
        self.credential = credential
        self._config = "".join(f"/job/{quote(part, safe='')}" for part in job.split("/")) + "/config.xml"
        self._credential_path = f"{STORE}/credential/{quote(credential, safe='')}"

    def close(self) -> None:
        self._client.close()

    def description(self) -> str | None:
        """The credential's description; `None` if there is no such credential."""
        try:
            path = f"{self._credential_path}/api/json"
            return self._client.read(CREDENTIAL, "GET", path).description or ""
        except SenderNotFound:
            return None

    def write_credential(self, secret_url: str, description: str, *, is_new: bool) -> None:
        """A secret text that holds the whole URL, as the plugin wants it."""
        kind = "org.jenkinsci.plugins.plaincredentials.impl.StringCredentialsImpl"
        xml = (
            f"<{kind}><scope>GLOBAL</scope><id>{escape(self.credential)}</id>"
            f"<description>{escape(description)}</description><secret>{escape(secret_url)}</secret></{kind}>"
        )
        path = f"{STORE}/createCredentials" if is_new else f"{self._credential_path}/config.xml"
        self._client.call("POST", path, xml=xml)

    def config(self) -> ET.Element:
        """The job's configuration. Raises `SenderRejected` if the job cannot have notifications."""
        # Jenkins' own header need not name the encoding.
        text = self._client.call("GET", self._config).content.decode(errors="replace")
        if "<!DOCTYPE" in text:
            raise SenderUnavailable("Jenkins' answer is not the configuration of a job")
        try:
            # Jenkins declares XML 1.1, which Python's parser does not know. No DOCTYPE, so no entities.
            root = ET.fromstring(DECLARATION.sub("", text))  # noqa: S314  # nosec B314
        except ET.ParseError:
            raise SenderUnavailable("Jenkins' answer is not XML that can be read") from None
        if root.tag.endswith(MULTIBRANCH):
            raise SenderRejected(
                "this is a multibranch project, whose jobs get their settings from the Jenkinsfile: "
                "add notifications to its properties step"
            )
        return root

    def write_config(self, root: ET.Element) -> None:
        xml = "<?xml version='1.1' encoding='UTF-8'?>\n" + ET.tostring(root, encoding="unicode")
        self._client.call("POST", self._config, xml=xml)


def endpoint_in(root: ET.Element, credential: str) -> ET.Element | None:
    """The job's endpoint whose URL is in this credential. Every other endpoint belongs to somebody else."""
    return next(
        (
            endpoint
            for endpoint in root.iter(ENDPOINT)
            if endpoint.findtext("urlInfo/urlType") == "SECRET"
            and endpoint.findtext("urlInfo/urlOrId") == credential
        ),
        None,
    )


def differences(endpoint: ET.Element) -> tuple[str, ...]:
    return tuple(
        f"{name} is {endpoint.findtext(name) or 'not set'}"
        for name in NECESSARY
        if endpoint.findtext(name) != SETTINGS[name]
    )


def set_endpoint(root: ET.Element, credential: str) -> None:
    """Add the endpoint, or correct it."""
    endpoint = endpoint_in(root, credential)
    if endpoint is None:
        properties = _child(root, "properties")
        endpoint = ET.SubElement(_child(_child(properties, PROPERTY), "endpoints"), ENDPOINT)
        info = ET.SubElement(endpoint, "urlInfo")
        ET.SubElement(info, "urlOrId").text = credential
        ET.SubElement(info, "urlType").text = "SECRET"
        for name, value in SETTINGS.items():
            ET.SubElement(endpoint, name).text = value
    for name in NECESSARY:
        _child(endpoint, name).text = SETTINGS[name]


def remove_endpoint(root: ET.Element, credential: str) -> None:
    """Remove the endpoint, and the property if it was the only one."""
    endpoint = endpoint_in(root, credential)
    for properties in root.findall("properties"):
        for holder in properties.findall(PROPERTY):
            for endpoints in holder.findall("endpoints"):
                if endpoint is not None and endpoint in list(endpoints):
                    endpoints.remove(endpoint)
                    if not len(endpoints):
                        properties.remove(holder)


def _child(parent: ET.Element, name: str) -> ET.Element:
    found = parent.find(name)
    return ET.SubElement(parent, name) if found is None else found
