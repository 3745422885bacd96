"""Callers and how they authenticate: the Protocol, API keys, and no authentication."""

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from fleetform_runtime.problems import HttpProblem
from fleetform_runtime.secrets import SecretMissingError, Secrets
from fleetform_runtime.sections.access import ApiKey, ApiKeyAuth

SHORTEST_KEY = 16
_USER = re.compile(r"[^\x00-\x1f\x7f]{1,256}")


@dataclass(frozen=True, slots=True)
class Identity:
    """A caller; only a gateway may name another user in the request body.

    With API keys `user` is the key's name, for users of a gateway `<key>/<user>`: no key's name has a slash.
    """

    user: str
    may_name_users: bool = False
    roles: frozenset[str] = frozenset()
    """What the caller's issuer says that it is."""


class Authenticator(Protocol):
    """Identifies a caller by the headers of a request."""

    async def identify(self, headers: Mapping[str, str]) -> Identity:
        """Return the caller.

        Raises:
            HttpProblem: the caller is unknown.
        """
        ...

    async def close(self) -> None:
        """Close connections."""
        ...


class Anybody:
    """Admits everyone, as one user."""

    def __init__(self, user: str = "anonymous") -> None:
        self._user = user

    async def identify(self, headers: Mapping[str, str]) -> Identity:
        """Return the only user."""
        return Identity(self._user)

    async def close(self) -> None:
        """Nothing to close."""


class ApiKeys:
    """Identifies callers by API key; keeps only hashes, and always compares all of them."""

    def __init__(self, settings: ApiKeyAuth, secrets: Secrets) -> None:
        self._settings = settings
        self._secrets = secrets

    async def identify(self, headers: Mapping[str, str]) -> Identity:
        """Return the caller with this key."""
        shown = bearer(headers) or headers.get("x-api-key", "")
        offered = hashlib.sha256(shown.encode("utf-8", "surrogateescape")).digest()
        found: ApiKey | None = None
        for key in self._settings.keys:
            expected = self._hash(key)
            if expected is not None and hmac.compare_digest(offered, expected):
                found = key
        if found is None or not shown:
            raise unauthenticated("send a key: Authorization: Bearer <key>, or X-API-Key: <key>")
        if not found.on_behalf:
            return Identity(found.name)
        return named(found.name, headers.get(self._settings.user_header.lower()))

    async def close(self) -> None:
        """Nothing to close."""

    def _hash(self, key: ApiKey) -> bytes | None:
        try:
            value = self._secrets.value(key.secret)
        except SecretMissingError:
            return None
        if len(value) < SHORTEST_KEY:
            return None
        return hashlib.sha256(value.encode()).digest()


def named(gateway: str, user: str | None) -> Identity:
    """Return the user named by a gateway; without a name the gateway is the user.

    Raises:
        HttpProblem: the name is invalid.
    """
    if user is None or user == "":
        return Identity(gateway, may_name_users=True)
    if not _USER.fullmatch(user):
        raise HttpProblem(
            "invalid_request", "the user's name must have 1 to 256 printable characters"
        )
    return Identity(f"{gateway}/{user}", may_name_users=True)


def bearer(headers: Mapping[str, str]) -> str:
    """Return the token of the Authorization header, or an empty string."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def unauthenticated(detail: str) -> HttpProblem:
    """Return the problem of an unknown caller."""
    return HttpProblem("unauthenticated", detail, headers={"WWW-Authenticate": "Bearer"})
