"""Wiring: everything that lives as long as the process, built from one agent.json."""

import asyncio
import hashlib
import logging
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from fleetform_runtime import __version__
from fleetform_runtime.access import hosts
from fleetform_runtime.access.gate import Gate
from fleetform_runtime.access.identity import Anybody, ApiKeys, Authenticator
from fleetform_runtime.access.quotas import Counters, LocalCounters, Quotas
from fleetform_runtime.forms import redactor
from fleetform_runtime.http import surface
from fleetform_runtime.http.chat import Streams
from fleetform_runtime.http.errors import Json
from fleetform_runtime.http.gateway import Gateway
from fleetform_runtime.http.health import Health
from fleetform_runtime.http.router import Router
from fleetform_runtime.http.socket import Socket
from fleetform_runtime.models import ChatModel
from fleetform_runtime.models.build import Build, upstreams
from fleetform_runtime.models.build import build as build_model
from fleetform_runtime.runs.fitting import Fitting
from fleetform_runtime.runs.loop import Loop
from fleetform_runtime.runs.registry import Registry
from fleetform_runtime.runs.service import Runs
from fleetform_runtime.runs.sessions import Sessions
from fleetform_runtime.runs.structured import wanted
from fleetform_runtime.secrets import Secrets
from fleetform_runtime.sections.access import ApiKeyAuth, OidcAuth
from fleetform_runtime.sections.memory import RedisMemory
from fleetform_runtime.sections.tools import HumanTool
from fleetform_runtime.settings import SERVED_FEATURES, Feature, Settings
from fleetform_runtime.store import StoreError, UnsuitableStoreError
from fleetform_runtime.store.build import build as build_store
from fleetform_runtime.store.measured import measured
from fleetform_runtime.store.parts import Store, Surroundings
from fleetform_runtime.store.upkeep import Removals, sweep
from fleetform_runtime.telemetry.metrics import Metrics
from fleetform_runtime.telemetry.traces import NoSpans, Spans
from fleetform_runtime.tools import Tool, ToolSource
from fleetform_runtime.tools.build import McpServers, fixed_tools, mcp_servers
from fleetform_runtime.tools.toolbox import Toolbox

log = logging.getLogger(__name__)

REOPEN_SECONDS = 2.0
SHARE = (3, 4)
"""Part of the places that one of several users may hold: the others find one then."""


@dataclass(slots=True)
class State:
    """Phase of the process's life."""

    draining: bool = False
    store_open: bool = False
    unsuitable: str = ""
    """Why the store will never do."""


