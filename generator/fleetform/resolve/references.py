"""What an agent refers to: model, tools, servers, agents, memory; unknown names are Problems."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fleetform import prices, view
from fleetform.contract import (
    ENDPOINT_REQUIRED,
    KEYLESS,
    NO_MEMORY,
    SESSIONS,
    STORE_PORTS,
    STORES,
)
from fleetform.names import fit
from fleetform.problems import Problem
from fleetform.resolve import Fleet, Resolved, refers, sharing
from fleetform.resolve.catalog import unknown
from fleetform.resolve.hosts import full_name, is_beside, is_deployed
from fleetform.resolve.ports import main_port
from fleetform.resolve.regions import has_project
from fleetform.tree import TreePath, locate

if TYPE_CHECKING:
    from fleetform.models.agent import AgentSpec, ToolUse
    from fleetform.models.memory_store import AgentMemory, Compression, MemoryStoreSpec, Storage
    from fleetform.models.model_config import ModelSettings


class Uses:
    """Everything that one agent refers to, looked up."""

    def __init__(self) -> None:
        self.model: ModelSettings | None = None
        self.models: list[tuple[str, ModelSettings]] = []
        self.fallbacks: list[tuple[str, ModelSettings]] = []
        self.variants: dict[str, tuple[str, ModelSettings]] = {}
        """Models of variants that have one of their own, by the variant's name."""
        self.summariser: tuple[str | None, ModelSettings] | None = None
        """What writes summaries, if not the model that answers: its ModelConfig, and its settings."""
        self.tools: list[tuple[ToolUse, Resolved[Any]]] = []
        self.servers: list[tuple[ToolUse, Resolved[Any]]] = []
        self.inline_servers: list[ToolUse] = []
        self.agents: list[tuple[ToolUse, Resolved[Any]]] = []
        self.peers: list[Resolved[Any]] = []
        self.memory: Storage | None = None
        self.store: Resolved[MemoryStoreSpec] | None = None
        self.problems: list[Problem] = []

    @property
    def every_model(self) -> list[ModelSettings]:
        """Return the models that the agent asks, for whatever."""
        others = [*self.named_models, *([self.summariser] if self.summariser else [])]
        return [*([self.model] if self.model else []), *(model for _, model in others)]

    @property
    def named_models(self) -> list[tuple[str, ModelSettings]]:
        """Return the ModelConfigs besides its own that answer in sessions, and their settings."""
        return [*self.models, *self.fallbacks, *self.variants.values()]


def uses(fleet: Fleet, agent: Resolved[AgentSpec]) -> Uses:
    """Look up everything that an agent refers to; names that are not found are added to `problems`."""
    found = Uses()
    if agent.spec.container is None:
        _models(fleet, agent, found)
        _tools(fleet, agent, found)
        _memory(fleet, agent, found)
    else:
        _tools(fleet, agent, found)
    for number, name in enumerate(agent.spec.peers):
        peer = lookup(fleet, agent, ("spec", "peers", number), ("Agent",), name, found.problems)
        if peer is not None:
            found.peers.append(peer)
    return found


def beside(uses: Uses) -> Iterator[tuple[str, Resolved[Any]]]:
    """Yield the MCP servers that run in an agent's pods, each by the name that the agent has for it."""
    yield from ((use.name, server) for use, server in uses.servers if is_beside(server))


def container_of(server: str) -> str:
    """Return the name of a server's container and of its volume; there is room for the `-tmp` of another one."""
    return fit(f"mcp-{server}", limit=59)


def lookup(
    fleet: Fleet,
    owner: Resolved[Any],
    path: TreePath,
    kinds: tuple[str, ...],
    name: str,
    problems: list[Problem],
    namespace: str = "",
) -> Resolved[Any] | None:
    """Return what a name in a spec refers to (`name` or `namespace/name`), or report that it is unknown."""
    space, slash, short = name.rpartition("/")
    space = space if slash else namespace or owner.namespace
    for kind in kinds:
        found = fleet.find(kind, space, short)
        if found is not None:
            problems += sharing.problems(fleet, owner, path, found)
            problems += refers(fleet, owner, path, found)
            return found
    if any(fleet.catalog.find(kind, space, short) for kind in kinds):
        return None  # it exists, but has problems of its own
    problem = unknown(fleet.catalog, owner.tree, path, kinds, space, short)
    problems += [problem] if problem else []
    return None


# -- models -------------------------------------------------------------------------------------


