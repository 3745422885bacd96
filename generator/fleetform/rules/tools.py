"""Tools: what their calls need, and what their stores would refuse."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from fleetform import kinds
from fleetform.durations import seconds
from fleetform.problems import Problem, did_you_mean
from fleetform.quantity import parse
from fleetform.resolve import Fleet, Resolved
from fleetform.resolve.hosts import is_beside
from fleetform.resolve.references import Uses
from fleetform.rules.regexes import fault
from fleetform.tree import TreePath

if TYPE_CHECKING:
    from fleetform.models.agent import AgentSpec
    from fleetform.models.mcp_server import McpServerSpec
    from fleetform.models.tool import Api, Code, Parameter, ToolSpec
    from fleetform.models.workflow import WorkflowSpec
    from fleetform.rules import AgentUses

_TYPES = {
    "string": str,
    "number": (int, float),
    "integer": int,
    "boolean": bool,
    "array": list,
    "object": dict,
}
LONGEST = 604_800
"""Seconds of the longest time limit that the runtime takes."""


def rules(fleet: Fleet, uses: AgentUses) -> Iterator[Problem]:
    """Yield what is wrong with tools, servers and how agents use them."""
    for tool in fleet.of(kinds.TOOL):
        yield from _tool(tool)
    for server in fleet.of(kinds.MCP_SERVER):
        yield from _server(server)
    for agent in fleet.of(kinds.AGENT):
        for number, use in enumerate(agent.spec.tools):
            place: TreePath = ("spec", "tools", number, "authentication")
            yield from authentication(agent, place, use.authentication)
            if use.endpoint and use.transport == "stdio":
                yield agent.problem(
                    ("spec", "tools", number, "transport"),
                    "contradiction",
                    "a server with an `endpoint` does not speak over stdio",
                    hint="name an MCPServer with `transport: stdio` and a `container`, in place of `endpoint`",
                )
            if use.endpoint and use.kind in ("Tool", "Agent"):
                yield agent.problem(
                    ("spec", "tools", number, "kind"),
                    "contradiction",
                    f"a tool with an `endpoint` is an MCP server, not a {use.kind}",
                    hint="remove `kind` or `endpoint`",
                )
        yield from _askable(agent, uses[agent.key])
        yield from _piped(agent, uses[agent.key])


def _askable(agent: Resolved[AgentSpec], uses: Uses) -> Iterator[Problem]:
    for use, other in uses.agents:
        container = other.spec.container
        if container is not None and not container.ports:
            number = next(n for n, item in enumerate(agent.spec.tools) if item is use)
            yield agent.problem(
                ("spec", "tools", number, "name"),
                "no-port",
                f"the agent `{other.name}` has no port to call it on",
                hint="add `ports` to its container",
            )


def _piped(agent: Resolved[AgentSpec], uses: Uses) -> Iterator[Problem]:
    """Yield servers over stdio of an agent that does not run the runtime."""
    for use, server in uses.servers if agent.spec.container is not None else ():
        if is_beside(server):
            number = next(n for n, item in enumerate(agent.spec.tools) if item is use)
            yield agent.problem(
                ("spec", "tools", number, "name"),
                "contradiction",
                f"`{use.name}` is an MCP server over stdio, which runs beside agents on the generic runtime; this agent runs its own image",
                hint="start it in your own image, or serve it over streamable-http",
            )


def _tool(tool: Resolved[ToolSpec]) -> Iterator[Problem]:
    spec = tool.spec
    for name in kinds.TOOL_TYPES:
        if getattr(spec, name) is not None and name != spec.type:
            yield tool.problem(
                ("spec", name),
                "contradiction",
                f"`{name}` is set, but the type is `{spec.type}`",
                hint="remove one of them",
                key=True,
            )
    if kinds.TOOL_TYPES[spec.type] and getattr(spec, spec.type) is None:
        yield tool.problem(
            ("spec",),
            "missing-field",
            f"`{spec.type}` is missing",
            hint=f"add `{spec.type}:`, which this type requires",
            key=True,
        )
    yield from parameters(tool, "parameters", spec.parameters)
    for name in kinds.TOOL_TYPES:
        limit = getattr(getattr(spec, name), "timeout", None)
        if limit is not None:
            yield from lasting(tool, ("spec", name, "timeout"), limit)
    if spec.type == "api" and spec.api is not None:
        yield from _api(tool, spec.api)
    if spec.type == "code" and spec.code is not None:
        yield from _code(tool, spec.code)
    if spec.type == "agent" and spec.agent is not None:
        place: TreePath = ("spec", "agent", "authentication")
        yield from authentication(tool, place, spec.agent.authentication)


def _code(tool: Resolved[ToolSpec], code: Code) -> Iterator[Problem]:
    place: TreePath = ("spec", "code")
    if (code.source is None) != code.allow_model_code:
        both = code.source is not None
        yield tool.problem(
            (*place, "allowModelCode") if both else place,
            "contradiction" if both else "missing-field",
            "the program is in `source`, and the model is to write it"
            if both
            else "there is no program to run",
            hint="remove one of them"
            if both
            else "add `source`, or let the model write it with `allowModelCode: true`",
            key=True,
        )
    if code.allow_model_code and tool.spec.parameters:
        yield tool.problem(
            ("spec", "parameters"),
            "contradiction",
            "a program that the model writes has no parameters",
            hint="remove them, or `allowModelCode`",
            key=True,
        )
    for name, least, most in (("memory", "1Mi", "64Gi"), ("output", "1Ki", "16Mi")):
        if not parse(least) <= parse(getattr(code, name)) <= parse(most):
            yield tool.problem(
                (*place, name),
                "bad-size",
                f"`{name}` is {least} to {most}",
                hint="write a size between them, such as the default",
            )
    if code.source is None:
        return
    import ast  # noqa: PLC0415 - few fleets have programs

    try:
        ast.parse(code.source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = f" in line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        yield tool.problem(
            (*place, "source"),
            "bad-code",
            f"this is not Python{line}: {getattr(error, 'msg', error)}",
            hint="correct it; a warning only, since the image may have a newer Python",
            severity="warning",
        )


def parameters(
    tool: Resolved[ToolSpec] | Resolved[WorkflowSpec], field: str, items: Iterable[Parameter]
) -> Iterator[Problem]:
    """Yield what is wrong with the parameters of a tool, or the inputs of a workflow."""
    seen: set[str] = set()
    for number, item in enumerate(items):
        path: TreePath = ("spec", field, number)
        if item.name in seen:
            yield tool.problem(
                (*path, "name"),
                "duplicate-name",
                f"two {'inputs' if field == 'input' else 'parameters'} are named `{item.name}`",
                hint="rename or remove one",
            )
        seen.add(item.name)
        if item.enum is not None and item.default is not None and item.default not in item.enum:
            yield tool.problem(
                (*path, "default"),
                "bad-default",
                "the default is not one of `enum`",
                hint="add it there, or choose another default",
            )
        if item.default is not None and not fits(item.type, item.default):
            yield tool.problem(
                (*path, "default"),
                "bad-default",
                f"the default is not of type {item.type}",
                hint="write it as that type",
            )
        for place, value in enumerate(item.enum or ()):
            if not fits(item.type, value):
                yield tool.problem(
                    (*path, "enum", place),
                    "bad-enum",
                    f"it is not of type {item.type}",
                    hint="write it as that type, or remove it",
                )
        if item.pattern is not None:
            yield from _pattern(tool, (*path, "pattern"), item.pattern)


def lasting(owner: Resolved[Any], path: TreePath, text: str) -> Iterator[Problem]:
    """Yield a time limit that the runtime does not take."""
    if not 0 < seconds(text) <= LONGEST:
        yield owner.problem(
            path,
            "bad-duration",
            f"`{text[:40]}` is no limit: it must be more than 0s, and at most {LONGEST // 3600}h",
            hint="write a duration such as `30s`, `5m` or `1h30m`",
        )


def fits(kind: str, value: Any) -> bool:
    """Whether a value is of a JSON type."""
    wanted = _TYPES[kind]
    if isinstance(value, bool) and kind in ("number", "integer"):
        return False
    return isinstance(value, wanted)  # type: ignore[arg-type]


def _pattern(tool: Resolved[Any], path: TreePath, pattern: str) -> Iterator[Problem]:
    found = fault(pattern)
    if found is not None:
        yield tool.problem(path, "bad-pattern", found[0], hint=found[1])


def _api(tool: Resolved[ToolSpec], api: Api) -> Iterator[Problem]:
    parameters = tool.spec.parameters
    names = {item.name: item for item in parameters}
    holes = re.findall(r"\{([^{}]*)\}", api.endpoint)
    for hole in holes:
        if hole not in names:
            yield tool.problem(
                ("spec", "api", "endpoint"),
                "unknown-parameter",
                f"`{{{hole}}}` is not a parameter of the tool",
                hint=did_you_mean(hole, names, noun="parameters"),
            )
    for number, item in enumerate(parameters):
        place: TreePath = ("spec", "parameters", number, "in")
        if item.location == "path" and item.name not in holes:
            yield tool.problem(
                place,
                "contradiction",
                f"`{{{item.name}}}` is not in the endpoint's path",
                hint="add it to the path, or send it elsewhere",
            )
        if item.location not in (None, "path") and item.name in holes:
            yield tool.problem(
                place,
                "contradiction",
                f"`{{{item.name}}}` is in the endpoint's path",
                hint="set `in: path`",
            )
        if item.name in holes and not item.required and item.default is None:
            yield tool.problem(
                ("spec", "parameters", number),
                "optional-in-path",
                f"`{item.name}` is part of the path and may be absent",
                hint="set `required: true`, or a default",
                key=True,
            )
    if api.retries and api.method in ("POST", "PATCH") and not api.idempotency_key:
        yield tool.problem(
            ("spec", "api", "retries"),
            "unsafe-retry",
            f"{api.method} is never retried without an Idempotency-Key",
            hint="remove `retries`, or set `idempotencyKey: true`",
            severity="warning",
        )
    yield from authentication(tool, ("spec", "api", "authentication"), api.authentication)


def authentication(owner: Resolved[Any], path: TreePath, auth: Any) -> Iterator[Problem]:
    """Yield what an authentication lacks, and fields that belong to another type."""
    if auth is None:
        return
    yield from _of_other_types(owner, path, auth)
    if auth.type == "none":
        return
    if auth.secret_ref is None:
        yield owner.problem(
            path,
            "missing-field",
            "`secretRef` is missing",
            hint="add `secretRef:` with the Secret's name and key",
            key=True,
        )
    for kind, field, value in (
        ("basic", "username", auth.username),
        ("header", "header", auth.header),
        ("oauth2", "oauth2", auth.oauth2),
    ):
        if auth.type == kind and value is None:
            yield owner.problem(
                path,
                "missing-field",
                f"`{field}` is missing",
                hint=f"add `{field}:`, which this type requires",
                key=True,
            )


def _of_other_types(owner: Resolved[Any], path: TreePath, auth: Any) -> Iterator[Problem]:
    for kind, field, value in (
        ("basic", "username", auth.username),
        ("header", "header", auth.header),
        ("oauth2", "oauth2", auth.oauth2),
        ("", "secretRef", auth.secret_ref if auth.type == "none" else None),
    ):
        if value is not None and auth.type != kind:
            yield owner.problem(
                (*path, field),
                "contradiction",
                f"`{field}` is set, but the type is `{auth.type}`",
                hint="remove one of them",
                # Authentication may be switched off by an environment's patch.
                severity="warning" if auth.type == "none" else "error",
                key=True,
            )


def _beside(server: Resolved[McpServerSpec]) -> Iterator[Problem]:
    """Yield what a server over stdio lacks, or has too much."""
    spec = server.spec
    if spec.url is not None:
        yield server.problem(
            ("spec", "url"),
            "contradiction",
            "the server has a `url`, and `transport: stdio`",
            hint="remove `url`, or set the transport of the server there",
            key=True,
        )
    if spec.container is None:
        yield server.problem(
            ("spec",),
            "missing-field",
            "`container` is missing",
            hint="set `container` with the image of the server, which runs beside each agent that uses it",
            key=True,
        )
    elif not spec.container.command:
        yield server.problem(
            ("spec", "container"),
            "missing-field",
            "`command` is missing",
            hint="add the words that start the server, such as `command: [node, dist/index.js]`: a shell of the image connects them to the agent",
            key=True,
        )


def _server(server: Resolved[McpServerSpec]) -> Iterator[Problem]:
    spec = server.spec
    if is_beside(server):
        yield from _beside(server)
        return
    if spec.url is None and spec.container is None:
        yield server.problem(
            ("spec",),
            "missing-field",
            "`url` or `container` is missing",
            hint="set the URL of the server, or the image to deploy",
            key=True,
        )
    if spec.url is not None and spec.container is not None:
        yield server.problem(
            ("spec", "url"),
            "contradiction",
            "the server has a `url` and a `container`",
            hint="remove `url`: the Service of the container is used",
            key=True,
        )
    if spec.container is not None and not spec.container.ports:
        yield server.problem(
            ("spec", "container"),
            "missing-field",
            "`ports` is missing",
            hint="add the port that the server listens on",
            key=True,
        )
    yield from authentication(server, ("spec", "authentication"), spec.authentication)
