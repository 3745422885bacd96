"""Connections to Redis: limited, verified, with credentials read for each connection."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import redis.asyncio as client
from redis import exceptions
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.credentials import CredentialProvider

from fleetform_runtime.secrets import SecretMissingError, Secrets
from fleetform_runtime.sections.memory import RedisMemory
from fleetform_runtime.store import StoreError, UnreadableRecordError

T = TypeVar("T")


class _Credentials(CredentialProvider):
    """Reads user and password for every connection, so that a rotation needs no restart."""

    def __init__(self, settings: RedisMemory, secrets: Secrets) -> None:
        self._settings = settings
        self._secrets = secrets

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        settings = self._settings
        if settings.password is None:
            raise SecretMissingError("no password is configured")
        password = self._secrets.value(settings.password)
        if settings.username is None:
            return (password,)
        return (self._secrets.value(settings.username), password)


def connect(settings: RedisMemory, secrets: Secrets) -> Any:
    """Return a client with a limited pool; nothing is opened yet.

    The library's annotations do not say whether answers are text or bytes; here they are bytes.
    """
    options: dict[str, Any] = {}
    if settings.tls is not None:
        tls = settings.tls
        options = {
            "connection_class": client.SSLConnection,
            "ssl_ca_certs": tls.ca_file,
            "ssl_certfile": tls.cert_file,
            "ssl_keyfile": tls.key_file,
            "ssl_cert_reqs": "none" if tls.insecure_skip_verify else "required",
            "ssl_check_hostname": not tls.insecure_skip_verify,
        }
    if settings.password is not None:
        options["credential_provider"] = _Credentials(settings, secrets)
    elif settings.username is not None:
        options["username"] = secrets.value(settings.username)
    pool = client.BlockingConnectionPool(
        host=settings.host,
        port=settings.port,
        db=settings.database,
        max_connections=settings.pool_size,
        timeout=settings.timeouts.request_seconds,
        socket_timeout=settings.timeouts.request_seconds,
        socket_connect_timeout=settings.timeouts.connect_seconds,
        retry=Retry(NoBackoff(), 1),
        health_check_interval=0,
        **options,
    )
    return client.Redis.from_pool(pool)


def prefix(settings: RedisMemory, namespace: str, agent: str) -> str:
    """Return the prefix of every key of an agent."""
    return settings.key_prefix or f"fleetform:{namespace}:{agent}:"


async def guarded(seconds: float, work: Callable[[], Awaitable[T]]) -> T:
    """Limit an operation's time and convert its errors to our own."""
    try:
        async with asyncio.timeout(2 * seconds):
            return await work()
    except exceptions.ResponseError as error:
        if "WRONGTYPE" in str(error):
            raise UnreadableRecordError("a key has a value of the wrong type") from None
        raise StoreError(f"{type(error).__name__}: {error}") from None
    except (exceptions.RedisError, OSError, TimeoutError, SecretMissingError) as error:
        raise StoreError(f"{type(error).__name__}: {error}") from None