def _models(fleet: Fleet, agent: Resolved[AgentSpec], found: Uses) -> None:
    spec = agent.spec
    base = None
    if spec.model_config_ref:
        base = lookup(
            fleet,
            agent,
            ("spec", "modelConfig"),
            ("ModelConfig",),
            spec.model_config_ref,
            found.problems,
        )
        if base is None and spec.model is None:
            return
    if base is None and spec.model is None:
        found.problems.append(
            agent.problem(
                ("spec",),
                "no-model",
                "the agent has no model",
                hint="set `modelConfig`, or `model` with provider and name",
                key=True,
            )
        )
        return
    own = sharing.settings(fleet, agent, base) if base else None
    path: TreePath = ("spec", "model") if spec.model is not None else ("spec", "modelConfig")
    found.model = _effective(fleet, agent, path, own, spec.model, found)
    for field_name, target in (("models", found.models), ("fallbacks", found.fallbacks)):
        for number, name in enumerate(getattr(spec, field_name) or []):
            model = _named(fleet, agent, ("spec", field_name, number), name, found)
            if model is not None:
                target.append((name, model))
    for number, variant in enumerate(spec.variants):
        if name := variant.model_config_ref:
            place = ("spec", "variants", number, "modelConfig")
            model = _named(fleet, agent, place, name, found)
            if model is not None:
                found.variants[variant.name] = name, model


def _named(
    fleet: Fleet, agent: Resolved[AgentSpec], place: TreePath, name: str, found: Uses
) -> ModelSettings | None:
    """Return the settings of a ModelConfig that an agent names besides its own."""
    other = lookup(fleet, agent, place, ("ModelConfig",), name, found.problems)
    if other is None:
        return None
    theirs = sharing.settings(fleet, agent, other)
    return _effective(fleet, agent, place, theirs, None, found)


def _effective(
    fleet: Fleet,
    agent: Resolved[AgentSpec],
    path: TreePath,
    base: ModelSettings | None,
    own: ModelSettings | None,
    found: Uses,
) -> ModelSettings | None:
    model = _combined(base, own)
    if not model.provider or not model.name:
        missing = "provider" if not model.provider else "name"
        found.problems.append(
            agent.problem(
                path,
                "no-model",
                f"the model has no `{missing}`",
                hint=f"add `{missing}:`, or extend a spec that has it",
                key=True,
            )
        )
        return None
    model = _with_defaults(fleet, agent, model)
    if not model.endpoint and model.provider in ENDPOINT_REQUIRED:
        found.problems.append(
            agent.problem(
                path,
                "no-endpoint",
                f"the provider `{model.provider}` has no public endpoint",
                hint=f"set `endpoint`, or the environment's `providers.{model.provider}.endpoint`",
                key=True,
            )
        )
    return model  # type: ignore[no-any-return]


def _combined(base: ModelSettings | None, own: ModelSettings | None) -> Any:
    """Merge an agent's own settings over its ModelConfig; another provider does not inherit key or endpoint."""
    if base is not None and own is not None and own.provider not in (None, base.provider):
        other = ("api_key_secret_ref", "endpoint", "tls", "pricing", "region", "project")
        base = view.replace(base, **dict.fromkeys(other))
    model = view.overlay(base, own)
    return view.replace(model, endpoint=None) if model.endpoint == "" else model


def _with_defaults(fleet: Fleet, agent: Resolved[AgentSpec], model: Any) -> Any:
    """Return a model with the environment's settings for its provider, endpoint and key, and with its price if that is known."""
    defaults = fleet.environment.providers.get(model.provider)
    endpoint = model.endpoint or (defaults.endpoint if defaults else None)
    key = model.api_key_secret_ref or (defaults.api_key_secret_ref if defaults else None)
    if has_project(model):
        key = None
    elif key is None and model.provider not in KEYLESS:
        rule = fleet.environment.secrets.model_keys
        name = rule.name.replace("{provider}", model.provider).replace(
            "{namespace}", agent.namespace
        )
        key = view.make("Agent", "SecretKey", {"name": name, "key": rule.key})
    return view.replace(
        model, endpoint=endpoint, api_key_secret_ref=key, pricing=_price(model, endpoint)
    )


def _price(model: Any, endpoint: str | None) -> Any:
    """Return the spec's price of a model, or what its provider asks for it at its own endpoint."""
    if model.pricing is not None or endpoint or has_project(model):
        return model.pricing
    price = prices.of(model.provider, model.name or "")
    return view.make("Agent", "Pricing", price) if price and "outputPerMillion" in price else None


# -- tools --------------------------------------------------------------------------------------


def _tools(fleet: Fleet, agent: Resolved[AgentSpec], found: Uses) -> None:
    for number, use in enumerate(agent.spec.tools):
        if use.endpoint:
            found.inline_servers.append(use)
            continue
        kinds = (use.kind,) if use.kind else ("Tool", "MCPServer", "Agent")
        path: TreePath = ("spec", "tools", number, "name")
        other = lookup(fleet, agent, path, kinds, use.name, found.problems, use.namespace or "")
        if other is None or not _is_somewhere(other):
            continue
        if not use.kind:
            found.problems += _ambiguous(fleet, agent, path, use.name, other)
        target = {"Tool": found.tools, "MCPServer": found.servers, "Agent": found.agents}[
            other.kind
        ]
        target.append((use, other))


def _is_somewhere(other: Resolved[Any]) -> bool:
    """Whether it can be reached: a server with neither URL nor container has its own problem."""
    return other.kind != "MCPServer" or bool(other.spec.url or other.spec.container)


