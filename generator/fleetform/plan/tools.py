"""What an agent can do, in the runtime's terms: the `tools` and `mcpServers` of `agent.json`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from fleetform import contract, filters, prices, view
from fleetform.durations import seconds
from fleetform.plan import containers
from fleetform.plan.beside import folder
from fleetform.plan.model import Sandbox, SecretPath
from fleetform.plan.present import present, secret_of
from fleetform.plan.stores import tls
from fleetform.quantity import parse
from fleetform.resolve import hosts
from fleetform.resolve.hosts import Url
from fleetform.resolve.ports import main_port
from fleetform.resolve.references import beside
from fleetform.resolve.searches import Reached, mode, question, reached

if TYPE_CHECKING:
    from fleetform.models.agent import AgentSpec, ToolUse
    from fleetform.models.mcp_server import McpAccess, McpServerSpec, McpTls
    from fleetform.models.memory_store import Embedding, VectorStore
    from fleetform.models.model_config import ModelTls
    from fleetform.models.tool import Authentication, Code, Parameter, ToolSpec
    from fleetform.problems import Problem
    from fleetform.resolve import Fleet, Resolved
    from fleetform.resolve.references import Uses


def tls_files(tls: ModelTls | McpTls | None) -> dict[str, Any] | None:
    """Return how the server's certificate is verified, None for the default way."""
    if tls is None:
        return None
    ca = tls.ca_secret_ref
    return present(
        caFile=SecretPath(ca.name, ca.key) if ca else None,
        insecureSkipVerify=tls.insecure_skip_verify or None,
    )


def tools(fleet: Fleet, agent: Resolved[AgentSpec], uses: Uses) -> Iterator[dict[str, Any]]:
    """Yield the tools of an agent: API calls, questions to people, other agents."""
    for use, tool in uses.tools:
        # Of a tool with errors there may be nothing.
        if found := WRITERS[tool.spec.type](fleet, agent, use, tool, uses):
            yield found
    for use, other in uses.agents:
        yield present(
            name=use.name,
            type="agent",
            displayName=other.spec.display_name,
            description=use.description
            or other.spec.description
            or f"Asks the agent {other.name}.",
            requiresApproval=use.requires_approval or None,
            variants=use.variants,
            url=service_url(fleet, other),
            auth=agent_auth(fleet, agent, use.authentication, other),
            onBehalf=names_users(agent, use.authentication, other) or None,
        )


def _tool(use: ToolUse, spec: ToolSpec, fallback: str | None = None) -> dict[str, Any]:
    approval = spec.requires_approval if use.requires_approval is None else use.requires_approval
    return present(
        name=use.name,
        displayName=spec.display_name,
        description=spec.description or fallback or spec.display_name or use.name,
        requiresApproval=approval or None,
        variants=use.variants,
    )


def _human_tool(
    fleet: Fleet, agent: Resolved[AgentSpec], use: ToolUse, tool: Resolved[ToolSpec], uses: Uses
) -> dict[str, Any]:
    del fleet, agent, uses
    spec = tool.spec
    return present(
        **_tool(use, spec, spec.human.prompt if spec.human else None),
        type="human",
        parameters=[parameter(item) for item in spec.parameters],
        output=spec.output,
    )


def _api_tool(
    fleet: Fleet, agent: Resolved[AgentSpec], use: ToolUse, tool: Resolved[ToolSpec], uses: Uses
) -> dict[str, Any]:
    del uses
    api = tool.spec.api
    if api is None:  # a Problem has been said
        return {}
    return present(
        **_tool(use, tool.spec),
        type="api",
        endpoint=hosts.rewritten(fleet, tool.namespace or agent.namespace, api.endpoint),
        method=api.method,
        headers=dict(api.headers),
        auth=_outbound(api.authentication, fleet, tool.namespace or agent.namespace),
        parameters=[
            {
                **parameter(item),
                "in": item.location or default_location(item.name, api.endpoint, api.method),
            }
            for item in tool.spec.parameters
        ],
        output=tool.spec.output,
        timeoutSeconds=seconds(api.timeout),
        retries=api.retries or None,
        idempotencyKey=None if api.idempotency_key else False,
    )


