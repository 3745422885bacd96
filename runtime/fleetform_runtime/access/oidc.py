"""Callers with a JWT from an OpenID Connect issuer."""

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

import jwt
import orjson

from fleetform_runtime.access.identity import Identity, bearer, unauthenticated
from fleetform_runtime.net import NetError
from fleetform_runtime.net.addresses import origin
from fleetform_runtime.net.client import Client
from fleetform_runtime.net.shared import Shared
from fleetform_runtime.problems import HttpProblem
from fleetform_runtime.sections.access import OidcAuth

log = logging.getLogger(__name__)

ALGORITHMS = (
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
)  # fmt: skip
"""Only asymmetric ones: a public key must not be sufficient for signing."""
KEYS_SECONDS = 3600
UNKNOWN_KEY_SECONDS = 10
"""Seconds between fetches because of an unknown key, which any caller could provoke."""
NO_KEYS_SECONDS = 1
"""The same while none were ever read."""
FETCH_SECONDS = 5
LARGEST = 1024 * 1024
LONGEST_TOKEN = 16_384


class Oidc:
    """Verifies signature, issuer, audience, expiry and scopes."""

    def __init__(self, settings: OidcAuth, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._clients: dict[str, Client] = {}
        self._keys: list[jwt.PyJWK] = []
        self._fetched = float("-inf")
        self._tried = float("-inf")
        self._fetching = Shared(self._fetch)

    async def identify(self, headers: Mapping[str, str]) -> Identity:
        """Return the user identified by the token."""
        token = bearer(headers)
        if not token:
            raise unauthenticated("send a token: Authorization: Bearer <JWT>")
        if len(token) > LONGEST_TOKEN:
            raise unauthenticated("the token is too long")
        try:
            claims = self._verified(token, await self._key(token))
        except jwt.PyJWTError:
            raise unauthenticated("the token is not valid for this agent") from None
        except (ValueError, TypeError, RecursionError):
            raise unauthenticated("the token cannot be read") from None
        return self._identity(claims)

    async def fetched(self) -> int:
        """Fetch the issuer's keys, and return how many can be used."""
        await self._fetching.result()
        return len(self._keys)

    async def close(self) -> None:
        """Close the connections to the issuer."""
        self._fetching.stop()
        for client in self._clients.values():
            await client.close()

    def _verified(self, token: str, key: jwt.PyJWK) -> dict[str, Any]:
        settings = self._settings
        claims = jwt.decode(
            token,
            key=key,
            algorithms=[key.algorithm_name],
            issuer=settings.issuer,
            audience=settings.audience,
            leeway=settings.clock_skew_seconds,
            options={"require": ["exp", "iss", "aud"], "enforce_minimum_key_length": True},
        )
        return dict(claims)

    def _identity(self, claims: dict[str, Any]) -> Identity:
        user = claims.get(self._settings.user_claim)
        if not isinstance(user, str) or not user.strip() or len(user) > 256:
            raise unauthenticated(f"the token has no usable claim {self._settings.user_claim}")
        granted = claims.get("scope", claims.get("scp", ""))
        scopes = granted.split() if isinstance(granted, str) else granted
        if not isinstance(scopes, list):
            scopes = []
        missing = [scope for scope in self._settings.required_scopes if scope not in scopes]
        if missing:
            raise HttpProblem("forbidden", f"the token lacks the scopes {', '.join(missing)}")
        return Identity(user, roles=roles_of(claims, self._settings.roles_claim))

    async def _key(self, token: str) -> jwt.PyJWK:
        header = jwt.get_unverified_header(token)
        if header.get("alg") not in ALGORITHMS or "crit" in header:
            raise unauthenticated("the token's signature algorithm is not accepted")
        name = header.get("kid")
        now, found = self._clock(), self._find(name, header["alg"])
        patience = UNKNOWN_KEY_SECONDS if self._keys else NO_KEYS_SECONDS
        if found is None and (self._fetching.is_busy or now - self._tried > patience):
            await self._fetching.result()
            found = self._find(name, header["alg"])
        elif now - self._fetched > KEYS_SECONDS and now - self._tried > UNKNOWN_KEY_SECONDS:
            # Known keys serve while newer ones are fetched: nobody waits for an issuer that hangs.
            self._fetching.start()
        if found is not None:
            return found
        if not self._keys:
            raise HttpProblem("not_ready", "the issuer's keys cannot be read", 5)
        raise unauthenticated("the token's key is not one of the issuer's")

    def _find(self, name: Any, algorithm: str) -> jwt.PyJWK | None:
        fitting = [
            key
            for key in self._keys
            if key.algorithm_name == algorithm and (name is None or key.key_id == name)
        ]
        return fitting[0] if len(fitting) == 1 or (fitting and name is not None) else None

    async def _fetch(self) -> None:
        """Fetch the issuer's keys; if that fails, the previous ones stay."""
        self._tried = self._clock()
        try:
            self._keys = _usable(await self._get(await self._where()))
            self._fetched = self._clock()
        except (NetError, ValueError, KeyError, TypeError) as error:
            log.warning("the keys of %s cannot be read: %s", self._settings.issuer, error)

    async def _where(self) -> str:
        if self._settings.jwks_url:
            return self._settings.jwks_url
        base = self._settings.issuer.rstrip("/")
        found = await self._get(f"{base}/.well-known/openid-configuration")
        if found["issuer"] != self._settings.issuer:
            raise ValueError("the discovery document is from another issuer")
        where = found["jwks_uri"]
        if not isinstance(where, str) or not where.startswith(("https://", "http://")):
            raise ValueError("jwks_uri")
        if base.startswith("https://") and not where.startswith("https://"):
            raise ValueError("jwks_uri is not https")
        return where

    async def _get(self, url: str) -> Any:
        place = str(origin(url))
        if place not in self._clients:
            self._clients[place] = Client(url, tls=self._settings.tls)
        client = self._clients[place]
        answer = await client.send("GET", url, seconds=FETCH_SECONDS, most=LARGEST)
        if answer.status != 200:
            raise ValueError(f"status {answer.status}")
        return orjson.loads(answer.body)


def _usable(document: Any) -> list[jwt.PyJWK]:
    """Return the usable signing keys of a set; keys of unknown types are left out."""
    found = []
    for key in document["keys"]:
        if not isinstance(key, dict) or key.get("use", "sig") != "sig" or key.get("kty") == "oct":
            continue
        try:
            made = jwt.PyJWK.from_dict(key)
        except jwt.PyJWTError:
            continue
        if made.algorithm_name in ALGORITHMS:
            found.append(made)
            if key.get("kty") == "RSA" and "alg" not in key:
                found += [
                    jwt.PyJWK.from_dict(key, algorithm=name)
                    for name in ALGORITHMS
                    if name[:2] in ("RS", "PS") and name != made.algorithm_name
                ]
    return found


def roles_of(claims: dict[str, Any], name: str | None) -> frozenset[str]:
    """Return the roles in a claim of this name, or at this path of members with dots between them.

    A text is one role, however it reads, and of a list only its texts are roles: what is not clearly a role is none.
    """
    if name is None:
        return frozenset()
    held: Any = claims.get(name)
    if name not in claims:
        held = claims
        for step in name.split("."):
            held = held.get(step) if isinstance(held, dict) else None
    found = [held] if isinstance(held, str) else held if isinstance(held, list) else []
    return frozenset(role for role in found if isinstance(role, str) and role)
