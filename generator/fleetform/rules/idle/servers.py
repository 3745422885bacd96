"""Fields of MCP servers that apply to deployed servers, to servers elsewhere, or to agents that use them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING

from fleetform import kinds
from fleetform.resolve import Fleet, Resolved
from fleetform.resolve.hosts import is_beside
from fleetform.rules.idle.fields import Field, given
from fleetform.tree import TreePath
from fleetform.validators import schema

if TYPE_CHECKING:
    from fleetform.models.mcp_server import McpServerSpec
    from fleetform.rules import AgentUses

ACCESS = (
    *("transport", "path", "headers", "authentication", "timeoutSeconds"),
    *("allow", "capabilities", "requiresApproval"),
)
"""How agents reach a server, and what they may use of it."""
BESIDE = ("env", "envFrom", "resources", "network", "shareWith")
"""What a server over stdio takes of the fields of pods."""
ANYWHERE = frozenset({*ACCESS, "tls", "description", "url", "container"})


@cache
def deployed() -> tuple[str, ...]:
    """Return the fields that apply to a server with pods."""
    known = schema("MCPServer")["$defs"]["McpServerSpec"]["properties"]
    return tuple(name for name in known if name not in ANYWHERE)


def fields(fleet: Fleet, uses: AgentUses) -> Iterator[Field]:
    """Yield fields that have no effect for a server of this kind."""
    used = {other.key for found in uses.values() for _, other in found.servers}
    for server in fleet.of(kinds.MCP_SERVER):
        if is_beside(server):
            yield from _beside(server)
        elif server.spec.container is not None:
            why = "" if server.key in used else "no agent of the fleet uses the server"
            hint = "name the server in an agent's `tools`, or remove it"
            yield from given(server, ("spec",), ACCESS, why, hint, "note")
            yield from given(server, ("spec",), deployed(), "", "")
            why = "agents call the container's Service over http"
            yield from given(server, ("spec",), ("tls",), why, "remove it, or set `url`")
        elif server.spec.url is not None:
            yield from _remote(server)


def _beside(server: Resolved[McpServerSpec]) -> Iterator[Field]:
    why = "the server runs in the pods of the agents that use it"
    unused = [name for name in deployed() if name not in BESIDE]
    yield from given(server, ("spec",), unused, why, "remove it, or choose another `transport`")
    yield from given(server, ("spec",), BESIDE, "", "")
    own: tuple[TreePath, ...] = (("spec", "network"), ("spec", "container"))
    for base, names in zip(
        own, (("allowFrom",), ("ports", "configFiles", "configDir")), strict=True
    ):
        yield from given(server, base, names, why, "remove it, or choose another `transport`")
    why = "the server is called through its standard streams"
    yield from given(server, ("spec",), ("path", "headers", "tls"), why, "remove it")
    hint = "pass the secret to the server as `env`"
    yield from given(server, ("spec",), ("authentication",), why, hint, "error")


def _remote(server: Resolved[McpServerSpec]) -> Iterator[Field]:
    why = "it applies to deployed servers, and this one is at a `url`"
    hint = "remove it, or set `container` instead of `url`"
    yield from given(server, ("spec",), deployed(), why, hint)
    url = server.spec.url or ""
    _, _, rest = url.partition("://")
    has_path = bool(rest.partition("/")[2])
    why = "the `url` has a path" if has_path else ""
    yield from given(server, ("spec",), ("path",), why, "remove it, or the path of the `url`")
    why = "the `url` is not https" if url.startswith("http://") else ""
    yield from given(server, ("spec",), ("tls",), why, "write `https://`, or remove it")
