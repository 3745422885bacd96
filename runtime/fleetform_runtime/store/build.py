"""Chooses the store that keeps conversations and runs."""

from collections.abc import Callable
from typing import Any

from fleetform_runtime.sections.memory import (
    FilesystemMemory,
    InMemory,
    NoMemory,
    PostgresMemory,
    RedisMemory,
)
from fleetform_runtime.settings import Settings
from fleetform_runtime.store import filesystem, memory, nothing
from fleetform_runtime.store.parts import Store, Surroundings


def _redis(settings: RedisMemory, around: Surroundings) -> Store:
    from fleetform_runtime.store.redis import build  # noqa: PLC0415

    return build(settings, around)


def _postgres(settings: PostgresMemory, around: Surroundings) -> Store:
    from fleetform_runtime.store.postgres import build  # noqa: PLC0415

    return build(settings, around)


BUILDERS: dict[type, Callable[[Any, Surroundings], Store]] = {
    NoMemory: nothing.build,
    InMemory: memory.build,
    FilesystemMemory: filesystem.build,
    RedisMemory: _redis,
    PostgresMemory: _postgres,
}
"""The store of each type; clients of servers are imported only when needed."""


def build(settings: Settings, around: Surroundings) -> Store:
    """Return the configured store."""
    return BUILDERS[type(settings.memory)](settings.memory, around)
