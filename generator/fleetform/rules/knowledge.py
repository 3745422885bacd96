"""Searches in documents: what they need to find anything."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fleetform import kinds
from fleetform.contract import EMBEDDED, KNOWLEDGE, VECTOR_STORES
from fleetform.filters import FilterError, parsed
from fleetform.problems import Problem, did_you_mean
from fleetform.resolve import Fleet, Resolved, hosts
from fleetform.resolve.references import Uses
from fleetform.resolve.searches import filled, mode, question, reached, searched, taker
from fleetform.rules import embeddings, schedules
from fleetform.rules.stores import collection

if TYPE_CHECKING:
    from fleetform.models.agent import AgentSpec, Knowledge, ToolUse
    from fleetform.models.memory_store import VectorStore
    from fleetform.models.tool import Retrieval, ToolSpec
    from fleetform.models.workload import Volume
    from fleetform.rules import AgentUses
    from fleetform.tree import TreePath

HIGH = 0.6
"""A cosine that few models give to a question and the passage that answers it."""
_PLACE: TreePath = ("spec", "retrieval")


def rules(fleet: Fleet, uses: AgentUses) -> Iterator[Problem]:
    """Yield what keeps a search from finding anything."""
    for tool in fleet.of(kinds.TOOL):
        if tool.spec.type == "retrieval" and tool.spec.retrieval is not None:
            yield from _tool(tool, tool.spec.retrieval)
    for agent in fleet.of(kinds.AGENT):
        if agent.spec.container is None:
            for use, tool in uses[agent.key].tools:
                if tool.spec.type == "retrieval":
                    yield from _agent(agent, uses[agent.key], use, tool.spec)
            if agent.spec.knowledge is not None:
                yield from _documents(fleet, agent, agent.spec.knowledge, uses[agent.key])
    yield from _filled_twice(fleet, uses)


def _tool(tool: Resolved[ToolSpec], retrieval: Retrieval) -> Iterator[Problem]:
    search, way = retrieval.search, mode(retrieval)
    yield from embeddings.dimension(tool, (*_PLACE, "embedding"), retrieval.embedding)
    if way != "keyword" and retrieval.embedding is None:
        yield tool.problem(
            (*_PLACE, "search", "mode"),
            "missing-field",
            f"a search of mode {way} needs `embedding`",
            hint="add `embedding:` with provider and model, or set `mode: keyword`",
            key=True,
        )
    if search.score_threshold is not None and way == "keyword":
        yield tool.problem(
            (*_PLACE, "search", "scoreThreshold"),
            "contradiction",
            "`scoreThreshold` is for cosines, and a search by words alone has none",
            hint="remove it, or add an `embedding`",
            key=True,
        )
    elif (search.score_threshold or 0) >= HIGH:
        yield tool.problem(
            (*_PLACE, "search", "scoreThreshold"),
            "high-threshold",
            f"few models give {HIGH} to a passage that answers a question: most searches would find nothing",
            hint="remove it, or measure what your model gives; 0.2 to 0.4 is usual",
            severity="warning",
        )
    if search.filter.strip():
        try:
            yield from _order(tool, retrieval.vector_store.type, parsed(search.filter))
        except FilterError as error:
            yield tool.problem(
                (*_PLACE, "search", "filter"),
                "bad-filter",
                f"the filter cannot be read: {error}",
                hint='write it as `category == "faq" and year >= 2024`',
            )
    if not question(tool.spec):
        yield tool.problem(
            ("spec", "parameters"),
            "no-question",
            "no parameter can say what to look for",
            hint="add one of type string, without `enum`, that is called `query`",
            key=True,
        )
    yield from _store(tool, retrieval.vector_store)


def _order(tool: Resolved[ToolSpec], store: str, condition: dict[str, Any]) -> Iterator[Problem]:
    """Yield a comparison that a store does not make."""
    parts = [*condition.get("all", ()), *condition.get("any", ())]
    for part in [*parts, *([condition["not"]] if "not" in condition else [])]:
        yield from _order(tool, store, part)
    compared = condition.get("op") in ("<", "<=", ">", ">=")
    if store == "qdrant" and compared and isinstance(condition["value"], str | bool):
        yield tool.problem(
            (*_PLACE, "search", "filter"),
            "bad-filter",
            f"Qdrant knows an order of numbers alone, and `{condition['field']}` is compared with another value by it",
            hint="compare it by `==`, `!=` or `in`, or keep it as a number, such as 20240131",
        )


NAMES = {
    EMBEDDED: (
        r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}",
        "an embedded collection is a file, named by letters, digits, `_`, `.` and `-`",
    ),
    "qdrant": (
        r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}",
        "a collection of Qdrant is named by letters, digits, `_`, `.` and `-` here",
    ),
    "pgvector": (
        r"([A-Za-z_][A-Za-z0-9_]{0,62}\.)?[A-Za-z_][A-Za-z0-9_]{0,62}",
        "a collection of pgvector is a table, named by letters, digits and `_`, with a schema and a dot before it at most",
    ),
}
"""The names of collections that a store takes, and that in words."""


def _store(tool: Resolved[ToolSpec], store: VectorStore) -> Iterator[Problem]:
    path: TreePath = (*_PLACE, "vectorStore")
    form, says = NAMES.get(store.type, (r"(?s).*", ""))
    if not re.fullmatch(form, store.collection):
        yield tool.problem((*path, "collection"), "bad-name", says, hint="rename it")
    yield from collection(tool, path, store)
    if store.type == "milvus" and not re.fullmatch(r"[A-Za-z0-9_]*", store.database or ""):
        says = "a database of Milvus is named by letters, digits and `_`"
        yield tool.problem((*path, "database"), "bad-name", says, hint="rename it")
    if store.type != EMBEDDED and store.type in VECTOR_STORES and not store.host:
        yield tool.problem(
            path,
            "missing-field",
            f"{store.type} is a server, and nothing says where it is",
            hint=f"add `host:`, or use `type: {EMBEDDED}`, which needs none",
            key=True,
        )


def _agent(
    agent: Resolved[AgentSpec], uses: Uses, use: ToolUse, spec: ToolSpec
) -> Iterator[Problem]:
    retrieval = spec.retrieval
    if retrieval is None:  # pragma: no cover - asked for by `rules`
        return
    number = next(n for n, item in enumerate(agent.spec.tools) if item is use)
    place: TreePath = ("spec", "tools", number, "name")
    store = retrieval.vector_store
    folder = store.path or KNOWLEDGE
    writable = [item.mount_path.rstrip("/") for item in agent.spec.volumes if not item.read_only]
    if store.type == EMBEDDED and not any(
        folder == path or folder.startswith(f"{path}/") for path in writable
    ):
        yield agent.problem(
            place,
            "no-volume",
            f"nothing is mounted at `{folder}`, where the documents of `{use.name}` are kept",
            hint="add a volume with that `mountPath`, such as a `claim`",
        )
    at = reached(uses, retrieval.embedding)
    if at is None or mode(retrieval) == "keyword":
        return
    what = f"`{use.name}`"
    yield from embeddings.unreachable(
        agent, place, at, what, "`embedding.{}` to the Tool", key=False
    )


# -- what takes documents in -----------------------------------------------------------------------

_KNOWLEDGE: TreePath = ("spec", "knowledge")


def _documents(
    fleet: Fleet, agent: Resolved[AgentSpec], knowledge: Knowledge, uses: Uses
) -> Iterator[Problem]:
    """Yield documents that no job could take into a collection."""
    yield from _sources(agent, knowledge)
    if knowledge.schedule is not None:
        yield from schedules.schedule(agent, (*_KNOWLEDGE, "schedule"), knowledge.schedule)
    name = taker(agent.name)
    for kind in kinds.WORKLOADS:
        other = fleet.specs.get(kind, {}).get((agent.namespace, name))
        if other is not None:
            yield other.problem(
                ("metadata", "name"),
                "reserved-name",
                f"`{name}` is what takes the documents of Agent `{agent.name}` in",
                hint="choose another name",
            )
    found = filled(knowledge, uses)
    if found is None:
        yield from _unclear(agent, knowledge, uses)
    elif found[1].spec.retrieval is not None:
        yield from _writable(agent, found[0].name, found[1].spec.retrieval.vector_store)


def _filled_twice(fleet: Fleet, uses: AgentUses) -> Iterator[Problem]:
    """Yield collections that two agents fill: documents of equal names, and `prune`, would be those of either."""
    first: dict[Any, Resolved[AgentSpec]] = {}
    for agent in fleet.of(kinds.AGENT):
        knowledge = agent.spec.knowledge
        found = filled(knowledge, uses[agent.key]) if knowledge is not None else None
        if found is None or agent.spec.container is not None:
            continue
        collection = _collection(fleet, agent, found[1])
        other = first.setdefault(collection, agent)
        if other is not agent:
            yield agent.problem(
                _KNOWLEDGE,
                "collection-filled-twice",
                f"Agent `{other.name}` in {other.file} fills the collection of `{found[0].name}` too",
                hint="let one of them name the documents of both: the others only search",
                key=True,
            )


def _collection(fleet: Fleet, agent: Resolved[AgentSpec], tool: Resolved[ToolSpec]) -> Any:
    """Return what tells a collection from others: where it is, and its name there."""
    store = tool.spec.retrieval.vector_store if tool.spec.retrieval else None
    if store is None or store.type == EMBEDDED:
        folder = (store and store.path) or KNOWLEDGE
        volume = _volume(agent.spec, folder)
        place = (
            volume.existing_claim.name
            if volume and volume.existing_claim
            else volume and volume.name
        )
        return agent.namespace, place, folder, store and store.collection
    host = hosts.written_out(fleet, tool.namespace or agent.namespace, store.host or "")
    port = store.port or VECTOR_STORES[store.type]
    return store.type, host, port, store.database or "fleetform", store.collection


def _unclear(agent: Resolved[AgentSpec], knowledge: Knowledge, uses: Uses) -> Iterator[Problem]:
    names = [use.name for use, _ in searched(uses)]
    if not names:
        if not uses.problems:  # a tool that is not found may be one
            yield agent.problem(
                _KNOWLEDGE,
                "no-collection",
                "no tool of the agent searches a collection that could hold the documents",
                hint="add a Tool of type retrieval, on a store that the runtime has, to `tools`",
                key=True,
            )
    elif knowledge.tool is None:
        yield agent.problem(
            _KNOWLEDGE,
            "missing-field",
            "the agent has several collections, and nothing says which one holds the documents",
            hint=f"add `tool`, one of {', '.join(names)}",
            key=True,
        )
    else:
        yield agent.problem(
            (*_KNOWLEDGE, "tool"),
            "unknown-reference",
            f"the agent has no retrieval tool `{knowledge.tool}`",
            hint=did_you_mean(knowledge.tool, names, noun="retrieval tools"),
        )


def _sources(agent: Resolved[AgentSpec], knowledge: Knowledge) -> Iterator[Problem]:
    taken = {f"documents-{item.name}": item.name for item in knowledge.sources}
    seen: set[str] = set()
    for number, source in enumerate(knowledge.sources):
        path: TreePath = (*_KNOWLEDGE, "sources", number)
        given = [one for one in (source.config_map, source.claim) if one is not None]
        if len(given) != 1:
            yield agent.problem(
                path,
                "volume-source",
                f"the source `{source.name}` has {'two sources' if given else 'no source'}",
                hint="give it one of configMap, claim",
                key=True,
            )
        if source.name in seen:
            yield agent.problem(
                (*path, "name"),
                "duplicate-name",
                f"two sources are called `{source.name}`",
                hint="rename one: documents are called by their source",
            )
        seen.add(source.name)
    for number, volume in enumerate(agent.spec.volumes):
        if volume.name in taken:
            yield agent.problem(
                ("spec", "volumes", number, "name"),
                "duplicate-name",
                f"the volume of the source `{taken[volume.name]}` of `knowledge` is called so",
                hint="rename one of the two",
            )


def _writable(agent: Resolved[AgentSpec], tool: str, store: VectorStore) -> Iterator[Problem]:
    """Yield collections that another pod than the agent's cannot write."""
    spec, why, hint = agent.spec, "", ""
    if store.fields is not None:
        why = f"others fill the collection of `{tool}`, as its `fields` say"
        hint = "remove `knowledge`, or name another collection without `fields`"
    elif store.type == EMBEDDED:
        why, hint = _shut(spec, tool, store.path or KNOWLEDGE)
    if why:
        yield agent.problem(_KNOWLEDGE, "cannot-ingest", why, hint=hint, key=True)