def _code_tool(
    fleet: Fleet, agent: Resolved[AgentSpec], use: ToolUse, tool: Resolved[ToolSpec], uses: Uses
) -> dict[str, Any]:
    del fleet, uses
    code = tool.spec.code
    if code is None:  # a Problem has been said
        return {}
    return present(
        **_tool(use, tool.spec),
        type="code",
        engine=None if code.engine == "auto" else code.engine,
        pool=agent.name if code.engine == SANDBOX else None,
        code=code.source,
        allowModelCode=code.allow_model_code or None,
        parameters=[parameter(item) for item in tool.spec.parameters],
        timeoutSeconds=seconds(code.timeout),
        memoryBytes=int(parse(code.memory)),
        outputBytes=int(parse(code.output)),
    )


SANDBOX = "sandbox"
"""The engine that runs a program in an instance of its own."""
RUNTIME = 160 << 20
"""Bytes that the runtime takes under load, with a process of Python beside it."""


def roomy(agent: Resolved[AgentSpec], uses: Uses) -> Iterator[Problem]:
    """Yield programs whose memory the agent's does not hold, beside that of the runtime."""
    codes = [code for _, code in _programs(uses) if code.engine != SANDBOX]
    if not codes:
        return
    limit = parse(containers.compute(agent.spec.resources, containers.DEFAULT).limits["memory"])
    wanted = sum(parse(code.memory) for code in codes) + RUNTIME
    if wanted > limit:
        yield agent.problem(
            ("spec", "resources", "limits", "memory"),
            "code-memory",
            f"the programs of its tools may take {-(-wanted // (1 << 20))}Mi together with the runtime, "
            f"and the limit is {-(-limit // (1 << 20))}Mi: the kernel would end the agent with them",
            hint="raise `resources.limits.memory`, or lower `code.memory` of the Tools",
            severity="warning",
            key=True,
        )


def sandbox(agent: Resolved[AgentSpec], uses: Uses) -> Sandbox | None:
    """Return where those programs run that ask for a sandbox, None if there are none."""
    numbers = {id(use): number for number, use in enumerate(agent.spec.tools)}
    asked = [(use, code) for use, code in _programs(uses) if code.engine == SANDBOX]
    if not asked:
        return None
    most = max(int(parse(code.memory)) for _, code in asked)
    return Sandbox(most, ("spec", "tools", numbers[id(asked[0][0])], "name"))


def _programs(uses: Uses) -> list[tuple[ToolUse, Code]]:
    return [(use, tool.spec.code) for use, tool in uses.tools if tool.spec.code is not None]


def _retrieval_tool(
    fleet: Fleet, agent: Resolved[AgentSpec], use: ToolUse, tool: Resolved[ToolSpec], uses: Uses
) -> dict[str, Any]:
    found = tool.spec.retrieval
    if found is None:  # a Problem has been said
        return {}
    search = found.search
    parameters = [{**parameter(item), **present(field=item.field)} for item in tool.spec.parameters]
    asked = question(tool.spec)
    return present(
        **_tool(use, tool.spec),
        type="retrieval",
        knowledge=present(
            store=_store(fleet, tool.namespace or agent.namespace, found.vector_store),
            embedding=embedding(
                fleet, agent, tool.namespace or agent.namespace, uses, found.embedding
            )
            if mode(found) != "keyword"
            else None,
            search=present(
                mode=mode(found),
                topK=search.top_k,
                scoreThreshold=search.score_threshold,
                filter=_filter(search.filter),
            ),
        ),
        parameters=parameters or [QUESTION],
        question=asked if asked != "query" else None,
        output=tool.spec.output,
    )


def _store(fleet: Fleet, owner: str, store: VectorStore) -> dict[str, Any]:
    if store.type == contract.EMBEDDED:
        return {
            "type": store.type,
            "path": store.path or contract.KNOWLEDGE,
            "collection": store.collection,
        }
    port = store.port or contract.VECTOR_STORES[store.type] or 0
    secret = secret_of(store.secret_ref) if store.secret_ref else None
    own: dict[str, Any] = {"apiKey": secret}
    if store.type == "pgvector":
        own = {
            "database": store.database or "fleetform",
            "username": store.username or "fleetform",
            "password": secret,
        }
    elif store.type == "milvus":
        own = {"database": store.database, "token": secret}
    server = present(
        type=store.type,
        host=hosts.written_out(fleet, owner, store.host or ""),
        port=port,
        collection=collection_of(store),
        fields=view.dump(store.fields) if store.fields else None,
        **own,
    )
    # An empty `tls` means TLS with public CAs: it must not be dropped like other empty members.
    return {**server, **(tls(store.tls) if store.tls else {})}


