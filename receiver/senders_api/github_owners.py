"""Who has webhooks on GitHub, and what permission a token for them needs."""

import re
from dataclasses import dataclass
from typing import Final

REPOSITORY_NAME: Final = re.compile(r"[A-Za-z0-9_-]+/(?!\.{1,2}$)[A-Za-z0-9_.-]+")
ORGANISATION_NAME: Final = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Owner:
    """The owner of webhooks: its path in the API, and the permission that a token needs."""

    path: str
    permission: str

    def deliveries_path(self, hook: int | None) -> str:
        """An App has one webhook, without a number."""
        return f"{self.path}/hook/deliveries" if hook is None else f"{self.path}/hooks/{hook}/deliveries"


def repository(name: str) -> Owner:
    return Owner(
        f"/repos/{name}",
        "a classic token needs the scope admin:repo_hook, a fine-grained one the repository permission "
        "“Webhooks: read and write”, of somebody who administers the repository",
    )


def organisation(name: str) -> Owner:
    return Owner(
        f"/orgs/{name}",
        "a classic token needs the scope admin:org_hook, a fine-grained one the organisation permission "
        "“Webhooks: read and write”, of an owner of the organisation",
    )


APP: Final = Owner(
    "/app",
    "this needs a JWT signed with the App's private key, not the token of a user or an installation",
)
