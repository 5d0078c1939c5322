"""Addresses: where the family is, and what relative ones are relative to."""

from __future__ import annotations

from dataclasses import dataclass

FIRST = "/"
ROOT = "/ucwa"
DISCOVERY = "/autodiscover/autodiscoverservice.svc/root"
USER = f"{DISCOVERY}/oauth/user"
XFRAME = "/ucwa/xframe"
TOKEN = "/WebTicket/oauthtoken"
APPLICATIONS = "/ucwa/v1/applications"
PUBLIC = (ROOT, DISCOVERY, XFRAME)
"""What needs no token, however it is spelled (see `spelling`)."""
APPLICATION = f"{APPLICATIONS}/{{applicationId}}"


@dataclass(frozen=True, slots=True)
class Place:
    """Who asks: `application` is an id, or None above applications."""

    application: str | None = None

    def href(self, address: str) -> str:
        """Relative to the host. What begins with a slash is so already; what has a scheme is whole."""
        if address.startswith(("/", "data:", "http:", "https:")):
            return address
        if self.application is None:
            raise ValueError(f"{address} is relative, and there is no application")
        if not address or address.startswith("?"):
            return f"{APPLICATIONS}/{self.application}{address}"
        return f"{APPLICATIONS}/{self.application}/{address}"


def path_of(endpoint_path: str) -> str:
    """The whole path of an endpoint, as a pattern."""
    if endpoint_path.startswith("/"):
        return endpoint_path
    return f"{APPLICATION}/{endpoint_path}" if endpoint_path else APPLICATION
