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
    """Who asks: `application` is an id, or None above applications. `origin`: where this host is found."""

    application: str | None = None
    origin: str = ""

    def href(self, address: str) -> str:
        """Below an application relative to the host; above, where programs pass an address on to their HTTP library
        as it is, with the host. A data: address is whole."""
        if address.startswith("data:"):
            return address
        if address.startswith("/"):
            return address if self.application is not None else f"{self.origin}{address}"
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
