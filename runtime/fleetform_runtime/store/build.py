"""Chooses the store that keeps the conversations."""

from fleetform_runtime.secrets import Secrets
from fleetform_runtime.sections.memory import FilesystemMemory, InMemory, RedisMemory
from fleetform_runtime.settings import Settings
from fleetform_runtime.store import Store
from fleetform_runtime.store.filesystem import FilesystemStore
from fleetform_runtime.store.memory import MemoryStore


def build(settings: Settings, secrets: Secrets) -> Store:
    """Return the configured store; clients of servers are imported only when needed."""
    memory = settings.memory
    if isinstance(memory, InMemory):
        return MemoryStore(memory)
    if isinstance(memory, FilesystemMemory):
        return FilesystemStore(memory)
    if isinstance(memory, RedisMemory):
        from fleetform_runtime.store.redis import RedisStore  # noqa: PLC0415

        return RedisStore(memory, secrets, settings.agent.namespace, settings.agent.name)
    from fleetform_runtime.store.postgres import PostgresStore  # noqa: PLC0415

    return PostgresStore(memory, secrets, settings.agent.namespace, settings.agent.name)
