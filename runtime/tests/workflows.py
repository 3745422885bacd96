"""Workflows as tests make them: settings, stores on real servers, runs."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fleetform_runtime.secrets import Secrets
from fleetform_runtime.workflows.records import WorkflowRun
from fleetform_runtime.workflows.settings import WorkflowSettings
from fleetform_runtime.workflows.store import WorkflowStore
from fleetform_runtime.workflows.store.build import build

STEP = {"name": "one", "agent": "writer"}


def workflow(memory: Any = None, **changes: Any) -> WorkflowSettings:
    """Return settings of a workflow; `definition` is changed member by member."""
    definition = {"steps": [STEP]} | changes.pop("definition", {})
    document = {
        "contract": 1,
        "workflow": {"name": "report", "namespace": "demo"},
        "definition": definition,
        "agents": [{"name": "writer", "url": "http://127.0.0.1:9/a2a"}],
        "memory": memory or {"type": "in-memory"},
        "auth": {"type": "none"},
    }
    return WorkflowSettings.model_validate(document | changes, strict=False)


def run(name: str, **changes: Any) -> WorkflowRun:
    given = {"id": f"id-{name}", "user": "ann", "input": {}, "definition": {"steps": [STEP]}}
    return WorkflowRun(name=name, **given | changes)


@asynccontextmanager
async def store(memory: Any = None, name: str = "report") -> AsyncIterator[WorkflowStore]:
    settings = workflow(memory, workflow={"name": name, "namespace": "demo"})
    made = build(settings, Secrets({}))
    await made.open()
    try:
        yield made
    finally:
        await made.close()
