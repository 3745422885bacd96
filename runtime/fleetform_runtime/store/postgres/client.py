"""Connections to PostgreSQL: limited, verified, dropped when the primary moves, and shared with others by a pooler."""

import asyncio
import contextlib
import logging
import socket
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import asyncpg

from fleetform_runtime.net.tls import TlsFiles
from fleetform_runtime.secrets import SecretMissingError, Secrets
from fleetform_runtime.sections.memory import PostgresMemory
from fleetform_runtime.store import StoreError, UnreadableRecordError

log = logging.getLogger(__name__)
T = TypeVar("T")
MOVING_SECONDS = 60.0

_KEEP_ALIVE = (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))
"""An idle connection whose other end has gone is noticed within a minute."""


class _SilentError(Exception):
    """A connection did not answer in time."""


_POOLED = (asyncpg.InvalidSQLStatementNameError, asyncpg.DuplicatePreparedStatementError)
"""A prepared statement is not where it was: another server connection answers each transaction."""
_LOST = (
    _SilentError,
    ConnectionError,
    asyncpg.InterfaceError,  # the connection, or the pool that someone else has given up, is closed
    asyncpg.ConnectionDoesNotExistError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
)
_STALE = (*_LOST, *_POOLED, asyncpg.ReadOnlySQLTransactionError)
"""Another connection may reach a server that does better."""


class _Connection(asyncpg.Connection):
    """A connection that keeps nothing in its session but prepared statements."""

    def _get_unique_id(self, prefix: str) -> str:
        """Name a prepared statement as no other process does: behind a pooler they share connections."""
        return f"__asyncpg_{prefix}_{uuid.uuid4().hex}__"

    def get_reset_query(self) -> str:
        """Reset nothing: nothing was set, and resetting would take a round trip after each operation."""
        return ""