class Application:
    """One agent, ready to answer."""

    def __init__(
        self, settings: Settings, prompt: str, secrets: Secrets, make_model: Build = build_model
    ) -> None:
        self.settings = settings
        self.state = State()
        self.metrics = Metrics(settings.agent.name)
        self.hash = fingerprint(settings, prompt)
        self._prompt = prompt
        self._secrets = secrets
        secrets.learn_all(settings)
        self.replica = uuid.uuid4().hex
        self.store: Store = self._store()
        self.models: dict[str, ChatModel] = upstreams(settings, secrets, self.metrics, make_model)
        self.authenticator: Authenticator = _authenticator(settings, secrets)
        self.spans: Spans = _spans(settings, secrets)
        self.servers: McpServers = mcp_servers(settings, secrets, self.metrics)
        self._tools = fixed_tools(settings, secrets)
        self._counters = self._build_counters()
        self.runs = self._runs()
        self.gateway = self._gateway()
        self._opening: asyncio.Task[None] | None = None
        self._upkeep: list[asyncio.Task[None]] = []
        self.metrics.set("agent_build_info", 1, __version__, self.hash[:8])
        self.metrics.set("agent_run_limit_seconds", settings.limits.run_seconds)

    # -- lifecycle -------------------------------------------------------------------------------

    async def open(self) -> None:
        """Connect; whatever does not answer yet is retried in the background.

        Raises:
            UnsuitableStoreError: the store is of a kind that is not supported.
        """
        self._opening = asyncio.create_task(self._open_store())
        await asyncio.wait([self._opening], timeout=2)
        if self.state.unsuitable:
            await self.close()
            raise UnsuitableStoreError(self.state.unsuitable)
        self._upkeep = [
            asyncio.create_task(self.runs.registry.beat()),
            asyncio.create_task(sweep(self.store, self.replica)),
        ]
        await self.servers.open()

    async def close(self) -> None:
        """Close everything."""
        for task in (self._opening, *self._upkeep):
            if task is not None:
                task.cancel()
        await self.servers.close()
        closing: list[_Closing] = [
            *self._tools,
            *self.models.values(),
            self.authenticator,
            self._counters,
        ]
        for part in closing:
            await part.close()
        await self.store.backend.close()
        await self.spans.close()

    async def _open_store(self) -> None:
        while True:
            try:
                await self.store.backend.open()
            except UnsuitableStoreError as error:
                log.error("the conversation store is not supported: %s", error)  # noqa: TRY400
                self.state.unsuitable = str(error)
                return
            except StoreError as error:
                log.warning("the conversation store does not answer: %s", error)
                await asyncio.sleep(REOPEN_SECONDS)
            else:
                self.state.store_open = True
                return

    # -- wiring -----------------------------------------------------------------------------------

    def _store(self) -> Store:
        agent = self.settings.agent
        around = Surroundings(
            secrets=self._secrets,
            namespace=agent.namespace,
            agent=agent.name,
            removed=Removals(self.metrics),
            renewed=lambda: self.metrics.count("agent_memory_reconnects_total"),
        )
        return measured(build_store(self.settings, around), self.metrics)

    def _runs(self) -> Runs:
        settings, limits = self.settings, self.settings.limits
        answers = {
            tool.name: tool.output
            for tool in settings.tools
            if isinstance(tool, HumanTool) and tool.output is not None
        }
        policy = settings.memory.policy
        sources: list[ToolSource] = [_Fixed(self._tools), self.servers]
        redact = redactor(self._secrets.known)
        toolbox = Toolbox(sources, limits.tool_result_bytes, self.metrics, redact)
        return Runs(
            sessions=Sessions(
                self.store.conversations,
                policy.max_conversation_history,
                answers,
                run_seconds=limits.run_seconds,
            ),
            registry=Registry(self.store, self.metrics, self.replica),
            loop=Loop(
                toolbox,
                limits.max_steps,
                limits.max_tool_calls,
                self.spans,
                Fitting((settings.model, *settings.models)),
            ),
            models=self.models,
            default_model=settings.model.key,
            wanted=wanted(settings.output.schema_, settings.output.repairs)
            if settings.output
            else None,
            system=self._prompt,
            limits=limits,
            gate=Gate(
                limits.concurrent_runs,
                limits.queue_depth,
                limits.queue_seconds,
                self.metrics,
                _share(settings, limits.concurrent_runs),
            ),
            quotas=Quotas(limits, self._counters, self.metrics),
            metrics=self.metrics,
            spans=self.spans,
            keeps=settings.keeps,
        )

    def _build_counters(self) -> Counters:
        memory = self.settings.memory
        if not isinstance(memory, RedisMemory):
            return LocalCounters()
        from fleetform_runtime.access.redis_counters import RedisCounters  # noqa: PLC0415

        agent = self.settings.agent
        return RedisCounters(memory, self._secrets, agent.namespace, agent.name)

    def _gateway(self) -> Gateway:
        settings = self.settings
        most = settings.limits.concurrent_streams
        streams = Streams(most, self.metrics, _share(settings, most))
        health = Health(
            self.store.backend,
            lambda: self.state.draining,
            self.servers.unreachable,
            self.servers.problems,
        )
        routes = surface.routes(settings, self.runs, streams, health, self._info)
        socket = Socket(
            self.runs,
            streams,
            self.authenticator,
            settings.server,
            self.metrics,
            settings.limits.body_bytes,
        )
        return Gateway(
            Router(routes),
            socket,
            self.authenticator,
            self.metrics,
            settings.server.cors_origins,
            lambda: self.state.draining,
            hosts.check_of(settings),
        )

    async def _info(self, _: Any) -> Json:
        settings = self.settings
        return Json(
            {
                "agent": settings.agent.name,
                "namespace": settings.agent.namespace,
                "display_name": settings.agent.display_name or settings.agent.name,
                "description": settings.agent.description or "",
                "version": __version__,
                "contract": settings.contract,
                "config": self.hash,
                "models": list(self.models),
                "default_model": settings.model.key,
                "tools": [_shown(tool) for tool in (*self._tools, *self.servers.listed())],
                "mcp_servers": self.servers.states(),
                "memory": settings.memory.type,
                "auth": settings.auth.type,
                "features": sorted(_features(settings)),
            }
        )


def _shown(tool: Tool) -> dict[str, Any]:
    """Return a tool as /info shows it."""
    return {
        "name": tool.name,
        "type": tool.kind,
        "server": tool.server,
        "description": tool.description,
        "requires_approval": tool.requires_approval,
    }


class _Closing(Protocol):
    async def close(self) -> None: ...


class _Fixed:
    """The tools listed in the specification."""

    def __init__(self, tools: Any) -> None:
        self._held = tools

    async def tools(self) -> Any:
        return self._held


_KEPT = {Feature.SESSIONS, Feature.RUNS, Feature.APPROVALS, Feature.MEMORY}
"""Features that need a store."""


def _features(settings: Settings) -> list[str]:
    return [str(item) for item in SERVED_FEATURES - (set() if settings.keeps else _KEPT)]


def _share(settings: Settings, most: int) -> int | None:
    """Return how many of `most` places one user may hold; None where there is but one, as far as is known."""
    auth = settings.auth
    many = isinstance(auth, OidcAuth) or (
        isinstance(auth, ApiKeyAuth) and (len(auth.keys) > 1 or auth.keys[0].on_behalf)
    )
    return max(1, most * SHARE[0] // SHARE[1]) if many else None


def _authenticator(settings: Settings, secrets: Secrets) -> Authenticator:
    auth = settings.auth
    if isinstance(auth, ApiKeyAuth):
        return ApiKeys(auth, secrets)
    if isinstance(auth, OidcAuth):
        from fleetform_runtime.access.oidc import Oidc  # noqa: PLC0415

        return Oidc(auth)
    return Anybody()


def _spans(settings: Settings, secrets: Secrets) -> Spans:
    tracing = settings.observability.tracing
    if not tracing.enabled or not tracing.sample_rate:
        return NoSpans()
    from fleetform_runtime.telemetry.otlp import OtlpSpans  # noqa: PLC0415

    return OtlpSpans(settings, secrets)


def fingerprint(settings: Settings, prompt: str) -> str:
    """Return a hash of the configuration, which contains no secrets."""
    text = settings.model_dump_json(by_alias=True, exclude_unset=True) + "\n" + prompt
    return hashlib.sha256(text.encode()).hexdigest()


def read_prompt(settings: Settings, folder: Path) -> str:
    """Read the system prompt next to agent.json."""
    return (folder / settings.prompt.system.file).read_text("utf-8")
