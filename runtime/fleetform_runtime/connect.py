"""`check --connect`: whether what an agent needs answers, from where it runs."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass

from fleetform_runtime.access.oidc import Oidc
from fleetform_runtime.check import sections
from fleetform_runtime.forms import redactor
from fleetform_runtime.knowledge import KnowledgeError
from fleetform_runtime.knowledge.build import embedder
from fleetform_runtime.messages import User
from fleetform_runtime.models import ChatRequest, ModelError
from fleetform_runtime.models.build import build as build_model
from fleetform_runtime.net import NetError
from fleetform_runtime.secrets import Secrets
from fleetform_runtime.sections.access import OidcAuth
from fleetform_runtime.sections.knowledge import Embedding
from fleetform_runtime.sections.model import Model
from fleetform_runtime.settings import Settings
from fleetform_runtime.store import StoreError
from fleetform_runtime.store.build import build as build_store
from fleetform_runtime.store.parts import Surroundings
from fleetform_runtime.telemetry.metrics import Metrics
from fleetform_runtime.tools.build import mcp_servers

SECONDS = 30.0
"""Longest wait for one of them."""
ASKED = ChatRequest("", [User("Answer with the word ok.")], overrides={"max_tokens": 64})
"""The smallest request that proves endpoint, key and name of a model; reasoning models need some tokens."""
EMBEDDED = "ok"
LONGEST_REASON = 300

Try = Callable[[], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class Finding:
    """Whether one thing answers, and what there is to say of it."""

    name: str
    ok: bool
    detail: str

    def line(self) -> str:
        """Return one line for people."""
        return f"{'ok    ' if self.ok else 'failed'} {self.name}: {self.detail}"


async def findings(settings: Settings, secrets: Secrets) -> list[Finding]:
    """Try everything at the same time, once; return what was found, in the order of the document."""
    secrets.learn_all(settings)
    redact = redactor(secrets.known)
    tries = list(_tries(settings, secrets))
    return list(await asyncio.gather(*(_found(name, attempt, redact) for name, attempt in tries)))


async def _found(name: str, attempt: Try, redact: Callable[[str], str]) -> Finding:
    began = time.monotonic()
    try:
        async with asyncio.timeout(SECONDS):
            detail = await attempt()
    except TimeoutError:
        return Finding(name, False, f"no answer within {SECONDS:g} s")
    except (ModelError, NetError, StoreError, KnowledgeError, ImportError) as error:
        said = " ".join(redact(str(error)).split())
        return Finding(name, False, said[:LONGEST_REASON])
    return Finding(name, True, f"{detail}, {time.monotonic() - began:.1f} s")


def _tries(settings: Settings, secrets: Secrets) -> Iterator[tuple[str, Try]]:
    for _, model in settings.every_model:
        where = model.endpoint or model.facts.public or model.provider
        yield f"model {model.key} at {where}", lambda model=model: _model(model, secrets)  # type: ignore[misc]
    embeddings = {one.source: one for _, one in sections(settings, Embedding)}
    for source, embedding in embeddings.items():
        yield f"embedding {source}", lambda one=embedding: _embedding(one, secrets)  # type: ignore[misc]
    for server in settings.mcp_servers:
        one = settings.model_copy(update={"mcp_servers": (server,)})
        yield f"MCP server {server.name}", lambda one=one: _server(one, secrets)  # type: ignore[misc]
    if settings.keeps:
        yield f"store {settings.memory.type}", lambda: _store(settings, secrets)
    auth = settings.auth
    if isinstance(auth, OidcAuth):
        yield f"issuer {auth.issuer}", lambda: _issuer(auth)


async def _model(model: Model, secrets: Secrets) -> str:
    made = build_model(model, secrets)
    try:
        answer = await made.respond(ASKED, None)
    finally:
        await made.close()
    return f"{answer.name or model.name} answers"


async def _embedding(embedding: Embedding, secrets: Secrets) -> str:
    made = embedder(embedding, secrets, lambda *_: None)
    assert made
    try:
        vector = await made.question(EMBEDDED)
    finally:
        await made.close()
    return f"vectors of {len(vector)} dimensions"


async def _server(settings: Settings, secrets: Secrets) -> str:
    servers = mcp_servers(settings, secrets, Metrics(settings.agent.name))
    try:
        await servers.listing()
        if servers.unreachable():
            raise NetError("connection", servers.why() or "it does not list its tools")
        problems = servers.problems()
        told = f" ({'; '.join(problems)})" if problems else ""
        return f"{len(servers.listed())} tools{told}"
    finally:
        await servers.close()


async def _store(settings: Settings, secrets: Secrets) -> str:
    agent = settings.agent
    remembers = settings.long_term_memory
    around = Surroundings(
        secrets=secrets,
        namespace=agent.namespace,
        agent=agent.name,
        memory_seconds=remembers.ttl_seconds if remembers else None,
    )
    store = build_store(settings, around)
    try:
        await store.backend.open()
        await store.backend.ping()
    finally:
        await store.backend.close()
    return "a write is taken"


async def _issuer(auth: OidcAuth) -> str:
    oidc = Oidc(auth)
    try:
        count = await oidc.fetched()
    finally:
        await oidc.close()
    if not count:
        raise NetError("invalid", "its keys cannot be read")
    return f"{count} keys"
