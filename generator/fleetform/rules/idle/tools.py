"""Fields of tools that have no effect for their type."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from fleetform import kinds
from fleetform.contract import EMBEDDED
from fleetform.resolve import Fleet, Resolved
from fleetform.rules.idle.fields import Field, given
from fleetform.rules.idle.stores import tls_fields, where_asked

if TYPE_CHECKING:
    from fleetform.models.tool import Retrieval, ToolSpec
    from fleetform.rules import AgentUses


RESULTS = {
    "code": "a program's result is what it prints",
    "agent": "another agent's result is what it answers",
}
"""Types of tools whose results no schema can change."""


def fields(fleet: Fleet, uses: AgentUses) -> Iterator[Field]:
    """Yield fields that a tool's type or method does not use."""
    del uses
    for tool in fleet.of(kinds.TOOL):
        spec = tool.spec
        if spec.type != "retrieval":
            for number, _ in enumerate(spec.parameters):
                why = f"a {spec.type} tool searches no documents"
                yield from given(tool, ("spec", "parameters", number), ("field",), why, "remove it")
        elif spec.retrieval is not None:
            yield from _retrieval(tool, spec.retrieval)
        why = RESULTS.get(spec.type, "")
        yield from given(tool, ("spec",), ("output",), why, "remove it")
        if spec.type == "human":
            why = "the model reads `description`, and people see what it asks"
            yield from given(
                tool, ("spec", "human"), ("prompt",), why if spec.description else "", "remove one"
            )
        if spec.type == "agent":
            why = "another agent is asked in words"
            yield from given(tool, ("spec",), ("parameters",), why, "remove them")
        if spec.type != "api":
            for number, _ in enumerate(spec.parameters):
                why = f"a {spec.type} tool sends no request"
                yield from given(tool, ("spec", "parameters", number), ("in",), why, "remove it")
        elif spec.api is not None:
            why = (
                "GET has no side effects and needs no Idempotency-Key"
                if spec.api.method == "GET"
                else ""
            )
            yield from given(tool, ("spec", "api"), ("idempotencyKey",), why, "remove it")


def _retrieval(tool: Resolved[ToolSpec], retrieval: Retrieval) -> Iterator[Field]:
    """Yield what a search has no use for: a server where there is none, vectors where words are compared."""
    path = ("spec", "retrieval")
    kind = retrieval.vector_store.type
    if kind == EMBEDDED:
        why = "an embedded store is a file of the agent's own"
        names: tuple[str, ...] = ("host", "port", "secretRef", "tls", "fields")
    else:
        why, names = "a server has folders of its own", ("path",)
    yield from given(tool, (*path, "vectorStore"), names, why, "remove it")
    used = {"pgvector": ("database", "username"), "milvus": ("database",)}.get(kind, ())
    names = tuple(name for name in ("database", "username") if name not in used)
    why = f"nothing of {kind} is chosen by it"
    yield from given(tool, (*path, "vectorStore"), names, why, "remove it")
    if kind != EMBEDDED and retrieval.vector_store.tls is not None:
        yield from tls_fields(tool, (*path, "vectorStore", "tls"), retrieval.vector_store.tls)
    if retrieval.embedding is not None:
        yield from where_asked(tool, (*path, "embedding"), retrieval.embedding)
    if retrieval.search.mode == "keyword":
        yield from given(
            tool, path, ("embedding",), "a search of mode keyword has no vectors", "remove it"
        )
