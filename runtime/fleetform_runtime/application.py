"""Assembles everything that lives as long as the process, from one agent.json."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from fleetform_runtime import __version__
from fleetform_runtime.access import build as access
from fleetform_runtime.access import hosts
from fleetform_runtime.access.approvers import Approving
from fleetform_runtime.access.gate import Gate
from fleetform_runtime.access.quotas import Quotas
from fleetform_runtime.forms import redactor
from fleetform_runtime.http import surface
from fleetform_runtime.http.answering import Answering, Streams
from fleetform_runtime.http.gateway import Gateway
from fleetform_runtime.http.mounting import Parts
from fleetform_runtime.http.router import Router
from fleetform_runtime.http.socket import Socket
from fleetform_runtime.models.build import Build, summariser, upstreams
from fleetform_runtime.models.build import build as build_model
from fleetform_runtime.runs.calls import Calls
from fleetform_runtime.runs.decisions import Decider
from fleetform_runtime.runs.fitting import Fitting, Room
from fleetform_runtime.runs.loop import Loop
from fleetform_runtime.runs.notices import Notices
from fleetform_runtime.runs.registry import Registry
from fleetform_runtime.runs.service import Runs
from fleetform_runtime.runs.sessions import Sessions
from fleetform_runtime.runs.structured import Wanted, wanted
from fleetform_runtime.runs.variants import variants
from fleetform_runtime.secrets import Secrets
from fleetform_runtime.sections.serving import Server
from fleetform_runtime.sections.tools import HumanTool
from fleetform_runtime.settings import Prompts, Settings
from fleetform_runtime.store import UnsuitableStoreError
from fleetform_runtime.store.build import build as build_store
from fleetform_runtime.store.filesystem import errands
from fleetform_runtime.store.filesystem.backend import FilesystemBackend
from fleetform_runtime.store.measured import measured
from fleetform_runtime.store.parts import Store, Surroundings
from fleetform_runtime.store.upkeep import Removals, Upkeep
from fleetform_runtime.telemetry import build as telemetry
from fleetform_runtime.telemetry.metrics import Metrics
from fleetform_runtime.tools.build import FixedTool
from fleetform_runtime.tools.build import build as build_tools
from fleetform_runtime.tools.toolbox import Toolbox

if TYPE_CHECKING:
    from fleetform_runtime.memories.remembering import Remembering

log = logging.getLogger(__name__)


@dataclass(slots=True)
class State:
    """Phase of the process's life."""

    draining: bool = False


class _Closing(Protocol):
    async def close(self) -> None: ...


