"""Durations of store operations, for the parts of any store."""

import time
from collections.abc import Awaitable, Callable, Mapping
from types import SimpleNamespace
from typing import Any, cast

from fleetform_runtime.store.parts import Conversations, Memories, Pauses, Runs, Store
from fleetform_runtime.telemetry.metrics import Metrics

CONVERSATIONS = {
    "load": "load",
    "page": "load",
    "create": "update",
    "append": "append",
    "recent": "list",
    "update": "update",
    "delete": "delete",
    "clear": "delete",
    "expire": "delete",
}
RUNS = {
    "put": "update",
    "claim": "update",
    "get": "load",
    "events": "load",
    "ask_cancel": "update",
    "is_cancel_asked": "load",
    "of": "list",
    "tasks": "list",
    "remove": "delete",
    "expire": "delete",
}
PAUSES = {"put": "update", "remove": "delete", "page": "list"}
MEMORIES = {
    "load": "load",
    "write": "update",
    "touch": "update",
    "remove": "delete",
    "expire": "delete",
}
"""Every operation of a part, and the label under which it is measured."""


def measured(store: Store, metrics: Metrics) -> Store:
    """Return a store that does the same and measures it."""

    def part(of: object, operations: Mapping[str, str]) -> SimpleNamespace:
        return SimpleNamespace(
            **{name: timed(getattr(of, name), op) for name, op in operations.items()}
        )

    def timed(work: Callable[..., Awaitable[Any]], op: str) -> Callable[..., Awaitable[Any]]:
        async def measure(*given: Any, **named: Any) -> Any:
            began = time.perf_counter()
            try:
                return await work(*given, **named)
            finally:
                seconds = time.perf_counter() - began
                metrics.observe("agent_memory_operation_seconds", seconds, store.backend.type, op)

        return measure

    return Store(
        store.backend,
        cast(Conversations, part(store.conversations, CONVERSATIONS)),
        cast(Runs, part(store.runs, RUNS)),
        cast(Pauses, part(store.pauses, PAUSES)),
        cast(Memories, part(store.memories, MEMORIES)),
    )