def _ambiguous(
    fleet: Fleet, agent: Resolved[AgentSpec], path: TreePath, name: str, chosen: Resolved[Any]
) -> Iterator[Problem]:
    others = [
        kind
        for kind in ("Tool", "MCPServer", "Agent")
        if kind != chosen.kind and fleet.find(kind, agent.namespace, name) is not None
    ]
    if others:
        kinds = ", ".join([chosen.kind, *others])
        yield agent.problem(
            path,
            "ambiguous-reference",
            f"`{name}` is the name of several kinds: {kinds}",
            hint=f"add `kind: {chosen.kind}`",
        )


# -- memory -------------------------------------------------------------------------------------


def _memory(fleet: Fleet, agent: Resolved[AgentSpec], found: Uses) -> None:
    own = agent.spec.memory
    if own is None:
        return
    store: Any = own
    if own.type == NO_MEMORY:
        found.memory = own
        return
    if own.store:
        found.store = lookup(
            fleet, agent, ("spec", "memory", "store"), ("MemoryStore",), own.store, found.problems
        )
        if found.store is None:
            return
        store = laid_over(fleet, found.store, own)
    found.memory = store
    found.problems += _usable(agent, store, own.store)
    _summaries(fleet, agent, store.policy.compression, found)


def laid_over(fleet: Fleet, store: Resolved[MemoryStoreSpec], own: AgentMemory) -> Any:
    """Return the memory of an agent that names a store: the store's spec, where the agent's own says nothing else."""
    base = reachable(fleet, store)
    names = {"type", "filesystem", "in_memory", "policy", *STORE_PORTS}
    update = {
        name: view.overlay(getattr(base, name), getattr(own, name))
        for name in names & view.given(own)
    }
    return view.replace(base, **update)


def folder_of(memory: Any) -> str:
    """Return where a memory of type `filesystem` keeps its files."""
    path: str = memory.filesystem.path if memory.filesystem else SESSIONS
    return path


OF_ONE_MODEL = (
    "pricing", "context_tokens", "max_tokens", "temperature", "top_p", "frequency_penalty", "presence_penalty",
    "reasoning_effort", "parallel_tool_calls", "strict_tools", "prompt_caching", "extra_body",
)  # fmt: skip
"""Settings that say nothing of another model of the same provider."""


def summary_config(
    fleet: Fleet, agent: Resolved[AgentSpec], wanted: Compression | None
) -> Resolved[Any] | None:
    """Return the ModelConfig that writes summaries, if its name is one's; it may be a provider's name as well."""
    if wanted is None or not wanted.enabled or not wanted.model:
        return None
    space, _, short = wanted.model.rpartition("/")
    return fleet.find("ModelConfig", space or agent.namespace, short)


def _summaries(
    fleet: Fleet, agent: Resolved[AgentSpec], wanted: Compression | None, found: Uses
) -> None:
    """Look up the model that writes summaries: a ModelConfig, one of the agent's, or another of its provider."""
    if wanted is None or not wanted.enabled or not wanted.model or found.model is None:
        return
    path: TreePath = ("spec", "memory")
    config = summary_config(fleet, agent, wanted)
    if config is not None:
        found.problems += sharing.problems(fleet, agent, path, config)
        own = sharing.settings(fleet, agent, config)
        model = _effective(fleet, agent, path, own, None, found)
        found.summariser = (wanted.model, model) if model is not None else None
        return
    known = [found.model, *(model for _, model in found.named_models)]
    other = view.replace(found.model, name=wanted.model, **dict.fromkeys(OF_ONE_MODEL))
    other = view.replace(other, pricing=_price(other, other.endpoint))
    found.summariser = (None, next((one for one in known if one.name == wanted.model), other))


def reachable(fleet: Fleet, store: Resolved[MemoryStoreSpec]) -> Any:
    """Return a store's spec with the host of the server that the environment provisions for it."""
    spec: Any = store.spec
    if not is_deployed(store):
        return spec
    server = getattr(spec, spec.type) or view.make("MemoryStore", spec.type.title(), {})
    port = main_port(store)
    number = port.service_port if port else server.port
    return view.replace(
        spec, **{spec.type: view.replace(server, host=full_name(fleet, store), port=number)}
    )


def _usable(agent: Resolved[AgentSpec], store: Any, name: str | None) -> Iterator[Problem]:
    path: TreePath = ("spec", "memory")
    if store.type is None:
        yield agent.problem(
            path,
            "no-store-type",
            "the memory has no `type`",
            hint=f"add `type:` ({', '.join(STORES)}), or `store:` with the name of a MemoryStore",
            key=True,
        )
    if store.type in STORE_PORTS:
        server = getattr(store, store.type)
        if server is None or not server.host:
            whose = f"MemoryStore `{name}`" if name else "memory"
            yield agent.problem(
                path,
                "no-host",
                f"the {whose} has no `{store.type}.host`",
                hint="set it, or let the environment provision the store",
                key=True,
            )


def is_set(resolved: Resolved[Any], path: TreePath) -> bool:
    """Whether some layer sets a field, rather than its built-in default."""
    return locate(resolved.tree, path)[1]