class Application:
    """One agent, ready to answer."""

    def __init__(
        self,
        settings: Settings,
        prompts: Prompts,
        secrets: Secrets,
        make_model: Build = build_model,
    ) -> None:
        self.settings = settings
        self.state = State()
        self._variants = variants(settings, prompts)
        self.metrics = Metrics(settings.agent.name, variants=self._variants.names)
        self.hash = settings.fingerprint(prompts)
        self._secrets = secrets
        secrets.learn_all(settings)
        replica = uuid.uuid4().hex
        self.store = self._store()
        self.models = upstreams(settings, secrets, self.metrics, make_model)
        self.summariser = summariser(settings, secrets, self.metrics, make_model)
        remembers = settings.long_term_memory
        self.authenticator = access.authenticator(
            settings.auth, secrets, remembers.user if remembers else None
        )
        self.spans = telemetry.spans(settings, secrets)
        self._counters = access.counters(settings, secrets)
        self._quotas = Quotas(settings.limits, self._counters, self.metrics)
        self.remembering, tools = self._remembering()
        self.tools = build_tools(settings, secrets, self.metrics, tools)
        self.notices = self._notices()
        self._beating: asyncio.Task[None] | None = None
        self._running_errands: asyncio.Task[None] | None = None
        self.runs = self._runs(replica)
        self._upkeep = Upkeep(self.store, replica, self.runs.expire)
        self.gateway = self._gateway()
        self.metrics.set("agent_build_info", 1, __version__, self.hash[:8])
        self.metrics.set("agent_run_limit_seconds", settings.limits.run_seconds)

    # -- lifecycle -------------------------------------------------------------------------------

    async def open(self) -> None:
        """Connect; whatever does not answer yet is retried in the background.

        Raises:
            UnsuitableStoreError: the store is of a kind that is not supported.
        """
        try:
            await self._upkeep.open()
        except UnsuitableStoreError:
            await self.close()
            raise
        self._beating = asyncio.create_task(self.runs.registry.beat())
        if isinstance(self.store.backend, FilesystemBackend):
            self._running_errands = asyncio.create_task(
                errands.run(self.store.backend, self._delete)
            )
        await self.tools.servers.open()

    async def close(self) -> None:
        """Close everything; a part that fails to close keeps no other one open."""
        for task in (self._beating, self._running_errands):
            if task is not None:
                task.cancel()
        closing: list[_Closing] = [
            *([self.notices] if self.notices is not None else []),
            *([self.remembering] if self.remembering is not None else []),
            self.tools.servers,
            *self.tools.fixed,
            *self.models.values(),
            *([self.summariser] if self.summariser is not None else []),
            self.authenticator,
            self._counters,
            self._upkeep,
            self.spans,
        ]
        for part in closing:
            try:
                await part.close()
            except Exception:
                log.exception("%s was not closed", type(part).__name__)

    async def _delete(self, user: str) -> str:
        """Delete all that is kept of a user, in a store that this process alone has open; return a report."""
        from fleetform_runtime.runs.erasing import erased  # noqa: PLC0415 - hardly ever

        if self.remembering is not None:
            self.remembering.learning.drop(user)
        await self.runs.stop(user)
        gone = await erased(self.store, user)
        self.runs.registry.forget(user)
        await self._counters.forget(user)
        return gone.line()

    # -- the process -----------------------------------------------------------------------------

    @property
    def server(self) -> Server:
        """Return where it is served."""
        return self.settings.server

    @property
    def largest_message(self) -> int:
        """Return the bytes of a message of a WebSocket."""
        return self.settings.limits.body_bytes + self.settings.limits.attachment_bytes

    def begin_to_drain(self) -> int:
        """Become unready; return how many runs are active."""
        self.state.draining = True
        return len(self.runs.registry.running)

    async def drain(self) -> None:
        """Let runs finish."""
        await self.runs.drain(self.settings.server.shutdown_grace_seconds)

    # -- assembly ----------------------------------------------------------------------------------

    def _store(self) -> Store:
        agent, remembers = self.settings.agent, self.settings.long_term_memory
        around = Surroundings(
            secrets=self._secrets,
            namespace=agent.namespace,
            agent=agent.name,
            removed=Removals(self.metrics),
            memory_seconds=remembers.ttl_seconds if remembers else None,
            renewed=lambda: self.metrics.count("agent_memory_reconnects_total"),
        )
        return measured(build_store(self.settings, around), self.metrics)

    def _remembering(self) -> tuple[Remembering | None, Sequence[FixedTool]]:
        """Return what remembers users, and its tools; few agents have it, so only they import it."""
        section = self.settings.long_term_memory
        if section is None:
            return None, ()
        from fleetform_runtime.memories.build import build, tools  # noqa: PLC0415

        made = build(
            section,
            self.store,
            self.models,
            self.settings.model.key,
            self._secrets,
            self.metrics,
            redactor(self._secrets.known),
            self._quotas,
            self.spans,
        )
        return made, tools(made, section)

    def _notices(self) -> Notices | None:
        settings = self.settings
        webhook = settings.approvals.webhook if settings.approvals else None
        if webhook is None:
            return None
        agent = settings.agent
        return Notices(webhook, agent.name, agent.namespace, self._secrets, self.metrics)

    def _runs(self, replica: str) -> Runs:
        settings, limits, metrics = self.settings, self.settings.limits, self.metrics
        redact = redactor(self._secrets.known)
        toolbox = Toolbox([self.tools], limits.tool_result_bytes, metrics, redact)
        calls = Calls(toolbox, self.spans)
        history = settings.memory.policy.max_conversation_history
        registry = Registry(self.store, metrics, replica, keeps=settings.keeps)
        sessions = Sessions(
            self.store.conversations,
            self.store.pauses,
            history,
            _answer_schemas(settings),
            run_seconds=limits.run_seconds,
            compacts=settings.memory.policy.compression is not None,
            is_running=registry.is_running,
        )
        room = self._room(sessions)
        share = access.share(settings, limits.concurrent_runs)
        return Runs(
            sessions=sessions,
            registry=registry,
            loop=Loop(calls, limits.max_steps, limits.max_tool_calls, self.spans, room),
            decider=Decider(calls),
            models=self.models,
            offered=[model.key for model in (settings.model, *settings.models)],
            variants=self._variants,
            wanted=_wanted(settings),
            limits=limits,
            warm=frozenset(
                model.key for _, model in settings.every_model if model.takes_temperature
            ),
            gate=Gate(
                limits.concurrent_runs, limits.queue_depth, limits.queue_seconds, metrics, share
            ),
            quotas=self._quotas,
            metrics=metrics,
            spans=self.spans,
            approving=Approving(settings.approvals),
            notices=self.notices,
            remembering=self.remembering,
            keeps=settings.keeps,
        )

    def _room(self, sessions: Sessions) -> Room:
        """Return what makes conversations fit: by leaving out, or by summaries."""
        settings, policy = self.settings, self.settings.memory.policy
        if policy.compression is None:
            return Fitting(settings.session_models)
        from fleetform_runtime.runs.compacting import Compacting  # noqa: PLC0415
        from fleetform_runtime.runs.summaries import PATIENCE, Writer  # noqa: PLC0415

        fitting = Fitting(model for _, model in reversed(settings.every_model))
        return Compacting(
            policy.compression,
            policy.max_conversation_history,
            fitting,
            Writer(self.summariser, fitting, self.spans, settings.limits.run_seconds / PATIENCE),
            sessions,
            self.metrics,
            self.spans,
        )

    def _gateway(self) -> Gateway:
        settings, limits, server = self.settings, self.settings.limits, self.settings.server
        most = limits.concurrent_streams
        streams = Streams(most, self.metrics, access.share(settings, most))
        parts = Parts(
            settings=settings,
            hash=self.hash,
            runs=self.runs,
            tools=self.tools,
            store=self.store.backend,
            answering=Answering(streams, limits, server),
            is_draining=self._is_draining,
        )
        return Gateway(
            Router(surface.routes(parts)),
            Socket(self.runs, streams, self.authenticator, server, self.metrics, limits.body_bytes),
            self.authenticator,
            self.metrics,
            server.cors_origins,
            self._is_draining,
            hosts.check_of(settings.auth, settings.server),
        )

    def _is_draining(self) -> bool:
        return self.state.draining


def _answer_schemas(settings: Settings) -> dict[str, Any]:
    """Return what answers to the questions of each tool must match."""
    return {
        tool.name: tool.output
        for tool in settings.tools
        if isinstance(tool, HumanTool) and tool.output is not None
    }


def _wanted(settings: Settings) -> Wanted | None:
    output = settings.output
    return wanted(output.schema_, output.repairs) if output else None
