"""Chooses the store that keeps a workflow's runs; clients of servers are imported only when needed."""

from pathlib import Path

from fleetform_runtime.secrets import Secrets
from fleetform_runtime.sections.memory import FilesystemMemory, PostgresMemory, RedisMemory
from fleetform_runtime.workflows.settings import WorkflowSettings
from fleetform_runtime.workflows.store import WorkflowStore


def build(settings: WorkflowSettings, secrets: Secrets) -> WorkflowStore:
    """Return the configured store."""
    memory, workflow = settings.memory, settings.workflow
    if isinstance(memory, PostgresMemory):
        from fleetform_runtime.workflows.store.postgres import PostgresStore  # noqa: PLC0415

        return PostgresStore(memory, secrets, settings.key)
    if isinstance(memory, RedisMemory):
        from fleetform_runtime.workflows.store.redis import RedisStore  # noqa: PLC0415

        return RedisStore(memory, secrets, workflow.namespace, workflow.name)
    from fleetform_runtime.workflows.store.sqlite import SqliteStore  # noqa: PLC0415

    path = None
    if isinstance(memory, FilesystemMemory):
        path = Path(memory.path, f"{workflow.namespace}.{workflow.name}.sqlite")
    return SqliteStore(path, settings.key)
