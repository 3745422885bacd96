"""OAuth 2 access tokens."""

import time
from collections.abc import Callable
from urllib.parse import quote_plus, urlencode

import orjson

from fleetform_runtime.net import NetError
from fleetform_runtime.net.client import Answer, Client
from fleetform_runtime.net.credentials import basic
from fleetform_runtime.net.shared import Shared
from fleetform_runtime.secrets import SecretMissingError, Secrets
from fleetform_runtime.sections.base import Tls
from fleetform_runtime.sections.tools import ClientCredentialsAuth

EARLY_SECONDS = 30
"""Seconds before its expiry at which a token is renewed."""
SHORTEST_LIFE = 5.0
USUAL_LIFE = 300.0
"""Seconds that a token is kept whose server does not say for how long it is valid."""
LARGEST_ANSWER = 256 * 1024
SECONDS = 10.0


class ClientCredentials:
    """Fetches a token with the client credentials (RFC 6749, 4.4), and keeps it while it is valid."""

    def __init__(
        self,
        settings: ClientCredentialsAuth,
        secrets: Secrets,
        tls: Tls | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._secrets = secrets
        self._client = Client(settings.token_url, tls=tls)
        self._clock = clock
        self._token = ""
        self._until = float("-inf")
        self._in_header = False
        self._fetching = Shared(self._fetch)

    async def token(self, refused: str = "") -> str:
        """Return a token that is valid for a while, and another one than the one just refused."""
        if self._clock() >= self._until or self._token == refused:
            await self._fetching.result()
        return self._token

    async def close(self) -> None:
        """Close the connections to the token endpoint."""
        self._fetching.stop()
        await self._client.close()

    async def _fetch(self) -> None:
        answer = await self._asked()
        if answer.status in (400, 401):
            # RFC 6749, 2.3.1: the header is what every server has to take, the form what most do.
            self._in_header = not self._in_header
            answer = await self._asked()
        if answer.status != 200:
            what = f"the token endpoint answered {answer.status}"
            raise NetError("credentials", what)
        try:
            self._take(orjson.loads(answer.body))
        except (ValueError, KeyError, TypeError):
            raise NetError("credentials", "the token endpoint's answer cannot be read") from None

    async def _asked(self) -> Answer:
        """Ask for a token once, with the client's credentials in the form or in the header."""
        try:
            form = self._form()
        except SecretMissingError as error:
            raise NetError("credentials", str(error)) from None
        headers = {
            "Accept": "application/json",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        if self._in_header:
            pair = [quote_plus(form.pop(name)) for name in ("client_id", "client_secret")]
            headers["Authorization"] = basic(*pair)
        return await self._client.send(
            "POST",
            self._settings.token_url,
            seconds=SECONDS,
            most=LARGEST_ANSWER,
            headers=headers,
            body=urlencode(form).encode(),
        )

    def _form(self) -> dict[str, str]:
        settings = self._settings
        form = {
            "grant_type": "client_credentials",
            "client_id": self._secrets.value(settings.client_id),
            "client_secret": self._secrets.value(settings.client_secret),
        }
        if settings.scopes:
            form["scope"] = " ".join(settings.scopes)
        if settings.audience:
            form["audience"] = settings.audience
        return form

    def _take(self, answer: dict[str, object]) -> None:
        token, life = answer["access_token"], answer.get("expires_in", USUAL_LIFE)
        if not isinstance(token, str) or not token:
            raise ValueError("access_token")
        seconds = float(life) if isinstance(life, int | float | str) else USUAL_LIFE
        self._token = self._secrets.learn(token)
        self._until = self._clock() + max(SHORTEST_LIFE, seconds - EARLY_SECONDS)
