"""What takes documents in for an agent: a job beside it, which has the secrets of that search and no others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from fleetform import contract
from fleetform.names import fit
from fleetform.plan import containers, settings, traffic
from fleetform.plan.draft import Draft
from fleetform.plan.model import ConfigFolder, ExistingClaim, Mount, Shape, Volume
from fleetform.resolve.searches import filled, taker

if TYPE_CHECKING:
    from fleetform.models.agent import AgentSpec, Knowledge, KnowledgeSource, ToolUse
    from fleetform.models.tool import ToolSpec
    from fleetform.resolve import Fleet, Resolved
    from fleetform.resolve.references import Uses

COMPONENT = "knowledge"
DOCUMENTS = "/var/lib/fleetform-documents"
"""Where the sources are mounted, each in a folder of its name."""


def job(fleet: Fleet, agent: Draft, uses: Uses) -> Iterator[Draft]:
    """Yield the plan of what takes an agent's documents in; its Problems are those of the agent."""
    spec: AgentSpec = agent.resolved.spec
    found = filled(spec.knowledge, uses) if spec.knowledge else None
    if spec.knowledge is None or spec.container is not None or found is None:
        return
    use, tool = found
    draft = Draft(
        agent.resolved.called(taker(agent.resolved.name)),
        containers.beside(spec, spec.knowledge.resources),
        COMPONENT,
    )
    draft.shape = Shape.JOB
    draft.schedule = spec.knowledge.schedule or ""
    draft.beside_of = agent.resolved.name
    draft.image = agent.image
    draft.drain = settings.DRAIN
    draft.args = (*_command(use, spec.knowledge), DOCUMENTS)
    # A secret in a variable is the agent's own; what a library reads, such as a proxy, is text.
    draft.env = tuple(item for item in agent.env if isinstance(item.value, str))
    draft.files = settings.of_documents(fleet, draft.resolved, uses, use.name)
    for source in spec.knowledge.sources:
        name = volume_of(source)
        draft.volumes += (Volume(name, _source(source)),)
        draft.mounts += (Mount(name, f"{DOCUMENTS}/{source.name}", read_only=True),)
    _collection(draft, agent, tool)
    traffic.documents(fleet, draft, uses, tool)
    yield draft


def volume_of(source: KnowledgeSource) -> str:
    """Return the name of a source's volume."""
    return fit(f"documents-{source.name}")


def folder_of(tool: Resolved[ToolSpec]) -> str | None:
    """Return the folder of an embedded collection, None for one on a server."""
    store = tool.spec.retrieval.vector_store if tool.spec.retrieval else None
    if store is None or store.type != contract.EMBEDDED:
        return None
    return store.path or contract.KNOWLEDGE


def _command(use: ToolUse, knowledge: Knowledge) -> tuple[str, ...]:
    config = f"{contract.FOLDER}/{contract.SETTINGS}"
    prune = ("--prune",) if knowledge.prune else ()
    return ("ingest", "--config", config, "--tool", use.name, *prune)


def _source(source: KnowledgeSource) -> ConfigFolder | ExistingClaim:
    if source.claim is not None:
        return ExistingClaim(source.claim, "ReadOnlyMany")
    return ConfigFolder(source.config_map or "")


def _collection(draft: Draft, agent: Draft, tool: Resolved[ToolSpec]) -> None:
    """Mount the agent's volume with an embedded collection."""
    folder = folder_of(tool)
    mount = kept_at(folder, agent.mounts) if folder is not None else None
    if mount is not None:
        draft.volumes += tuple(item for item in agent.volumes if item.name == mount.volume)
        draft.mounts += (mount,)


def kept_at(folder: str, mounts: tuple[Mount, ...]) -> Mount | None:
    """Return the mount that a folder is in, None if it is in none that can be written."""
    around = [
        item
        for item in mounts
        if not item.read_only and f"{folder}/".startswith(f"{item.path.rstrip('/')}/")
    ]
    return max(around, key=lambda item: len(item.path), default=None)
