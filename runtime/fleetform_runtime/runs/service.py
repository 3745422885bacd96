"""Own the runs of this replica: admit, start, follow, cancel, resume, remember."""

import asyncio
import logging
import time
import uuid
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from typing import Any

from fleetform_runtime.access.gate import Gate
from fleetform_runtime.access.quotas import Quotas
from fleetform_runtime.messages import Message, Usage, User, now
from fleetform_runtime.models import ChatModel, ModelError, ToolSpec
from fleetform_runtime.problems import Problem
from fleetform_runtime.runs.log import RunLog
from fleetform_runtime.runs.loop import Answer, Loop, Pause, Turn
from fleetform_runtime.runs.sessions import Sessions
from fleetform_runtime.sections.access import Limits
from fleetform_runtime.store import Event, Run, Session, StoreError
from fleetform_runtime.telemetry.logs import run_context
from fleetform_runtime.telemetry.metrics import Metrics
from fleetform_runtime.telemetry.traces import Spans

log = logging.getLogger(__name__)

KEPT_SECONDS = 3600
"""How long an ended run can be asked for."""
MOST_ENDED = 1000
MOST_ENDED_BYTES = 64 * 1024 * 1024
"""Events of ended runs that are kept in memory, the newest."""
SHARE_SECONDS = 0.5
"""How often a run tells other replicas what is new, and hears whether it should stop."""
FOLLOW_SECONDS = 0.3


@dataclass(slots=True)
class Order:
    """What a caller wants of the agent."""

    user: str
    message: User | None
    session: str | None = None
    model: str | None = None
    streaming: bool = False
    metadata: dict[str, Any] = field(default_factory=dict)
    traceparent: str | None = None
    stateless: bool = False
    history: list[Message] = field(default_factory=list)
    system: str = ""
    foreign: list[ToolSpec] = field(default_factory=list)
    tool_choice: Any = None
    overrides: dict[str, Any] = field(default_factory=dict)
    decisions: dict[str, dict[str, Any]] | None = None
    paused: str | None = None
    """The run that the decisions are about."""


@dataclass(slots=True)
class LiveRun:
    """A run that this replica carries out, or has."""

    id: str
    user: str
    session: str
    log: RunLog
    task: asyncio.Task[None] | None = None
    created: float = 0.0
    ended: float | None = None
    status: str = "running"
    result: dict[str, Any] = field(default_factory=dict)
    problem: Problem | None = None
    foreign: list[Any] = field(default_factory=list)
    cancelled: bool = False
    shared: int = 0

    async def finished(self) -> dict[str, Any]:
        """Wait for the end; return the result.

        Raises:
            Problem: the run failed.
        """
        if self.task is not None:
            await asyncio.wait([self.task])
        if self.problem is not None:
            raise self.problem
        return self.result


