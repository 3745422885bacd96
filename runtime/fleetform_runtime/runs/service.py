"""The life of a run in this replica: admit, start, execute, resume, cancel, drain."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from fleetform_runtime.access.approvers import Approving
from fleetform_runtime.access.gate import Gate
from fleetform_runtime.access.identity import Identity
from fleetform_runtime.access.quotas import Quotas
from fleetform_runtime.messages import Message, Usage, moment, now
from fleetform_runtime.models import ChatModel
from fleetform_runtime.problems import HttpProblem, not_kept
from fleetform_runtime.runs import notices, outcomes
from fleetform_runtime.runs.decisions import Decider
from fleetform_runtime.runs.live import LiveRun, Order
from fleetform_runtime.runs.log import RunLog
from fleetform_runtime.runs.loop import Loop
from fleetform_runtime.runs.notices import Notices
from fleetform_runtime.runs.registry import Registry, not_found
from fleetform_runtime.runs.sessions import Sessions
from fleetform_runtime.runs.structured import REPAIRS, Wanted, wanted
from fleetform_runtime.runs.turn import Turn
from fleetform_runtime.runs.variants import Variant, Variants, conversation
from fleetform_runtime.sections.access import Limits
from fleetform_runtime.store import Event, Pause, Run, Session, StoreError
from fleetform_runtime.telemetry import variant as telemetry
from fleetform_runtime.telemetry.logs import run_context
from fleetform_runtime.telemetry.metrics import Metrics
from fleetform_runtime.telemetry.traces import Spans
from fleetform_runtime.tools import UNNAMED

if TYPE_CHECKING:
    from fleetform_runtime.memories.remembering import Remembering

log = logging.getLogger(__name__)

UNTOLD_SECONDS = 90.0
"""Seconds that the replica on which a run pauses has to tell of it, before the one that sweeps does."""
STARTING_SECONDS = 0.05
"""Seconds between looks at orders that become runs while the process drains."""


class Runs:
    """All operations on runs."""

    def __init__(
        self,
        *,
        sessions: Sessions,
        registry: Registry,
        loop: Loop,
        decider: Decider,
        models: dict[str, ChatModel],
        offered: Sequence[str],
        variants: Variants,
        limits: Limits,
        warm: Collection[str] = (),
        gate: Gate,
        quotas: Quotas,
        metrics: Metrics,
        spans: Spans,
        approving: Approving,
        notices: Notices | None = None,
        remembering: Remembering | None = None,
        wanted: Wanted | None = None,
        keeps: bool = True,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.sessions = sessions
        self.registry = registry
        self._loop = loop
        self._decider = decider
        self._models = models
        self.models = {key: models[key] for key in offered}
        """Those that callers may choose."""
        self._warm = warm
        """Keys of models that take a temperature."""
        self._variants = variants
        self._limits = limits
        self._gate = gate
        self._quotas = quotas
        self._metrics = metrics
        self._spans = spans
        self._wanted = wanted
        self._approving = approving
        self._notices = notices
        self.remembering = remembering
        self._keeps = keeps
        self._clock = clock
        self._starting = 0
        """Orders that wait in the queue, or for the store."""

    # -- starting --------------------------------------------------------------------------------

    async def start(self, order: Order) -> LiveRun:
        """Admit an order and start its run.

        Raises:
            HttpProblem: it is refused; nothing has happened then.
        """
        self._starting += 1
        try:
            return await self._started(order)
        finally:
            self._starting -= 1

    async def _started(self, order: Order) -> LiveRun:
        if not self._keeps:
            self._stand_alone(order)
        model = self.model(order.model) if order.model else None
        await self._quotas.admit(order.user)
        leave = await self._gate.enter(order.user)
        pause = None
        try:
            session, history, pause = await self._prepared(order)
            key = conversation(order) if order.stateless else session.id
            variant, session = self._variants.of(session, key)
            telemetry.told(variant.name)
            chosen = model or self._models.get(session.model) or self._models[variant.model]
            run = LiveRun(
                order.id or uuid.uuid4().hex,
                order.user,
                session.id,
                RunLog(),
                created=self._clock(),
                replica=self.registry.replica,
                kept=self._keeps,
                alone=order.stateless,
                resumed=_resumed(order),
                origin=order.origin,
                variant=variant.name,
            )
            if order.message is not None:
                order.message.at = now()
            session = self._warmed(replace(session, model=chosen.key), order.temperature)
            if order.id is None:  # else whoever claimed its name has stored it
                await self.registry.put(run)
            if not order.stateless:
                async with self.registry.opening(run):
                    session = await self.sessions.opened(
                        session, run.id, order.message, order.retry_of
                    )
            turn = self._turn(order, run, session, history, variant, pause)
        except BaseException:
            leave()
            if pause is not None:
                await self._release(order, pause)
            raise
        self.registry.begin(run)
        if order.callers:
            self._metrics.called(order.callers[-1])
        shown = {
            "run_id": run.id,
            "session_id": run.shown_session,
            "model": chosen.key,
            **run.resumed,
        }
        run.log.emit("run_start", shown)
        work = self._carry_out(run, order, turn, session, chosen, pause, leave)
        run.task = asyncio.create_task(work)
        return run

    async def _release(self, order: Order, pause: dict[str, Any]) -> None:
        """Let the calls of a paused run be decided again: nothing was done about them."""
        try:
            await asyncio.shield(self.sessions.release(order.user, str(order.session), pause))
        except (StoreError, HttpProblem) as error:
            log.warning("the decision on run %s stays taken: %s", order.paused, error)

    def _stand_alone(self, order: Order) -> None:
        """Let an order need nothing that was kept, nor keep anything."""
        if order.session is not None or order.retry_of is not None:
            raise not_kept("omit session_id and retry_of, and send all that the answer depends on")
        order.stateless = True

    @property
    def keeps(self) -> bool:
        """Whether anything is kept from one request to the next."""
        return self._keeps

    def now(self) -> float:
        """Return seconds since 1970."""
        return self._clock()

    def begun(self, session: Session) -> Session:
        """Return a new session with its variant, and that one's model if it has none of its own choice."""
        variant, session = self._variants.of(session, session.id)
        return session if session.model else replace(session, model=variant.model)

    def model(self, key: str) -> ChatModel:
        """Return a model from the specification's list.

        Raises:
            HttpProblem: it is not on the list.
        """
        found = self.models.get(key)
        if found is None:
            raise HttpProblem("model_not_found", f"models: {', '.join(self.models)}")
        return found

    def check_temperature(self, key: str) -> None:
        """Check that a model, or the default one, takes a temperature.

        Raises:
            HttpProblem: it does not.
        """
        if (key or self._variants.base.model) not in self._warm:
            raise HttpProblem("invalid_fields", "temperature: the model takes none")

    def _warmed(self, session: Session, temperature: float | None) -> Session:
        if temperature is None:
            return session
        self.check_temperature(session.model)
        return replace(session, temperature=temperature)

    def _overrides(self, session: Session) -> dict[str, Any]:
        """Return how a session's model is asked; what was chosen for another one that took it does not count."""
        if session.temperature is None or session.model not in self._warm:
            return {}
        return {"temperature": session.temperature}

    async def decide(
        self, identity: Identity, run: str, decisions: dict[str, dict[str, Any]], order: Order
    ) -> LiveRun:
        """Continue a paused run, in a new run of whoever asked, as a human decided.

        Raises:
            HttpProblem: it is not waiting (any more), the decisions do not match its pending calls, or
                somebody else decides.
        """
        if not self._keeps:
            raise not_kept("no run waits for approval")
        state = await self.seen(identity, run)
        if not self._approving.may_decide(identity, state.user, state.result):
            detail = "an approver decides on this; POST /runs/{id}/cancel withdraws it"
            raise HttpProblem("forbidden", detail, run_id=run)
        if state.status != "waiting":
            raise HttpProblem("approval_used", f"the run has {state.status}")
        pause = await self.sessions.pause(state.user, state.session, run, decisions)
        await self._decider.check(pause, decisions)
        order.user, order.session, order.model = state.user, state.session, None
        order.opens = None
        order.origin = order.origin or _origin_after(state)
        order.decisions, order.paused = decisions, run
        if self._approving.is_by_others:
            order.decided_by = identity.user
        started = await self.start(order)
        resumed = self._decided(state, order, started)
        await self.registry.change(resumed)
        await self.registry.point(started)
        if self._notices is not None:
            by = resumed.result["decision"]["by"]
            self._notices.tell("decided", run, {"asked_by": state.user, "decided_by": by})
        return started

    def _decided(self, state: Run, order: Order, started: LiveRun) -> Run:
        """Return what has become of a paused run."""
        at = self._clock()
        by = order.decided_by or state.user
        decision = {"by": by, "at": moment(at), "run_id": started.id}
        result = state.result | {"decision": decision}
        return replace(state, status="resumed", ended=at, result=result)

    async def _prepared(self, order: Order) -> tuple[Session, list[Message], dict[str, Any] | None]:
        if order.stateless:
            return Session(id=order.opens or uuid.uuid4().hex, user=order.user), order.history, None
        if order.session is None and order.retry_of is None:
            return Session(id=order.opens or uuid.uuid4().hex, user=order.user), [], None
        if order.retry_of is not None:
            await self._take_again(order)
        try:
            return await self.sessions.begin(
                order.user, str(order.session), order.decisions, order.paused
            )
        except HttpProblem as problem:
            if order.opens is None or problem.code != "session_not_found":
                raise
            return Session(id=order.opens, user=order.user), [], None

    async def _take_again(self, order: Order) -> None:
        """Let an order ask what was asked in a run of the caller's that broke off.

        Raises:
            HttpProblem: there is no such run, or it cannot be tried again.
        """
        run = str(order.retry_of)
        if order.session is None:
            order.session = (await self.registry.get(order.user, run)).session
        order.message = await self.sessions.asked(order.user, order.session, run)

    def _turn(
        self,
        order: Order,
        run: LiveRun,
        session: Session,
        history: list[Message],
        variant: Variant,
        pause: dict[str, Any] | None,
    ) -> Turn:
        fresh = self.sessions.parked(pause)
        if order.message is not None:
            fresh.append(order.message)
        callers = _callers(pause) if pause else order.callers
        return Turn(
            run=run.id,
            session=session.id,
            user=order.user,
            system=f"{variant.system}\n\n{order.system}" if order.system else variant.system,
            without=variant.without,
            history=self.sessions.recent(history),
            streaming=order.streaming,
            stored=None if order.stateless else session,
            overrides=self._overrides(session) | order.overrides,
            tool_choice=order.tool_choice,
            foreign=order.foreign,
            callers=callers,
            may_wait=not order.stateless,
            # An agent that calls stands for many people, and a client of /v1 keeps what is said itself.
            remembers=self.remembering is not None and not order.stateless and not callers,
            fresh=fresh,
            wanted=self._what_is_wanted(order, pause),
        )

    def _what_is_wanted(self, order: Order, pause: dict[str, Any] | None) -> Wanted | None:
        """Return what the answer must be: as the caller says, said before a pause, or the specification does."""
        if order.wanted is not None or not pause or "schema" not in pause:
            return order.wanted or self._wanted
        return wanted(pause["schema"], self._wanted.repairs if self._wanted else REPAIRS)

    # -- execution -------------------------------------------------------------------------------

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
        telemetry.opened(run.variant)
        told = {"run_id": run.id, "session_id": run.session, "caller": run.user}
        if run.variant:
            told["variant"] = run.variant
        run_context.set(told | run.resumed)
        sharing = self.registry.sharing(run)
        try:
            await self._answer(run, order, turn, session, model, pause)
        except HttpProblem as problem:
            outcomes.fail(run, turn, problem)
        except (Exception, asyncio.CancelledError) as error:
            outcomes.fail(run, turn, self._problem(error, run))
        finally:
            leave()
            if sharing is not None:
                sharing.cancel()
            outcomes.tell(run, turn, model.key)
            await self.registry.end(run, self._limits.approval_seconds)

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
            "decided_by": order.decided_by,
            "callers": ",".join(turn.callers),
            "variant": run.variant,
        }
        text = order.message.text() if order.message else ""
        with self._spans.run(attributes, order.traceparent, text) as span:
            if trace := span.trace_id():
                run_context.set({**run_context.get(), "trace_id": trace})
            try:
                async with asyncio.timeout(self._limits.run_seconds):
                    again = None
                    if self.remembering is not None:
                        await self.remembering.recall(turn)
                    if pause is not None:
                        decisions = order.decisions or {}
                        again = await self._decider.apply(turn, pause, decisions, run.log)
                    answer = again or await self._loop.run(turn, model, run.log)
            except BaseException as error:
                problem = self._problem(error, run)
                if not order.stateless:
                    await self._keep_broken(turn, session, pause)
                await self._spend(order.user, turn.usage)
                raise problem from None
            span.finished(answer.text, answer.finish)
        await self._spend(order.user, turn.usage)
        waiting = None
        if answer.pause is not None:
            since = self._clock()
            expires = since + self._limits.approval_seconds
            waiting = outcomes.pending(run.id, turn, answer.pause, since, expires)
        if not order.stateless:
            await self.sessions.end(session, turn, waiting, pause)
        outcomes.succeed(run, turn, answer, waiting)
        if waiting is None and self.remembering is not None:
            self.remembering.hear(session, turn, answer)
        if waiting is not None:
            shown = run.result["pending"]
            self._tell_waiting(
                Pause(
                    run=run.id,
                    user=session.user,
                    session=session.id,
                    since=waiting["since"],
                    expires=waiting["expires"],
                ),
                shown,
            )

    def _tell_waiting(self, pause: Pause, shown: dict[str, Any]) -> None:
        """Tell the webhook, if there is one, that a run waits, and remember it once that is done."""
        if self._notices is not None:
            said = notices.waiting(shown, pause.user, pause.session, pause.since)
            told = partial(self.sessions.was_told, pause)
            self._notices.tell("waiting", pause.run, said, told)

    def _problem(self, error: BaseException, run: LiveRun) -> HttpProblem:
        return outcomes.problem_of(error, run, self._limits.run_seconds, self._metrics)

    async def _keep_broken(
        self, turn: Turn, session: Session, pause: dict[str, Any] | None
    ) -> None:
        """Store what a failed run has done, if any of it cannot be undone."""
        try:
            await asyncio.shield(self.sessions.end_broken(session, turn, pause))
        except (StoreError, HttpProblem) as error:
            log.warning("the turn of a failed run was not stored: %s", error)

    async def _spend(self, user: str, usage: Usage) -> None:
        try:
            await self._quotas.spend(user, usage.input_tokens + usage.output_tokens, usage.cost_usd)
        except StoreError as error:
            log.warning("usage was not counted: %s", error)

    async def admit(self, user: str) -> None:
        """Count a request that is no run, and asks a model nevertheless.

        Raises:
            HttpProblem: a quota is exhausted.
        """
        await self._quotas.admit(user)

    async def quota(self, user: str) -> dict[str, dict[str, float]]:
        """Return what a user may ask for, and what of it is left, by quota."""
        try:
            return await self._quotas.left(user)
        except StoreError as error:
            log.warning("what is left of quotas is not known: %s", error)
            return {}

    @property
    def warm(self) -> list[str]:
        """Return the models that callers may choose and that take a temperature."""
        return [key for key in self.models if key in self._warm]

    # -- queries, cancellation
    # ----------------------------------------------------------------------

    async def seen(self, identity: Identity, run: str) -> Run:
        """Return the state of a run that a caller may know of: its own, or one that an approver decides on.

        Raises:
            HttpProblem: for this caller there is no such run.
        """
        found = await self.registry.find(run)
        if found is None or not self._approving.may_see(identity, found.user, found.result):
            raise not_found()
        return found

    async def waiting(self, identity: Identity) -> list[dict[str, Any]]:
        """Return the runs that wait for a person: the caller's own, and those that it may decide on."""
        own = await self.sessions.waiting(identity.user)
        if not self._approving.is_by_others:
            return own
        decides = self._approving.may_decide
        own = [
            item | {"may_decide": decides(identity, identity.user, {"pending": item})}
            for item in own
        ]
        if not self._approving.knows(identity):
            return own
        return own + [
            item | {"may_decide": True}
            for item in await self.sessions.paused()
            if item["asked_by"] != identity.user
            and decides(identity, item["asked_by"], {"pending": item})
        ]

    async def follow(
        self, user: str, run: str, after: int, idle: float | None = None
    ) -> AsyncIterator[list[Event]]:
        """Return the events of a user's run after one."""
        return await self.registry.follow(user, run, after, idle)

    async def cancel(self, identity: Identity, run: str) -> Run:
        """Cancel a run of the caller, wherever it is executed.

        Raises:
            HttpProblem: there is no such run, it has ended, or is somebody else's to cancel.
        """
        state, user = await self.seen(identity, run), identity.user
        if state.user != user:
            detail = "whoever asked may cancel it; refuse its calls instead"
            raise HttpProblem("forbidden", detail, run_id=run)
        if state.status == "waiting":
            await self._decider.withdraw(await self.sessions.drop_pending(user, state.session, run))
            return await self._cancelled(state)
        if state.status != "running":
            raise HttpProblem("run_ended", f"the run has {state.status}")
        await self.registry.ask_cancel(user, run)
        return replace(state, status="cancelling")

    async def _cancelled(self, state: Run) -> Run:
        """Let a run that waits end, and return it."""
        if self._notices is not None:
            self._notices.tell("cancelled", state.id, {"asked_by": state.user})
        state = replace(state, status="cancelled", ended=self._clock())
        await self.registry.change(state)
        return state

    async def stop(self, user: str) -> None:
        """Cancel all runs of a user in this process, and wait for their ends."""
        mine = [run for run in self.registry.running if run.user == user]
        for run in mine:
            run.stop()
        if tasks := [run.task for run in mine if run.task is not None]:
            await asyncio.wait(tasks)

    async def delete_session(self, user: str, name: str, *, memories: bool = False) -> None:
        """Delete a session, and cancel its runs; with `memories` also delete what was learned in it.

        Raises:
            HttpProblem: there is no such session.
        """
        if self.remembering is not None:
            self.remembering.learning.drop(user, name)
            if memories:
                await self.remembering.forget_session(user, name)
        waiting, running = await self.sessions.delete(user, name)
        for pause in waiting:
            state = await self.registry.find(pause["run_id"])
            if state is not None and state.status == "waiting":
                await self._cancelled(state)
            await self._decider.withdraw(pause)
        for run in running:
            await self.registry.ask_cancel(user, run)

    async def expire(self) -> int:
        """Close what nobody has decided in time, and tell what could not be told; return how much was closed."""
        closed = await self.sessions.expire(self._ended)
        if self._notices is not None:
            for pause, shown in await self.sessions.untold(self._clock() - UNTOLD_SECONDS):
                self._tell_waiting(pause, shown)
        return closed

    async def _ended(self, pause: dict[str, Any]) -> None:
        run = pause["run_id"]
        state = await self.registry.find(run)
        if state is not None and state.status == "waiting":
            ended = replace(state, status="cancelled", ended=self._clock())
            await self.registry.change(ended)
        if self._notices is not None and not pause.get("claimed"):
            self._notices.tell("expired", run, {})
        await self._decider.withdraw(pause)

    async def drain(self, seconds: float) -> None:
        """Let runs finish; those that do not in time end with an event that says how to continue."""
        until = time.monotonic() + seconds
        # Open connections and the queue may start runs until the last moment.
        while ((tasks := self._tasks()) or self._starting) and (
            left := until - time.monotonic()
        ) > 0:
            if tasks:
                await asyncio.wait(tasks, timeout=left)
            else:
                await asyncio.sleep(min(left, STARTING_SECONDS))
        for run in self.registry.running:
            if run.task is not None and run.status == "running":
                run.task.cancel()
        if late := self._tasks():
            await asyncio.wait(late, timeout=5)
        if self.remembering is not None:
            await self.remembering.drain(until - time.monotonic())

    def _tasks(self) -> list[asyncio.Task[None]]:
        return [run.task for run in self.registry.running if run.task is not None]


def _callers(pause: dict[str, Any]) -> tuple[str, ...]:
    """Return the agents that called each other before a run that paused; earlier versions kept their number."""
    return tuple(pause.get("callers", (UNNAMED,) * pause.get("hops", 0)))


def _origin_after(state: Run) -> dict[str, Any]:
    """Return what the run that goes on from another one is known by: it is of the same task."""
    return {"task": state.origin["task"]} if "task" in state.origin else {}


def _resumed(order: Order) -> dict[str, str]:
    """Return what a run tells of the one that it goes on from."""
    if not order.decided_by:
        return {}
    return {"resumes": str(order.paused), "decided_by": order.decided_by}