def collection_of(store: VectorStore) -> str:
    """Return the name of a collection: Milvus has no hyphens in names, and what is written so can only be this one."""
    return store.collection.replace("-", "_") if store.type == "milvus" else store.collection


def _filter(text: str) -> dict[str, Any] | None:
    try:
        return filters.parsed(text) if text.strip() else None
    except filters.FilterError:  # a Problem has been said
        return None


QUESTION = {
    "name": "query",
    "type": "string",
    "required": True,
    "description": "What to look for: a question, or keywords.",
}
"""The parameter of a search whose spec has none."""


def embedding(
    fleet: Fleet,
    agent: Resolved[AgentSpec],
    written: str,
    uses: Uses,
    wanted: Embedding | None,
) -> dict[str, Any] | None:
    """Return how an agent turns texts into vectors; `written` is the namespace of who says so."""
    if wanted is None:
        return None
    at = reached(uses, wanted)
    assert at
    # Short hosts are relative to whoever wrote them.
    owner = agent.namespace if wanted.endpoint is None else written
    return present(
        provider=wanted.provider,
        name=wanted.model,
        dimension=wanted.dimension,
        endpoint=hosts.rewritten(fleet, owner, at.endpoint) if at.endpoint else None,
        region=at.region,
        project=at.project,
        apiKey=secret_of(at.secret) if at.secret else None,
        queryPrefix=wanted.query_prefix,
        documentPrefix=wanted.document_prefix,
        pricing=_embedding_price(wanted, at),
        tls=tls_files(at.tls) if at.tls else None,
    )


def _embedding_price(wanted: Embedding, at: Reached) -> prices.Price | None:
    """Return what a million tokens cost: as the spec says, or as the provider does at its own endpoint."""
    if wanted.input_per_million is not None:
        return {"inputPerMillion": wanted.input_per_million}
    return None if at.endpoint or at.project else prices.of(at.provider, wanted.model)


def _agent_tool(
    fleet: Fleet, agent: Resolved[AgentSpec], use: ToolUse, tool: Resolved[ToolSpec], uses: Uses
) -> dict[str, Any]:
    del uses
    other = tool.spec.agent
    if other is None:  # a Problem has been said
        return {}
    owner = tool.namespace or agent.namespace
    return present(
        **_tool(use, tool.spec),
        type="agent",
        card=hosts.rewritten(fleet, owner, other.card),
        auth=_outbound(other.authentication, fleet, owner),
        onBehalf=other.on_behalf or None,
        timeoutSeconds=seconds(other.timeout),
    )


WRITERS: dict[
    str, Callable[[Fleet, Resolved[AgentSpec], ToolUse, Resolved[ToolSpec], Uses], dict[str, Any]]
] = {
    "api": _api_tool,
    "retrieval": _retrieval_tool,
    "code": _code_tool,
    "human": _human_tool,
    "agent": _agent_tool,
}
"""How agent.json says each type of a Tool that the runtime has."""


def default_location(name: str, endpoint: str, method: str) -> str:
    """Return where a parameter without `in` is sent: path, query or JSON body."""
    if f"{{{name}}}" in endpoint:
        return "path"
    return "query" if method in ("GET", "DELETE") else "body"


def parameter(item: Parameter) -> dict[str, Any]:
    """Return a parameter as the runtime knows it."""
    body = view.dump(item)
    body.pop("in", None)
    body.pop("field", None)
    if not item.required:
        body.pop("required", None)
    return body


def _outbound(auth: Authentication | None, fleet: Fleet, namespace: str) -> dict[str, Any] | None:
    if auth is None or auth.type == "none" or auth.secret_ref is None:
        return None
    secret = secret_of(auth.secret_ref)
    if auth.type == "bearer":
        return {"type": "bearer", "token": secret}
    if auth.type == "basic":
        return {"type": "basic", "username": auth.username or "", "password": secret}
    if auth.type == "header":
        return {"type": "header", "name": auth.header or "X-API-Key", "value": secret}
    oauth = auth.oauth2
    if oauth is None:
        return None
    return present(
        type="oauth2ClientCredentials",
        tokenUrl=hosts.rewritten(fleet, namespace, oauth.token_url),
        clientId=oauth.client_id,
        clientSecret=secret,
        scopes=list(oauth.scopes),
    )


