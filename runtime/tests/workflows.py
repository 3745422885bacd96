"""Workflows as tests make them: settings, stores on real servers, runs."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson

from fleetform_runtime.secrets import Secrets
from fleetform_runtime.workflows.records import WorkflowRun, run_json
from fleetform_runtime.workflows.settings import WorkflowSettings
from fleetform_runtime.workflows.store import WorkflowStore
from fleetform_runtime.workflows.store.build import build
from fleetform_runtime.workflows.store.sql import SqlStore

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


def unreadable(name: str) -> dict[str, str]:
    """Return bodies of a run that nobody here can read, by what is wrong with them."""
    body = orjson.loads(run_json(run(name)))
    return {
        "no JSON": "{half",
        "another type": '["a"]',
        "a member of another type": orjson.dumps(body | {"events": "many"}).decode(),
        "a phase that is not known": orjson.dumps(body | {"phase": "Paused"}).decode(),
        "the definition of a newer version": orjson.dumps(
            body | {"definition": {"steps": [STEP], "newField": 1}}
        ).decode(),
    }


async def overwrite(kept: Any, name: str, body: str) -> None:
    """Replace what a store keeps of a run, as nobody does who knows it."""
    if isinstance(kept, SqlStore):
        text = "UPDATE {schema}workflow_runs SET body = $3 WHERE workflow = $1 AND name = $2"
        await kept._do(lambda tx: tx.rows(text, kept._workflow, name, body))
        return
    await kept._client.do(lambda redis: redis.hset(f"{kept._prefix}run:{name}", "body", body))


@asynccontextmanager
async def store(memory: Any = None, name: str = "report") -> AsyncIterator[WorkflowStore]:
    settings = workflow(memory, workflow={"name": name, "namespace": "demo"})
    made = build(settings, Secrets({}))
    await made.open()
    try:
        yield made
    finally:
        await made.close()
