"""A store in Redis."""

from fleetform_runtime.sections.memory import RedisMemory
from fleetform_runtime.store.parts import Store, Surroundings
from fleetform_runtime.store.redis.backend import RedisBackend
from fleetform_runtime.store.redis.conversations import RedisConversations
from fleetform_runtime.store.redis.memories import RedisMemories
from fleetform_runtime.store.redis.pauses import RedisPauses
from fleetform_runtime.store.redis.runs import RedisRuns


def build(settings: RedisMemory, around: Surroundings) -> Store:
    """Return the store of an agent."""
    backend = RedisBackend(settings, around)
    conversations = RedisConversations(backend, settings.policy)
    runs, pauses = RedisRuns(backend), RedisPauses(backend)
    return Store(backend, conversations, runs, pauses, RedisMemories(backend, around))