class PostgresClient:
    """A limited pool; nothing is opened before it is needed.

    A connection belongs to the server that it was opened to, whatever the Service says meanwhile. When one is silent,
    lost, or answers as a standby does, all of them are given up, and the operation is repeated once on a new one.

    Behind a pooler such as PgBouncer, which may give each transaction another server connection, no statement stays
    prepared for the next transaction. That takes another round trip for each, so only there.
    """

    def __init__(
        self,
        settings: PostgresMemory,
        secrets: Secrets,
        prepare: Callable[[Any], Awaitable[None]],
        renewed: Callable[[], None] = lambda: None,
    ) -> None:
        """Take what creates missing tables, and who wants to know that connections were given up.

        A new primary may lack tables, for DDL is not always replicated; those of another server are not made up for.
        """
        self._renewed = renewed
        self._prepare = prepare
        self._settings = settings
        self._secrets = secrets
        self._tls = TlsFiles(settings.tls)
        self._pool: Any = None
        self._opening = asyncio.Lock()
        self._is_pooled = False
        self._has_worked = False
        """Whether an operation has succeeded since connections were given up."""
        self._moved = float("-inf")
        """When a server was last found to only read: another one becomes the primary."""
        self._retiring: set[asyncio.Task[None]] = set()

    async def do(self, work: Callable[[Any], Awaitable[T]]) -> T:
        """Perform an operation that may be repeated, within its time.

        Raises:
            UnreadableRecordError: a name cannot be stored.
            StoreError: the server does not answer, or refuses.
        """
        timeouts = self._settings.timeouts
        try:
            async with asyncio.timeout(timeouts.connect_seconds + 2 * timeouts.request_seconds):
                return await self._again(work)
        except asyncpg.CharacterNotInRepertoireError:
            raise UnreadableRecordError(
                "a name contains characters that cannot be stored"
            ) from None
        except (
            asyncpg.PostgresError,
            asyncpg.InterfaceError,
            OSError,
            TimeoutError,
            SecretMissingError,
            _SilentError,
        ) as error:
            raise StoreError(f"{type(error).__name__}: {error}") from None

    async def close(self) -> None:
        """Close the pool."""
        for task in self._retiring:
            task.cancel()
        await asyncio.gather(*self._retiring, return_exceptions=True)
        if self._pool is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(2):
                    await self._pool.close()  # what does not end in time is terminated

    async def _again(self, work: Callable[[Any], Awaitable[T]]) -> T:
        """Perform an operation, and repeat it for each reason to that there is: a connection, then tables."""
        for may_fail in (True, True, False):
            pool = await self._opened()
            try:
                result = await self._once(pool, work)
            except _STALE as error:
                if not may_fail:
                    raise
                # While the server is away there is nothing to give up, and nothing to tell.
                if self._has_worked or not isinstance(error, _LOST):
                    await self._renew(pool, error)
            except asyncpg.UndefinedTableError:
                if not may_fail or time.monotonic() - self._moved > MOVING_SECONDS:
                    raise
                await self._once(pool, self._prepare)
            except TimeoutError:
                if (
                    not may_fail or self._pool is pool
                ):  # else others have found its connections wrong
                    raise
            else:
                self._has_worked = True
                return result
        raise AssertionError  # the last attempt returns or raises

    async def _once(self, pool: Any, work: Callable[[Any], Awaitable[T]]) -> T:
        # Those that wait for a connection see silent ones given up before their own time is over.
        timeouts = self._settings.timeouts
        seconds = timeouts.request_seconds + timeouts.connect_seconds
        async with pool.acquire(timeout=seconds) as connection:
            try:
                return await work(connection)
            except TimeoutError:
                connection.terminate()  # to wait for its end would take as long again
                raise _SilentError("a connection did not answer in time") from None

    async def _renew(self, used: Any, error: Exception) -> None:
        """Give all connections up, once for all operations that fail together; those in use end with their work."""
        async with self._opening:  # nobody else may replace the pool meanwhile
            if self._pool is not used:
                return
            if self._has_worked:
                log.warning("connections to PostgreSQL are opened anew: %s", error)
                self._renewed()
            self._is_pooled = self._is_pooled or isinstance(error, _POOLED)
            if isinstance(error, asyncpg.ReadOnlySQLTransactionError):
                self._moved = time.monotonic()
            self._pool, self._has_worked = await self._connect(), False
        self._retiring.add(task := asyncio.create_task(self._retire(used)))
        task.add_done_callback(self._retiring.discard)

    async def _retire(self, pool: Any) -> None:
        """Close a pool once its operations have ended, however silent its connections are."""
        timeouts = self._settings.timeouts
        with contextlib.suppress(Exception):
            async with asyncio.timeout(timeouts.connect_seconds + 2 * timeouts.request_seconds):
                await pool.close()

    async def _opened(self) -> Any:
        if self._pool is None:
            async with self._opening:
                if self._pool is None:
                    self._is_pooled = await self._is_behind_a_pooler()
                    self._pool = await self._connect()
        return self._pool

    async def _is_behind_a_pooler(self) -> bool:
        """Whether the process that a connection has been told of is not the one that answers."""
        connection = await asyncpg.connect(
            **self._options(), timeout=self._settings.timeouts.connect_seconds
        )
        try:
            process = await connection.fetchval("SELECT pg_backend_pid()")
            return bool(process != connection.get_server_pid())
        finally:
            await connection.close(timeout=1)

    async def _connect(self) -> Any:
        settings = self._settings
        return await asyncpg.create_pool(
            **self._options(),
            min_size=0,
            max_size=settings.pool_size,
            timeout=settings.timeouts.connect_seconds,
            init=_keep_alive,
        )

    def _options(self) -> dict[str, Any]:
        settings, password = self._settings, self._settings.password
        return {
            "host": settings.host,
            "port": settings.port,
            "database": settings.database,
            "user": self._secrets.value(settings.username),
            "password": (lambda: self._secrets.value(password)) if password else None,
            "ssl": self._tls.context() or False,
            "command_timeout": settings.timeouts.request_seconds,
            "connection_class": _Connection,
            "statement_cache_size": 0 if self._is_pooled else 100,
        }


async def _keep_alive(connection: Any) -> None:
    """Notice the end of an idle connection; the library has no option for it."""
    used = connection._transport.get_extra_info("socket")
    if used is None or used.family == getattr(socket, "AF_UNIX", None):
        return
    used.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEP_ALIVE:
        if hasattr(socket, name):
            used.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
