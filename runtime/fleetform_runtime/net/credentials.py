"""The credentials of requests: headers whose values are secrets or tokens."""

import base64
from collections.abc import Mapping
from typing import Protocol

from fleetform_runtime.net import NetError
from fleetform_runtime.secrets import SecretMissingError, Secrets
from fleetform_runtime.sections.base import TextOrSecret
from fleetform_runtime.sections.tools import (
    BasicAuth,
    BearerAuth,
    HeaderAuth,
    OutboundAuth,
)


class Tokens(Protocol):
    """Where access tokens come from."""

    async def token(self, refused: str = "") -> str:
        """Return a token that is valid for a while, and another one than the one just refused.

        Raises:
            NetError: there is none.
        """
        ...

    async def close(self) -> None:
        """Close connections."""
        ...


class Credentials:
    """The headers that identify us to one upstream; secrets are read when they are needed."""

    def __init__(
        self,
        secrets: Secrets,
        headers: Mapping[str, TextOrSecret] | None = None,
        auth: OutboundAuth | None = None,
        tokens: Tokens | None = None,
    ) -> None:
        self._secrets = secrets
        self._fixed = headers or {}
        self._auth = auth
        self._tokens = tokens

    async def headers(self, refused: str = "") -> dict[str, str]:
        """Return the headers of a request; `refused` is the Authorization that was just refused.

        Raises:
            NetError: a secret is missing, or no token could be obtained.
        """
        try:
            found = {name: self._secrets.value(value) for name, value in self._fixed.items()}
            found |= self._said()
        except SecretMissingError as error:
            raise NetError("credentials", str(error)) from None
        if self._tokens is not None:
            found["Authorization"] = (
                f"Bearer {await self._tokens.token(refused.removeprefix('Bearer '))}"
            )
        return found

    @property
    def can_renew(self) -> bool:
        """Whether a refused credential can be replaced by a new one."""
        return self._tokens is not None

    async def close(self) -> None:
        """Close the connections to where tokens come from."""
        if self._tokens is not None:
            await self._tokens.close()

    def _said(self) -> dict[str, str]:
        auth, value = self._auth, self._secrets.value
        if isinstance(auth, BearerAuth):
            return {"Authorization": f"Bearer {value(auth.token)}"}
        if isinstance(auth, BasicAuth):
            return {"Authorization": basic(value(auth.username), value(auth.password))}
        if isinstance(auth, HeaderAuth):
            return {auth.name: value(auth.value)}
        return {}


def basic(user: str, password: str) -> str:
    """Return the value of an Authorization header; RFC 7617."""
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"
