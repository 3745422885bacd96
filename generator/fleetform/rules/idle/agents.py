"""Fields of agents that apply to the generic runtime, to another kind of tool, or to another store."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from fleetform import kinds
from fleetform.contract import NO_MEMORY
from fleetform.problems import Severity
from fleetform.resolve import Fleet, Resolved
from fleetform.resolve.hosts import is_beside
from fleetform.resolve.references import Uses
from fleetform.resolve.waits import asks_people, needs_approval
from fleetform.rules.idle import stores
from fleetform.rules.idle.fields import Field, given, others
from fleetform.tree import TreePath

if TYPE_CHECKING:
    from fleetform.models.agent import AgentSpec
    from fleetform.rules import AgentUses

GENERIC = (
    *("systemPrompt", "modelConfig", "model", "models", "fallbacks", "memory", "rateLimits"),
    *("limits", "ui", "corsOrigins", "outputSchema", "knowledge", "variants"),
)
"""Fields of an agent that the generic runtime reads, and no image of one's own."""
USES: dict[str, dict[str, tuple[str, str, Severity]]] = {
    "Tool": {
        "allow": ("a Tool is one tool", "remove it", "warning"),
        "capabilities": ("a Tool is one tool", "remove it", "warning"),
        "description": (
            "the model sees the Tool's own",
            "set the Tool's `description`",
            "warning",
        ),
        "transport": ("it is for MCP servers", "remove it", "warning"),
        "authentication": (
            "the Tool's own authentication is used",
            "set the Tool's `api.authentication`",
            "error",
        ),
    },
    "MCPServer": {
        "transport": ("the server's own `transport` is used", "set it in the MCPServer", "warning"),
        "description": ("the server describes its tools itself", "remove it", "warning"),
    },
    "Agent": {
        "allow": ("an agent is called as a whole", "restrict that agent's own `tools`", "error"),
        "capabilities": (
            "an agent is called as a whole",
            "restrict that agent's own `tools`",
            "error",
        ),
        "transport": ("it is for MCP servers", "remove it", "warning"),
    },
    "": {
        "namespace": (
            "hosts of `endpoint` are relative to the agent's namespace",
            "put the namespace into `endpoint`",
            "warning",
        ),
        "description": ("the server describes its tools itself", "remove it", "warning"),
    },
}
USES["stdio"] = {
    **USES["MCPServer"],
    "authentication": (
        "it is called through its standard streams",
        "pass the secret to the server as `env`",
        "error",
    ),
}
"""Fields of a tool entry that have no effect, by the kind of what it names, or its transport; empty: a server in place."""
A = {
    "stdio": "an MCP server over stdio",
    "Tool": "a Tool",
    "MCPServer": "an MCPServer",
    "Agent": "an Agent",
    "": "an inline MCP server",
}
OWN_USES = ("allow", "capabilities", "description", "transport", "requiresApproval", "variants")


def fields(fleet: Fleet, uses: AgentUses) -> Iterator[Field]:
    """Yield fields that an agent's image, tools or store do not use."""
    asked = {other.key for found in uses.values() for _, other in found.agents}
    for agent in fleet.of(kinds.AGENT):
        own = agent.spec.container is not None
        why = "is for the generic runtime; this agent runs its own image" if own else ""
        hint = "pass it as `env` or `container.configFiles`, or remove `container`"
        yield from given(agent, ("spec",), (*GENERIC, *(("approvals",) if own else ())), why, hint)
        alone = "" if agent.spec.canary_of else "the agent is no canary"
        yield from given(agent, ("spec",), ("weight",), alone, "set `canaryOf`, or remove it")
        why = why if agent.key not in asked else ""
        yield from given(agent, ("spec",), ("auth",), why, hint)
        yield from _tools(agent, uses[agent.key])
        if not own:
            yield from _page(agent)
            yield from _memory(agent, uses[agent.key])
            yield from _approvals(agent, uses)


def _page(agent: Resolved[AgentSpec]) -> Iterator[Field]:
    base: TreePath = ("spec", "auth", "oidc")
    why = "" if agent.spec.ui else "people sign in on the agent's page, and `ui` is false"
    yield from given(agent, base, ("clientId",), why, "remove it, or `ui: false`")
    oidc = agent.spec.auth.oidc if agent.spec.auth else None
    signs_in = agent.spec.ui and oidc is not None and oidc.client_id is not None
    why = "" if signs_in else "without a page and a `clientId` nobody signs in there"
    yield from given(agent, base, ("scopes",), why, "set `clientId`, or remove it")


def _approvals(agent: Resolved[AgentSpec], known: AgentUses) -> Iterator[Field]:
    uses = known[agent.key]
    why = "" if asks_people(uses, known) else "no tool of the agent needs approval or asks people"
    hint = "set `requiresApproval` for a tool, or remove it"
    yield from given(agent, ("spec", "limits"), ("approvalTimeoutSeconds",), why, hint)
    base = ("spec", "approvals")
    yield from given(agent, base, ("webhook",), why, hint)
    why = "" if needs_approval(uses, known) else "no tool of the agent needs approval"
    yield from given(agent, base, ("approvers", "self"), why, hint)
    approvals = agent.spec.approvals
    has_roles = approvals is not None and approvals.approvers and approvals.approvers.roles
    why = "" if has_roles else "the agent has no `approvals.approvers.roles`"
    hint = "name the roles that approve, or remove it"
    yield from given(agent, ("spec", "auth", "oidc"), ("rolesClaim",), why, hint)


def _tools(agent: Resolved[AgentSpec], uses: Uses) -> Iterator[Field]:
    named = [*uses.tools, *uses.servers, *uses.agents]
    kinds = {id(use): other.kind for use, other in named}
    kinds |= {id(use): "stdio" for use, server in uses.servers if is_beside(server)}
    kinds |= {id(use): "" for use in uses.inline_servers}
    for number, use in enumerate(agent.spec.tools):
        kind, base = kinds.get(id(use)), ("spec", "tools", number)
        if kind is None:
            continue
        if agent.spec.container is not None:
            why = (
                "the image decides how to call its tools; the entry only opens the network to them"
            )
            yield from given(agent, base, OWN_USES, why, "remove it")
            sign_in = use.authentication
            if sign_in is None or sign_in.oauth2 is None:
                why = "your own image handles authentication itself"
                hint = "pass the secret as `env`, or mount it as a volume"
                yield from given(agent, base, ("authentication",), why, hint)
            continue
        names = [name for name in (*OWN_USES, "authentication") if name not in USES[kind]]
        yield from given(agent, base, names, "", "")
        for name, (why, hint, severity) in USES[kind].items():
            yield from given(
                agent, base, (name,), f"`{use.name}` is {A[kind]}: {why}", hint, severity
            )


def _memory(agent: Resolved[AgentSpec], uses: Uses) -> Iterator[Field]:
    if uses.memory is None:
        return
    base = ("spec", "memory")
    why = "memory of type `none` keeps nothing" if uses.memory.type == NO_MEMORY else ""
    yield from given(agent, base, ("store",), why, "remove it, or `type: none`")
    if why:
        names = others(agent, (*base, "policy"))
        yield from given(agent, (*base, "policy"), names, why, "remove it, or `type: none`")
        yield from given(agent, base, stores.SECTIONS, why, "remove it, or `type: none`")
        return
    yield from given(agent, (*base, "policy"), others(agent, (*base, "policy")), "", "")
    yield from stores.sections(agent, base, uses.memory)
