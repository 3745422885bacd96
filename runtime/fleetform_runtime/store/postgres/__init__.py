"""A store in PostgreSQL."""

from fleetform_runtime.sections.memory import PostgresMemory
from fleetform_runtime.store.parts import Store, Surroundings
from fleetform_runtime.store.postgres.backend import PostgresBackend
from fleetform_runtime.store.postgres.conversations import PostgresConversations
from fleetform_runtime.store.postgres.memories import PostgresMemories
from fleetform_runtime.store.postgres.pauses import PostgresPauses
from fleetform_runtime.store.postgres.runs import PostgresRuns


def build(settings: PostgresMemory, around: Surroundings) -> Store:
    """Return the store of an agent."""
    backend = PostgresBackend(settings, around)
    conversations = PostgresConversations(backend, settings.policy)
    runs, pauses = PostgresRuns(backend), PostgresPauses(backend)
    return Store(backend, conversations, runs, pauses, PostgresMemories(backend, around))
