"""Connections to Redis: limited, verified, with credentials read for each, and dropped when the primary moves."""

import asyncio
import hashlib
import logging
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import redis.asyncio as client
from redis import exceptions
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.credentials import CredentialProvider

from fleetform_runtime.secrets import SecretMissingError, Secrets
from fleetform_runtime.sections.memory import RedisMemory
from fleetform_runtime.store import StoreError, UnreadableRecordError, UnsuitableStoreError

log = logging.getLogger(__name__)
T = TypeVar("T")

KEEP_ALIVE = {
    getattr(socket, name): value
    for name, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))
    if hasattr(socket, name)
}
"""An idle connection whose other end has gone is noticed within a minute."""

_UNSUITABLE = {
    b"cluster": "the server is a node of a Redis Cluster, which is not supported: "
    "name a primary that is no part of a cluster",
    b"sentinel": "the server is a Redis Sentinel, which keeps no data: "
    "name the Service that follows the primary",
}


class _UnsuitableError(exceptions.RedisError):
    """Waiting does not help: the server is of a kind that is not supported."""


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


class Script:
    """A script that is sent as its hash, and whole to a server that does not know it yet."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._hash = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()

    async def __call__(self, redis: Any, keys: Sequence[str], given: Sequence[Any]) -> Any:
        """Run it on a connection of a pool."""
        try:
            return await redis.evalsha(self._hash, len(keys), *keys, *given)
        except exceptions.NoScriptError:
            return await redis.eval(self._text, len(keys), *keys, *given)


class _Pool:
    """Connections that are given up together; those in use end with the work that uses them."""

    def __init__(self, redis: Any) -> None:
        self.redis = redis
        self.has_worked = False
        self._users = 0
        self._is_retired = False

    async def do(self, work: Callable[[Any], Awaitable[T]]) -> T:
        self._users += 1
        try:
            result = await work(self.redis)
            self.has_worked = True
            return result
        finally:
            self._users -= 1
            if self._is_retired and not self._users:
                await self.redis.aclose()

    async def retire(self) -> None:
        """Close what is idle, and the rest after its last use."""
        self._is_retired = True
        await self.redis.connection_pool.update_active_connections_for_reconnect()
        await self.redis.connection_pool.disconnect(inuse_connections=False)


class RedisClient:
    """A limited pool; nothing is opened before it is needed.

    A connection belongs to the server that it was opened to, whatever the Service says meanwhile. When one is silent,
    lost, or answers as a replica does, all of them are given up, and the operation is repeated once on a new one.
    """

    def __init__(
        self, settings: RedisMemory, secrets: Secrets, renewed: Callable[[], None] = lambda: None
    ) -> None:
        """Take who wants to know that connections were given up."""
        self._settings = settings
        self._secrets = secrets
        self._renewed = renewed
        self._pool = _Pool(self._connect())

    async def do(self, work: Callable[[Any], Awaitable[T]]) -> T:
        """Perform an operation that may be repeated, within its time.

        The library's annotations do not say whether answers are text or bytes; here they are bytes.

        Raises:
            UnsuitableStoreError: the server is of a kind that is not supported.
            UnreadableRecordError: a key has a value of another type.
            StoreError: the server does not answer, or refuses.
        """
        try:
            async with asyncio.timeout(2 * self._settings.timeouts.request_seconds):
                return await self._twice(work)
        except _UnsuitableError as error:
            raise UnsuitableStoreError(str(error)) from None
        except exceptions.ResponseError as error:
            if "WRONGTYPE" in str(error):
                raise UnreadableRecordError("a key has a value of the wrong type") from None
            raise StoreError(f"{type(error).__name__}: {error}") from None
        except (exceptions.RedisError, OSError, TimeoutError, SecretMissingError) as error:
            raise StoreError(f"{type(error).__name__}: {error}") from None

    async def close(self) -> None:
        """Close the pool."""
        await self._pool.redis.aclose()

    async def _twice(self, work: Callable[[Any], Awaitable[T]]) -> T:
        used = self._pool
        try:
            return await used.do(work)
        except exceptions.RedisError as error:
            if self._pool is used:  # else others have found its connections wrong
                if not _is_stale(error):
                    raise
                await self._renew(used, error)
            return await self._pool.do(work)

    async def _renew(self, used: _Pool, error: Exception) -> None:
        """Give a pool up; while the server is away there is nothing to give up, and nothing to tell."""
        if used.has_worked:
            log.warning("connections to Redis are opened anew: %s", error)
            self._renewed()
        elif isinstance(error, exceptions.ConnectionError | exceptions.TimeoutError):
            return
        self._pool = _Pool(self._connect())
        await used.retire()

    def _connect(self) -> Any:
        settings = self._settings
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
            options["credential_provider"] = _Credentials(settings, self._secrets)
        elif settings.username is not None:
            options["username"] = self._secrets.value(settings.username)
        pool = client.BlockingConnectionPool(
            host=settings.host,
            port=settings.port,
            db=settings.database,
            max_connections=settings.pool_size,
            # Those that wait for a connection see silent ones given up before their own time is over.
            timeout=settings.timeouts.request_seconds + settings.timeouts.connect_seconds,
            socket_timeout=settings.timeouts.request_seconds,
            socket_connect_timeout=settings.timeouts.connect_seconds,
            socket_keepalive=True,
            socket_keepalive_options=KEEP_ALIVE,
            retry=Retry(NoBackoff(), 0),
            health_check_interval=0,
            redis_connect_func=_greet,
            **options,
        )
        return client.Redis.from_pool(pool)


async def _greet(connection: Any) -> None:
    """Log in, and look whom the connection has reached: only a primary may answer, even what is only read.

    Raises:
        ReadOnlyError: it is a replica.
        _UnsuitableError: it is of a kind that is not supported.
    """
    await connection.on_connect()
    await connection.send_command("HELLO", connection.protocol)
    try:
        said = await connection.read_response()
    except exceptions.ResponseError:
        return  # an account that may not ask is told by its first write
    if isinstance(said, list):
        said = dict(zip(said[::2], said[1::2], strict=False))
    if why := _UNSUITABLE.get(said.get(b"mode", b"")):
        raise _UnsuitableError(why)
    if said.get(b"role", b"master") != b"master":
        raise exceptions.ReadOnlyError("the server is a replica")


def _is_stale(error: exceptions.RedisError) -> bool:
    """Whether another connection may reach a server that does better."""
    if isinstance(error, exceptions.ConnectionError):
        # That all connections of the pool are in use is no fault of theirs.
        return not isinstance(error.__cause__, TimeoutError)
    wrong = (exceptions.TimeoutError, exceptions.ReadOnlyError, exceptions.MasterDownError)
    # Scripts of Redis 6 and older wrap the code in their own error.
    return isinstance(error, wrong) or "READONLY" in str(error)


def prefix(settings: RedisMemory, namespace: str, agent: str) -> str:
    """Return the prefix of every key of an agent."""
    return settings.key_prefix or f"fleetform:{namespace}:{agent}:"