def _volume(spec: AgentSpec, folder: str) -> Volume | None:
    """Return the volume that a folder is on, None if it is on none that can be written."""
    around = [
        item
        for item in spec.volumes
        if not item.read_only and f"{folder}/".startswith(f"{item.mount_path.rstrip('/')}/")
    ]
    return max(around, key=lambda item: len(item.mount_path), default=None)


def _shut(spec: AgentSpec, tool: str, folder: str) -> tuple[str, str]:
    """Return why no other pod can write a folder of the agent, and what to do; empty if one can."""
    volume = _volume(spec, folder)
    if volume is None:  # a Problem has been said
        return "", ""
    claim = volume.claim or volume.existing_claim
    many = f"have a `claim` with `accessMode: ReadWriteMany` at `{folder}`, or use a server such as pgvector"
    shared = (spec.scaling.max_replicas or 1) > 1
    access = claim and (claim.access_mode or ("ReadWriteMany" if shared else "ReadWriteOnce"))
    why = ""
    if claim is None:
        why = f"the collection of `{tool}` is on `{volume.name}`, which each pod has for itself"
    elif spec.stateful and volume.claim is not None:
        why = f"each replica has a collection of `{tool}` of its own, and one alone would be filled"
    elif access in ("ReadWriteOncePod", "ReadOnlyMany"):
        why = f"`{volume.name}` is {access}: beside the agent's pod none can write it"
    elif access == "ReadWriteOnce" and spec.scaling.min_replicas == 0:
        why = f"`{volume.name}` is written on the agent's node alone, and the agent may be scaled to zero"
    return (why, many) if why else ("", "")
