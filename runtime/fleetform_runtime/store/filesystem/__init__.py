"""A store below one folder."""

from pathlib import Path

from fleetform_runtime.sections.memory import FilesystemMemory
from fleetform_runtime.store.filesystem.backend import FilesystemBackend
from fleetform_runtime.store.filesystem.conversations import FilesystemConversations
from fleetform_runtime.store.filesystem.memories import FilesystemMemories
from fleetform_runtime.store.filesystem.pauses import FilesystemPauses
from fleetform_runtime.store.filesystem.runs import FilesystemRuns
from fleetform_runtime.store.parts import Store, Surroundings


def build(settings: FilesystemMemory, around: Surroundings) -> Store:
    """Return the store of an agent."""
    backend = FilesystemBackend(Path(settings.path))
    return Store(
        backend,
        FilesystemConversations(backend, settings.policy, around),
        FilesystemRuns(backend, around.clock),
        FilesystemPauses(backend),
        FilesystemMemories(backend, around),
    )
