"""Connections of tools: guarded, limited, with credentials read when needed."""

import asyncio
import base64
import ssl
import time
from collections.abc import Callable
from urllib.parse import quote_plus

import aiohttp
import orjson

from fleetform_runtime.answers import TooLargeError, whole
from fleetform_runtime.secrets import SecretMissingError, Secrets
from fleetform_runtime.sections.base import TextOrSecret, Tls
from fleetform_runtime.sections.tools import (
    BasicAuth,
    BearerAuth,
    ClientCredentialsAuth,
    HeaderAuth,
    OutboundAuth,
)
from fleetform_runtime.tls import TlsFiles
from fleetform_runtime.tools import ToolError
from fleetform_runtime.tools.guard import GuardedResolver, check_host, origin

EARLY_SECONDS = 30
"""Seconds before its expiry at which a token is renewed."""
SHORTEST_LIFE = 5.0
LARGEST_TOKEN_ANSWER = 256 * 1024
CONNECT_SECONDS = 5.0


class Outbound:
    """Connects to one upstream."""

    def __init__(
        self,
        url: str,
        secrets: Secrets,
        *,
        headers: dict[str, TextOrSecret] | None = None,
        auth: OutboundAuth | None = None,
        tls: Tls | None = None,
        connect_seconds: float = CONNECT_SECONDS,
    ) -> None:
        self._secrets = secrets
        self._fixed = headers or {}
        self._auth = auth
        self._tls = TlsFiles(tls)
        self._connect = connect_seconds
        self._session: aiohttp.ClientSession | None = None
        self._tokens = (
            TokenSource(auth, secrets, tls) if isinstance(auth, ClientCredentialsAuth) else None
        )
        self.origin = origin(url.replace("{", "x").replace("}", "x"))

    def session(self) -> aiohttp.ClientSession:
        """Return the connection pool.

        Raises:
            ToolError: the host must never be reached.
        """
        check_host(self.origin[1])
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=0, resolver=GuardedResolver(), keepalive_timeout=30, use_dns_cache=False
                ),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._connect),
                cookie_jar=aiohttp.DummyCookieJar(),
                read_bufsize=2**18,
                trust_env=False,
            )
        return self._session

    def tls(self) -> ssl.SSLContext | bool:
        """Return the value of aiohttp's `ssl`."""
        return self._tls.context() or True

    async def headers(self, *, renew: bool = False) -> dict[str, str]:
        """Return the headers of a request, including credentials.

        Raises:
            ToolError: a secret is missing, or no token could be obtained.
        """
        try:
            found = {name: self._secrets.value(value) for name, value in self._fixed.items()}
            found |= self._credentials()
        except SecretMissingError:
            raise ToolError("The tool's credentials are missing.") from None
        if self._tokens is not None:
            found["Authorization"] = f"Bearer {await self._tokens.token(renew=renew)}"
        return found

    @property
    def can_renew(self) -> bool:
        """Whether a refused credential can be replaced by a new one."""
        return self._tokens is not None

    async def close(self) -> None:
        """Close the pools."""
        if self._session is not None:
            await self._session.close()
        if self._tokens is not None:
            await self._tokens.close()

    def _credentials(self) -> dict[str, str]:
        auth, value = self._auth, self._secrets.value
        if isinstance(auth, BearerAuth):
            return {"Authorization": f"Bearer {value(auth.token)}"}
        if isinstance(auth, BasicAuth):
            pair = f"{value(auth.username)}:{value(auth.password)}".encode()
            return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}
        if isinstance(auth, HeaderAuth):
            return {auth.name: value(auth.value)}
        return {}


class TokenSource:
    """Fetches an OAuth 2 access token with the client credentials, and caches it while it is valid."""

    def __init__(
        self,
        settings: ClientCredentialsAuth,
        secrets: Secrets,
        tls: Tls | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._secrets = secrets
        self._outbound = Outbound(settings.token_url, secrets, tls=tls)
        self._clock = clock
        self._token = ""
        self._until = float("-inf")
        self._in_header = False
        self._lock = asyncio.Lock()

    async def token(self, *, renew: bool = False) -> str:
        """Return a token that is valid for a while; one caller fetches it for all."""
        held = self._token
        async with self._lock:
            is_fresh = self._clock() < self._until and not (renew and held == self._token)
            if not is_fresh:
                await self._fetch()
            return self._token

    async def close(self) -> None:
        """Close the pool."""
        await self._outbound.close()

    async def _fetch(self) -> None:
        try:
            async with asyncio.timeout(10):
                status, raw = await self._asked()
                if status in (400, 401):
                    # RFC 6749, 2.3.1: the header is what every server has to take, the form what most do.
                    self._in_header = not self._in_header
                    status, raw = await self._asked()
            if status != 200:
                raise ToolError(f"The tool's authentication was refused ({status}).")
            self._take(orjson.loads(raw))
        except SecretMissingError:
            raise ToolError("The tool's credentials are missing.") from None
        except (
            *(aiohttp.ClientError, TimeoutError, OSError, TooLargeError),
            *(ValueError, KeyError, TypeError),
        ):
            raise ToolError("The tool's authentication failed.") from None

    async def _asked(self) -> tuple[int, bytes]:
        """Ask for a token once, with the client's credentials in the form or in the header."""
        form, headers = self._form(), {"Accept": "application/json"}
        if self._in_header:
            pair = ":".join(quote_plus(form.pop(name)) for name in ("client_id", "client_secret"))
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        async with self._outbound.session().post(
            self._settings.token_url,
            data=form,
            ssl=self._outbound.tls(),
            allow_redirects=False,
            headers=headers,
        ) as response:
            return response.status, await whole(response, LARGEST_TOKEN_ANSWER)

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
        token, life = answer["access_token"], answer.get("expires_in", 300)
        if not isinstance(token, str) or not token:
            raise ValueError("access_token")
        seconds = float(life) if isinstance(life, int | float | str) else 300.0
        self._token = self._secrets.learn(token)
        self._until = self._clock() + max(SHORTEST_LIFE, seconds - EARLY_SECONDS)