def agent_auth(
    fleet: Fleet, caller: Resolved[Any], own: Authentication | None, other: Resolved[Any]
) -> dict[str, Any] | None:
    """Return how a caller signs in at an agent: its own way, or by the first key of an agent of its namespace."""
    if own is not None:
        return _outbound(own, fleet, caller.namespace)
    theirs = other.spec.auth
    if theirs and theirs.api_key and other.namespace == caller.namespace:
        return {"type": "bearer", "token": secret_of(theirs.api_key.keys[0].secret_ref)}
    return None


def names_users(caller: Resolved[Any], own: Authentication | None, other: Resolved[Any]) -> bool:
    """Whether a caller names its users to an agent: the key that it has there is a gateway's."""
    theirs = other.spec.auth
    if theirs is None or not theirs.api_key:
        return False
    if own is None:
        return other.namespace == caller.namespace and bool(theirs.api_key.keys[0].on_behalf)
    return any(
        key.on_behalf and key.secret_ref == own.secret_ref and other.namespace == caller.namespace
        for key in theirs.api_key.keys
    )


def mcp_servers(fleet: Fleet, agent: Resolved[AgentSpec], uses: Uses) -> Iterator[dict[str, Any]]:
    """Yield the MCP servers of an agent, named ones before inline ones."""
    folders = {id(server): folder(name) for name, server in beside(uses)}
    for use, server in uses.servers:
        spec: McpAccess = server.spec
        place = folders.get(id(server))
        yield present(
            name=use.name,
            **(_pipes(place) if place else _endpoint(fleet, agent, use, server)),
            tools=use.allow if use.allow is not None else spec.allow,
            capabilities=use.capabilities if use.capabilities is not None else spec.capabilities,
            requiresApproval=(
                spec.requires_approval if use.requires_approval is None else use.requires_approval
            )
            or None,
            variants=use.variants,
            timeouts={"requestSeconds": spec.timeout_seconds},
            tls=None if place else tls_files(spec.tls),
        )
    for use in uses.inline_servers:
        yield present(
            name=use.name,
            transport=use.transport or "streamable-http",
            url=with_path(hosts.rewritten(fleet, agent.namespace, use.endpoint or ""), "/mcp"),
            auth=_outbound(use.authentication, fleet, agent.namespace),
            tools=use.allow,
            capabilities=use.capabilities,
            requiresApproval=use.requires_approval or None,
            variants=use.variants,
        )


def _pipes(place: str) -> dict[str, Any]:
    return {"transport": "pipes", "directory": place}


def _endpoint(
    fleet: Fleet, agent: Resolved[AgentSpec], use: ToolUse, server: Resolved[McpServerSpec]
) -> dict[str, Any]:
    spec = server.spec
    return {
        "transport": spec.transport,
        "url": server_url(fleet, server, agent),
        "headers": dict(spec.headers),
        "auth": _outbound(
            use.authentication or spec.authentication, fleet, server.namespace or agent.namespace
        ),
    }


def server_url(
    fleet: Fleet, server: Resolved[McpServerSpec], agent: Resolved[AgentSpec]
) -> str | Url:
    """Return the URL of an MCP server: its own, or that of its container's service."""
    spec = server.spec
    if spec.url:
        return with_path(
            hosts.rewritten(fleet, server.namespace or agent.namespace, spec.url), spec.path
        )
    return service_url(fleet, server)._replace(rest=spec.path)


def service_url(fleet: Fleet, workload: Resolved[Any]) -> Url:
    """Return the URL of a workload's service, without a path."""
    port = main_port(workload)
    return Url("http", hosts.address(fleet, workload), port.service_port if port else None)


def a2a_url(fleet: Fleet, agent: Resolved[Any]) -> Url:
    """Return the URL at which an agent speaks A2A."""
    return service_url(fleet, agent)._replace(rest="/a2a")


def with_path(url: str | Url, path: str) -> str | Url:
    """Return a URL with a path added, unless it has one."""
    if isinstance(url, Url):
        return url if url.rest.lstrip("/") else url._replace(rest=path)
    scheme, _, rest = url.partition("://")
    authority, slash, tail = rest.partition("/")
    return url if slash and tail else f"{scheme}://{authority}{path}"
