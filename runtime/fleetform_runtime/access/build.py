"""Builds what decides who may call, and how often."""

from fleetform_runtime.access.identity import Anybody, ApiKeys, Authenticator
from fleetform_runtime.access.quotas import Counters, LocalCounters
from fleetform_runtime.secrets import Secrets
from fleetform_runtime.sections.access import ApiKeyAuth, Auth, OidcAuth
from fleetform_runtime.sections.memory import RedisMemory
from fleetform_runtime.settings import Settings

SHARE = (3, 4)
"""Part of the places that one of several users may hold: the others find one then."""


def authenticator(auth: Auth, secrets: Secrets, nobody: str | None = None) -> Authenticator:
    """Return what identifies callers, `nobody` being who calls where nobody signs in; only OIDC imports what it needs."""
    if isinstance(auth, ApiKeyAuth):
        return ApiKeys(auth, secrets)
    if isinstance(auth, OidcAuth):
        from fleetform_runtime.access.oidc import Oidc  # noqa: PLC0415

        return Oidc(auth)
    return Anybody(nobody) if nobody else Anybody()


def counters(settings: Settings, secrets: Secrets) -> Counters:
    """Return where quotas are counted: in Redis, if all replicas share one."""
    memory = settings.memory
    if not isinstance(memory, RedisMemory):
        return LocalCounters()
    from fleetform_runtime.access.redis_counters import RedisCounters  # noqa: PLC0415

    return RedisCounters(memory, secrets, settings.agent.namespace, settings.agent.name)


def share(settings: Settings, most: int) -> int | None:
    """Return how many of `most` places one user may hold; None where there is but one, as far as is known."""
    auth = settings.auth
    many = isinstance(auth, OidcAuth) or (
        isinstance(auth, ApiKeyAuth) and (len(auth.keys) > 1 or auth.keys[0].on_behalf)
    )
    return max(1, most * SHARE[0] // SHARE[1]) if many else None
