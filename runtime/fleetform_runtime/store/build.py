"""Chooses the store that keeps the conversations."""

from collections.abc import Callable
from typing import Any

from fleetform_runtime.secrets import Secrets
from fleetform_runtime.sections.memory import (
    FilesystemMemory,
    InMemory,
    NoMemory,
    PostgresMemory,
    RedisMemory,
)
from fleetform_runtime.settings import Settings
from fleetform_runtime.store import Store
from fleetform_runtime.store.filesystem import FilesystemStore
from fleetform_runtime.store.memory import MemoryStore
from fleetform_runtime.store.nothing import NoStore


def _redis(memory: RedisMemory, secrets: Secrets, namespace: str, agent: str) -> Store:
    from fleetform_runtime.store.redis import RedisStore  # noqa: PLC0415

    return RedisStore(memory, secrets, namespace, agent)


def _postgres(memory: PostgresMemory, secrets: Secrets, namespace: str, agent: str) -> Store:
    from fleetform_runtime.store.postgres import PostgresStore  # noqa: PLC0415

    return PostgresStore(memory, secrets, namespace, agent)


BUILDERS: dict[type, Callable[[Any, Secrets, str, str], Store]] = {
    NoMemory: lambda *_: NoStore(),
    InMemory: lambda memory, *_: MemoryStore(memory),
    FilesystemMemory: lambda memory, *_: FilesystemStore(memory),
    RedisMemory: _redis,
    PostgresMemory: _postgres,
}
"""The store of each type; clients of servers are imported only when needed."""


def build(settings: Settings, secrets: Secrets) -> Store:
    """Return the configured store."""
    memory, agent = settings.memory, settings.agent
    return BUILDERS[type(memory)](memory, secrets, agent.namespace, agent.name)
