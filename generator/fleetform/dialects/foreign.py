"""What a document is that is not ours: named for what it is, so that nobody follows a likeness of letters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fleetform.patterns import OWN_API
from fleetform.problems import Problem
from fleetform.tree import Map, at, problem_at

KAGENT = "kagent.dev"
_REWRITE = f"describe the agent as `{OWN_API}`: `fleetform schema Agent` has every field"

GROUPS = {
    KAGENT: "kagent's own API",
    "kaos.tools": "KAOS",
    "toolhive.stacklok.dev": "ToolHive",
    "ark.mckinsey.com": "ARK",
    "kagenti.operator.dev": "Kagenti",
    "agents.x-k8s.io": "Agent Sandbox",
    "mcp.kagent.dev": "kmcp",
}
"""Products whose documents describe agents and tools too, by their API group."""

BESIDE = {
    "kustomize.config.k8s.io": "a kustomization",
    "argoproj.io": "an object of Argo's",
    "fluxcd.io": "an object of Flux's",
    "gateway.networking.k8s.io": "an object of the Gateway API",
    "external-secrets.io": "an object of External Secrets'",
    "monitoring.coreos.com": "an object of the Prometheus operator's",
    "keda.sh": "an object of KEDA's",
    "cert-manager.io": "an object of cert-manager's",
    "apiextensions.k8s.io": "a definition of Kubernetes objects",
}
"""What stands beside a fleet, by the domain of its API group."""

_OWN_MARKS: dict[str, tuple[tuple[str, ...], ...]] = {
    "Agent": (("a2aConfig",), ("declarative",), ("byo",), ("deployment",), ("skills",)),
    "ModelConfig": (
        *(("apiKeySecretKey",), ("openAI",), ("anthropic",), ("azureOpenAI",), ("ollama",)),
        *(("gemini",), ("geminiVertexAI",), ("anthropicVertexAI",), ("bedrock",)),
    ),
    "MCPServer": (("transportType",), ("stdioTransport",), ("httpTransport",), ("deployment",)),
}
"""Fields below `spec` that kagent's own API has and the dialect of `kagent.dev/v1alpha1` that is read has not."""
_OWN_KINDS = ("ToolServer", "RemoteMCPServer", "Memory", "SandboxAgent", "ModelProviderConfig")


def without_api(tree: Map) -> Problem | None:
    """Return what a document without `apiVersion` or `kind` is, None if nothing is known of it."""
    for name, hint, recognise in _FILES:
        if recognise(tree):
            return problem_at(
                tree, (), "foreign-file-format", f"this is {name}, not a spec", hint=hint
            )
    return None


def of_group(tree: Map, api: str) -> Problem | None:
    """Return whose document it is by its `apiVersion`, None if its API group is not known."""
    group = api.partition("/")[0]
    owner, hint = GROUPS.get(group), _REWRITE
    if owner is None:
        beside = (name for domain, name in BESIDE.items() if f".{group}".endswith(f".{domain}"))
        owner, hint = next(beside, None), "keep it in another folder"
    if owner is None:
        return None
    return problem_at(
        tree,
        ("apiVersion",),
        "foreign-api",
        f"`{api[:80]}` is {owner}, not a spec",
        hint=hint,
    )


def of_kagent(tree: Map, kind: str) -> Problem | None:
    """Return a Problem if a document of `kagent.dev/v1alpha1` is one of kagent's own API, not of the dialect."""
    marks = next(
        (path for path in _OWN_MARKS.get(kind, ()) if at(tree, ("spec", *path)) is not None), None
    )
    tools = at(tree, ("spec", "tools")) if kind == "Agent" else None
    typed = next(
        (
            number
            for number, tool in enumerate(tools if isinstance(tools, list) else ())
            if isinstance(tool, dict) and "mcpServer" in tool
        ),
        None,
    )
    if kind in _OWN_KINDS:
        path: tuple[str | int, ...] = ("kind",)
    elif marks is not None:
        path = ("spec", *marks)
    elif typed is not None:
        path = ("spec", "tools", typed, "mcpServer")
    else:
        return None
    return problem_at(
        tree,
        path,
        "foreign-api",
        f"this {kind[:80]} is of {GROUPS[KAGENT]}, which differs from the `kagent.dev/v1alpha1` that is read",
        hint=_REWRITE,
        key=True,
    )


def _is_compose(tree: Map) -> bool:
    services = tree.get("services")
    if services is None and "apiVersion" not in tree:
        return isinstance(tree.get("include"), list) and bool({"networks", "volumes"} & tree.keys())
    return isinstance(services, dict) and any(
        isinstance(item, dict) and {"image", "build"} & item.keys() for item in services.values()
    )


def _is_crew(tree: Map) -> bool:
    return any(
        isinstance(item, dict) and "role" in item and {"goal", "backstory"} & item.keys()
        for item in tree.values()
    )


def _has(*names: str) -> Callable[[Map], bool]:
    return lambda tree: all(name in tree for name in names)


_FILES: tuple[tuple[str, str, Callable[[Any], bool]], ...] = (
    (
        "a Compose file",
        (
            f"each service that is an agent becomes an Agent, each MCP server an MCPServer, both `{OWN_API}`: "
            "its image goes to `container.image`, its variables to `env`"
        ),
        _is_compose,
    ),
    ("a CrewAI configuration", _REWRITE, _is_crew),
    (
        "the configuration of an MCP client",
        f"each of its servers becomes an MCPServer of `{OWN_API}`: `url`, or `transport: stdio` with an image and a command",
        lambda tree: isinstance(tree.get("mcpServers"), dict),
    ),
    (
        "an OpenAPI description",
        f"an operation that agents call becomes a Tool of `{OWN_API}` with `type: api`",
        lambda tree: bool({"openapi", "swagger"} & tree.keys()),
    ),
    (
        "a Helm chart's Chart.yaml",
        "keep charts in another folder",
        lambda tree: _has("apiVersion", "name", "version")(tree) and "kind" not in tree,
    ),
    (
        "a kustomization",
        "keep it in another folder: Fleetform renders its own",
        lambda tree: isinstance(tree.get("resources"), list) and "kind" not in tree,
    ),
)