class Runs:
    """Everything that has to do with runs."""

    def __init__(
        self,
        *,
        sessions: Sessions,
        loop: Loop,
        models: dict[str, ChatModel],
        default_model: str,
        system: Callable[[], str],
        limits: Limits,
        gate: Gate,
        quotas: Quotas,
        metrics: Metrics,
        spans: Spans,
        context_characters: dict[str, int],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.sessions = sessions
        self._store = sessions.store
        self._loop = loop
        self.models = models
        self.default_model = default_model
        self._system = system
        self._limits = limits
        self._gate = gate
        self._quotas = quotas
        self._metrics = metrics
        self._spans = spans
        self._context = context_characters
        self._clock = clock
        self._live: dict[str, LiveRun] = {}
        self._ended: OrderedDict[str, LiveRun] = OrderedDict()
        self._ended_bytes = 0
        self._active: dict[tuple[str, str], int] = {}

    # -- starting -------------------------------------------------------------------------------

    async def start(self, order: Order) -> LiveRun:
        """Admit an order and start its run.

        Raises:
            Problem: it is refused; nothing has happened then.
        """
        model = self.model(order.model) if order.model else None
        await self._quotas.admit(order.user)
        leave = await self._gate.enter()
        try:
            session, history, pause = await self._prepared(order)
            chosen = model or self.models.get(session.model) or self.models[self.default_model]
            run = LiveRun(uuid.uuid4().hex, order.user, session.id, RunLog(), created=self._clock())
            turn = self._turn(order, run, session, history, chosen.key)
            session = replace(session, model=chosen.key)
            await self._put(run, KEPT_SECONDS)
        except BaseException:
            leave()
            raise
        self._live[run.id] = run
        self._mark(run, 1)
        run.log.emit("run_start", {"run_id": run.id, "session_id": session.id, "model": chosen.key})
        run.task = asyncio.create_task(
            self._carry_out(run, order, turn, session, chosen, pause, leave)
        )
        return run

    def model(self, key: str) -> ChatModel:
        """Return a model of the specification's list.

        Raises:
            Problem: it is not on the list.
        """
        found = self.models.get(key)
        if found is None:
            raise Problem("model_not_found", f"models: {', '.join(self.models)}")
        return found

    async def _prepared(self, order: Order) -> tuple[Session, list[Message], dict[str, Any] | None]:
        if order.stateless:
            return Session(id=uuid.uuid4().hex, user=order.user), order.history, None
        if order.session is None:
            return Session(id=uuid.uuid4().hex, user=order.user), [], None
        return await self.sessions.begin(order.user, order.session, order.decisions, order.paused)

    def _turn(
        self, order: Order, run: LiveRun, session: Session, history: list[Message], model: str
    ) -> Turn:
        fresh: list[Message] = []
        if order.message is not None:
            order.message.at = now()
            fresh.append(order.message)
        system = self._system()
        return Turn(
            run=run.id,
            session=session.id,
            user=order.user,
            system=f"{system}\n\n{order.system}" if order.system else system,
            history=self.sessions.fitting(history, self._context.get(model)),
            streaming=order.streaming,
            overrides=order.overrides,
            tool_choice=order.tool_choice,
            foreign=order.foreign,
            may_wait=not order.stateless,
            fresh=fresh,
        )

    # -- carrying out ---------------------------------------------------------------------------

    async def _carry_out(
        self,
        run: LiveRun,
        order: Order,
        turn: Turn,
        session: Session,
        model: ChatModel,
        pause: dict[str, Any] | None,
        leave: Callable[[], None],
    ) -> None:
        run_context.set({"run_id": run.id, "session_id": run.session})
        sharing = asyncio.create_task(self._share(run)) if self._store.shared else None
        try:
            await self._answer(run, order, turn, session, model, pause)
        except Problem as problem:
            self._fail(run, turn, problem)
        except Exception as error:
            self._fail(run, turn, self._problem(error, run))
        finally:
            leave()
            if sharing is not None:
                sharing.cancel()
            _tell(run, turn, model.key)
            await self._remember(run)

    async def _answer(
        self,
        run: LiveRun,
        order: Order,
        turn: Turn,
        session: Session,
        model: ChatModel,
        pause: dict[str, Any] | None,
    ) -> None:
        attributes = {
            "run_id": run.id,
            "session_id": session.id,
            "user_id": order.user,
            "metadata": order.metadata,
        }
        text = order.message.text() if order.message else ""
        with self._spans.run(attributes, order.traceparent, text) as span:
            if trace := span.trace_id():
                run_context.set({**run_context.get(), "trace_id": trace})
            try:
                async with asyncio.timeout(self._limits.run_seconds):
                    if pause is not None:
                        await self._loop.resume(turn, pause, order.decisions or {}, run.log)
                    answer = await self._loop.run(turn, model, run.log)
            except BaseException as error:
                problem = self._problem(error, run)
                if not order.stateless:
                    await self._keep_broken(turn, session, pause)
                await self._spend(order.user, turn.usage)
                raise problem from None
            span.finished(answer.text, answer.finish)
        await self._spend(order.user, turn.usage)
        pending = self._pending(run, turn, answer.pause) if answer.pause else None
        if not order.stateless:
            await self.sessions.end(session, turn, pending, pause)
        self._succeed(run, turn, answer, pending)

    def _pending(self, run: LiveRun, turn: Turn, pause: Pause) -> dict[str, Any]:
        """Write down calls that wait: enough to go on after a restart, on any replica."""
        last = turn.fresh[-1]
        order = [call.id for call in getattr(last, "calls", [])]
        return {
            "run_id": run.id,
            "expires": self._clock() + self._limits.approval_seconds,
            "order": order,
            "done": [
                {"id": r.id, "name": r.name, "content": r.content, "outcome": r.outcome}
                for r in pause.done
            ],
            "calls": [
                {
                    "id": item.call.id,
                    "name": item.call.name,
                    "arguments": item.call.arguments,
                    "type": item.type,
                }
                for item in pause.waiting
            ],
        }

    def _succeed(
        self, run: LiveRun, turn: Turn, answer: Answer, pending: dict[str, Any] | None
    ) -> None:
        run.status = "waiting" if pending else "succeeded"
        run.foreign = answer.foreign
        usage = turn.usage.body()
        run.result = {
            "session_id": run.session,
            "run_id": run.id,
            "output": answer.text,
            "tool_calls": turn.calls,
            "usage": usage,
            "finish_reason": answer.finish,
        }
        if pending:
            shown = self.sessions.shown_pending(pending)
            run.result["pending"] = shown
            run.log.emit("approval_required", {"run_id": run.id, **shown})
        run.log.emit("usage", usage)
        run.log.emit(
            "done",
            {
                "run_id": run.id,
                "session_id": run.session,
                "finish_reason": answer.finish,
                "output": answer.text,
            },
        )

    def _fail(self, run: LiveRun, turn: Turn, problem: Problem) -> None:
        problem.run_id = run.id
        run.problem = problem
        run.status = "cancelled" if run.cancelled else "failed"
        usage = turn.usage.body()
        run.result = {
            "session_id": run.session,
            "run_id": run.id,
            "output": "".join(turn.spoken),
            "tool_calls": turn.calls,
            "usage": usage,
            "finish_reason": "cancelled" if run.cancelled else "error",
            "error": problem.body(),
        }
        run.log.emit("usage", usage)
        run.log.emit(
            "error",
            {
                "code": problem.code,
                "message": problem.detail,
                "retryable": problem.may_retry,
                "run_id": run.id,
                "session_id": run.session,
            },
        )

    def _problem(self, error: BaseException, run: LiveRun) -> Problem:
        """Say in our words why a run ended early; count what was not the caller's doing."""
        if isinstance(error, Problem):
            return error
        if isinstance(error, ModelError):
            return self._model_problem(error)
        if isinstance(error, TimeoutError):
            cause, code = "timeout", "timeout"
            detail = f"the run took longer than {self._limits.run_seconds:g} s"
        elif isinstance(error, StoreError):
            cause, code = "memory", "memory_unavailable"
            detail = "the conversation store does not answer"
        elif isinstance(error, asyncio.CancelledError) and run.cancelled:
            cause, code, detail = "cancelled", "cancelled", "somebody cancelled the run"
        elif isinstance(error, asyncio.CancelledError):
            cause, code, detail = "cancelled", "draining", "the replica stopped; ask again"
        else:
            log.error("run %s failed", run.id, exc_info=error)
            cause, code, detail = "internal", "internal", "the run failed; the log tells more"
        self._metrics.count("agent_request_errors_total", cause)
        return Problem(code, detail)

    def _model_problem(self, error: ModelError) -> Problem:
        log.warning("the model failed: %s (status %s)", error, error.status)
        self._metrics.count(
            "agent_request_errors_total", "timeout" if error.kind == "timeout" else "model"
        )
        if error.kind == "timeout":
            return Problem("timeout", "the model did not answer in time", error.retry_after)
        if error.kind == "context":
            return Problem("context_too_long", "the model's context window is too small for it")
        if error.kind in ("refused", "authentication"):
            return Problem("model_refused", "the model's provider refused the request")
        what = {
            "rate_limited": "the model's provider has too many requests",
            "connection": "the connection to the model was lost",
            "invalid": "the model's answer could not be read",
        }.get(error.kind, "the model's provider failed")
        return Problem("model_failed", what, error.retry_after)

    async def _keep_broken(
        self, turn: Turn, session: Session, pause: dict[str, Any] | None
    ) -> None:
        """Keep what a failed run has done, if it did anything that cannot be undone."""
        try:
            await asyncio.shield(self.sessions.end_broken(session, turn, pause))
        except (StoreError, Problem) as error:
            log.warning("the turn of a failed run was not kept: %s", error)

    async def _spend(self, user: str, usage: Usage) -> None:
        try:
            await self._quotas.spend(user, usage.input_tokens + usage.output_tokens, usage.cost_usd)
        except StoreError as error:
            log.warning("usage was not counted: %s", error)

    # -- ending, sharing ------------------------------------------------------------------------

    async def _remember(self, run: LiveRun) -> None:
        self._live.pop(run.id, None)
        self._mark(run, -1)
        self._ended[run.id] = run
        self._ended_bytes += run.log.size
        while len(self._ended) > MOST_ENDED or self._ended_bytes > MOST_ENDED_BYTES:
            _, oldest = self._ended.popitem(last=False)
            self._ended_bytes -= oldest.log.size
        seconds = self._limits.approval_seconds if run.status == "waiting" else KEPT_SECONDS
        try:
            await asyncio.shield(self._put(run, seconds))
        except StoreError as error:
            log.warning("the run was not kept: %s", error)

    async def _put(self, run: LiveRun, seconds: float) -> None:
        events = run.log.after(run.shared) if self._store.shared else []
        if run.status != "running" and run.ended is None:
            run.ended = self._clock()
        await self._store.put_run(
            Run(
                id=run.id,
                user=run.user,
                session=run.session,
                status=run.status,
                created=run.created,
                ended=run.ended,
                result=run.result,
            ),
            events,
            seconds,
        )
        if events:
            run.shared = events[-1].id

    async def _share(self, run: LiveRun) -> None:
        """Tell other replicas of a run that goes on, and stop it when they say so."""
        while True:
            await asyncio.sleep(SHARE_SECONDS)
            try:
                if run.log.last_id > run.shared:
                    await self._put(run, KEPT_SECONDS)
                if await self._store.is_cancel_asked(run.id):
                    self._stop(run)
            except StoreError as error:
                log.warning("events were not shared: %s", error)

    def _stop(self, run: LiveRun) -> None:
        if run.task is not None and not run.task.done() and not run.cancelled:
            run.cancelled = True
            run.task.cancel()

    def _mark(self, run: LiveRun, by: int) -> None:
        key = (run.user, run.session)
        count = self._active.get(key, 0) + by
        if count:
            self._active[key] = count
        else:
            self._active.pop(key, None)
        self._metrics.set("agent_active_sessions", len(self._active))

    # -- asking ---------------------------------------------------------------------------------

    async def get(self, user: str, run: str) -> Run:
        """Return the state of a user's run.

        Raises:
            Problem: there is none.
        """
        live = self.local(user, run)
        if live is not None:
            return Run(
                id=live.id,
                user=user,
                session=live.session,
                status=live.status,
                created=live.created,
                ended=live.ended,
                result=live.result,
            )
        kept = await self._store.get_run(run)
        if kept is None or kept.user != user:
            raise Problem("run_not_found", "it never was, is not yours, or is no longer kept")
        return kept

    def local(self, user: str, run: str) -> LiveRun | None:
        """Return a user's run of this replica."""
        live = self._live.get(run) or self._ended.get(run)
        return live if live is not None and live.user == user else None

    async def follow(
        self, user: str, run: str, after: int, idle: float | None = None
    ) -> AsyncIterator[list[Event]]:
        """Return the events of a run behind one, as they come, wherever it is carried out.

        Raises:
            Problem: there is no such run, or the events are no longer kept.
        """
        live = self.local(user, run)
        if live is None:
            await self.get(user, run)
            return self._follow_elsewhere(user, run, after, idle)
        if after + 1 < live.log.first_id:
            raise Problem("events_gone", f"the oldest event kept is {live.log.first_id}")
        return live.log.follow(after, idle)

    async def _follow_elsewhere(
        self, user: str, run: str, after: int, idle: float | None
    ) -> AsyncIterator[list[Event]]:
        quiet = 0.0
        while True:
            ended = (await self.get(user, run)).status != "running"
            fresh = await self._store.get_events(run, after)
            if fresh:
                after = fresh[-1].id
                quiet = 0.0
                yield fresh
            if ended:
                return
            await asyncio.sleep(FOLLOW_SECONDS)
            quiet += FOLLOW_SECONDS
            if idle is not None and quiet >= idle:
                quiet = 0.0
                yield []

    async def cancel(self, user: str, run: str) -> Run:
        """Stop a run, wherever it is carried out.

        Raises:
            Problem: there is none, or it has ended.
        """
        state = await self.get(user, run)
        if state.status == "waiting":
            await self.sessions.drop_pending(user, state.session, run)
            state = replace(state, status="cancelled", ended=self._clock())
            await self._store.put_run(state, [], KEPT_SECONDS)
            if (live := self.local(user, run)) is not None:
                live.status = "cancelled"
            return state
        if state.status != "running":
            raise Problem("run_ended", f"the run has {state.status}")
        live = self.local(user, run)
        if live is not None:
            self._stop(live)
        else:
            await self._store.ask_cancel(run, KEPT_SECONDS)
        return replace(state, status="cancelling")

    async def decide(
        self, user: str, run: str, decisions: dict[str, dict[str, Any]], order: Order
    ) -> LiveRun:
        """Go on with a paused run, in a run of its own, as a person decided.

        Raises:
            Problem: it does not wait (any more), or the decisions are not those that it waits for.
        """
        state = await self.get(user, run)
        if state.status != "waiting":
            raise Problem("approval_used", f"the run has {state.status}")
        order.session, order.decisions, order.model = state.session, decisions, None
        order.paused = run
        started = await self.start(order)
        await self._store.put_run(
            replace(state, status="resumed", ended=self._clock()), [], KEPT_SECONDS
        )
        if (live := self.local(user, run)) is not None:
            live.status = "resumed"
        return started

    # -- stopping -------------------------------------------------------------------------------

    @property
    def running(self) -> int:
        """Count the runs that go on here."""
        return len(self._live)

    async def drain(self, seconds: float) -> None:
        """Let runs end; those that do not in time end with an event that says where to go on."""
        until = time.monotonic() + seconds
        # Connections that are open may bring runs until the last moment.
        while (tasks := self._tasks()) and (left := until - time.monotonic()) > 0:
            await asyncio.wait(tasks, timeout=left)
        late = self._tasks()
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=5)

    def _tasks(self) -> list[asyncio.Task[None]]:
        return [run.task for run in self._live.values() if run.task is not None]


def _tell(run: LiveRun, turn: Turn, model: str) -> None:
    """Log how a run ended, without a word of what was said."""
    log.info(
        "run %s",
        run.status,
        extra={
            "model": model,
            "finish_reason": run.result.get("finish_reason"),
            "duration_ms": round((time.time() - run.created) * 1000, 1),
            "input_tokens": turn.usage.input_tokens,
            "output_tokens": turn.usage.output_tokens,
        },
    )
