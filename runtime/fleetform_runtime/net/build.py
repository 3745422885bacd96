"""Builds the client of one upstream from what its specification says."""

from collections.abc import Mapping

from fleetform_runtime.forms import redactor
from fleetform_runtime.net.client import CONNECT_SECONDS, Client
from fleetform_runtime.net.credentials import Credentials
from fleetform_runtime.net.tokens import ClientCredentials
from fleetform_runtime.secrets import Secrets
from fleetform_runtime.sections.base import TextOrSecret, Tls
from fleetform_runtime.sections.tools import ClientCredentialsAuth, OutboundAuth


def client(
    url: str,
    secrets: Secrets,
    *,
    headers: Mapping[str, TextOrSecret] | None = None,
    auth: OutboundAuth | None = None,
    tls: Tls | None = None,
    connect_seconds: float = CONNECT_SECONDS,
) -> Client:
    """Return the client of a URL's origin; nothing is opened yet.

    Raises:
        NetError: the URL is not valid.
    """
    tokens = (
        ClientCredentials(auth, secrets, tls) if isinstance(auth, ClientCredentialsAuth) else None
    )
    return Client(
        url,
        Credentials(secrets, headers, auth, tokens),
        tls=tls,
        connect_seconds=connect_seconds,
        redact=redactor(secrets.known),
    )
