"""The operations on tasks: each is of one user, and a task of another one does not exist for it."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request

from fleetform_runtime.a2a import people
from fleetform_runtime.a2a.errors import A2aError, invalid, no_task, of
from fleetform_runtime.a2a.parts import content
from fleetform_runtime.a2a.requests import Listing, Sending, token
from fleetform_runtime.a2a.tasks import shown
from fleetform_runtime.access.identity import Identity
from fleetform_runtime.http.answering import Answering, watched
from fleetform_runtime.http.chat import callers_of
from fleetform_runtime.messages import User
from fleetform_runtime.problems import HttpProblem
from fleetform_runtime.runs.live import LiveRun, Order
from fleetform_runtime.runs.registry import FOLLOW_SECONDS
from fleetform_runtime.runs.service import Runs
from fleetform_runtime.store import Event, Run

CANCEL_SECONDS = 5.0
"""Seconds to wait for the end of a task that is cancelled, before its state is told as it is."""
SNAPSHOT = "snapshot"
"""The event of a stream that has nothing to tell but how the task is."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, in which request."""

    identity: Identity
    request: Request

    @property
    def user(self) -> str:
        """Return the user."""
        return self.identity.user


@dataclass(frozen=True, slots=True)
class Followed:
    """A task, its last run, and the events of that run."""

    task: str
    run: Run
    events: AsyncIterator[list[Event]]
    live: LiveRun | None = None


class Tasks:
    """Sends messages, and shows, cancels and follows the tasks that answer them."""

    def __init__(self, runs: Runs, answering: Answering, hops: int) -> None:
        self._runs = runs
        self._hops = hops
        self._registry = runs.registry
        self._answering = answering

    async def send(self, caller: Caller, sending: Sending) -> dict[str, Any]:
        """Send a message; return its task, once it has ended or needs a person, unless that is not wanted.

        Raises:
            A2aError: it is refused.
            HttpProblem: the same, by what is behind the protocol.
        """
        while True:
            task, run, is_new = await self._begun(caller, sending, streaming=False)
            if not sending.waits:
                state = await self._registry.find(run)
            else:
                state = await self._waited(caller, run, is_new=is_new)
            if state is not None:
                return shown(task, state, sending.modes)

    async def stream(self, caller: Caller, sending: Sending, idle: float) -> Followed:
        """Send a message; return the events of the run that answers it."""
        while True:
            task, run, is_new = await self._begun(caller, sending, streaming=True)
            state = await self._last(run)
            if state is not None:
                return await self._followed(caller.user, task, state, idle, all_of_it=is_new)

    async def subscribe(self, caller: Caller, task: str, idle: float) -> Followed:
        """Return the events of a task that goes on.

        Raises:
            A2aError: there is no such task, or it has ended.
        """
        state = await self._task(caller.user, task)
        if state.status not in ("running", "waiting"):
            raise A2aError("UnsupportedOperationError", "the task has ended: get it")
        return await self._followed(caller.user, task, state, idle, all_of_it=False)

    async def get(self, caller: Caller, task: str) -> dict[str, Any]:
        """Return a task.

        Raises:
            A2aError: there is no such task.
        """
        return shown(task, await self._task(caller.user, task), [])

    async def list(self, caller: Caller, wanted: Listing) -> dict[str, Any]:
        """Return a page of the caller's tasks, those that changed last first."""
        found: list[tuple[Run, dict[str, Any]]] = []
        for first in await self._registry.tasks(caller.user):
            last = await self._last(str(first.origin.get("latest", first.id))) or first
            task = shown(first.id, last, [], artifacts=wanted.artifacts)
            if wanted.artifacts:
                task.setdefault("artifacts", [])
            if _is_wanted(task, wanted):
                found.append((first, task))
        found.sort(key=lambda pair: (pair[0].touched, pair[0].id), reverse=True)
        rest = found
        if (cursor := wanted.cursor) is not None:
            rest = [pair for pair in found if (pair[0].touched, pair[0].id) < cursor]
        page = rest[: wanted.size]
        return {
            "tasks": [task for _, task in page],
            "nextPageToken": token(page[-1][0]) if len(rest) > len(page) else "",
            "pageSize": wanted.size,
            "totalSize": len(found),
        }

    async def cancel(self, caller: Caller, task: str) -> dict[str, Any]:
        """Cancel a task; return it.

        Raises:
            A2aError: there is no such task.
            HttpProblem: it has ended.
        """
        state = await self._task(caller.user, task)
        state = await self._runs.cancel(caller.identity, state.id)
        if state.status == "cancelling":
            try:
                async with asyncio.timeout(CANCEL_SECONDS):
                    state = await self._ended(caller.user, state.id) or state
            except TimeoutError:
                state = await self._task(caller.user, task)
        return shown(task, state, [])

    # -- inside ------------------------------------------------------------------------------------

    async def _begun(
        self, caller: Caller, sending: Sending, *, streaming: bool
    ) -> tuple[str, str, bool]:
        """Begin the run that answers a message, once; return its task, its name, and whether this began it."""
        run = sending.run(caller.user)
        first = await self._first(caller.user, sending) if sending.task else None
        task, session = run, sending.context or uuid.uuid4().hex
        if first is not None:
            task, session = first.id, first.session
        order = Order(
            user=caller.user,
            message=None,
            streaming=streaming,
            callers=callers_of(caller.request, self._hops),
            traceparent=caller.request.headers.get("traceparent"),
            wanted=sending.wanted(),
            id=run,
            opens=session,
            origin={"task": task, "message": sending.print()},
        )
        if first is None:
            order.message = User(content(sending.message["parts"]))
            order.session = sending.context if self._runs.keeps else None
        claim = Run(
            id=run, user=caller.user, session=session, created=self._runs.now(), origin=order.origin
        )
        while not await self._registry.claim(claim):
            found = await self._known(caller.user, run)
            if found is not None:
                if found.origin.get("message") != sending.print():
                    what = "was the name of another message: each has its own"
                    raise invalid("message.messageId", what)
                return str(found.origin["task"]), run, False
        try:
            await self._start(caller, sending, order, first)
        except HttpProblem as problem:
            await self._registry.release(run, problem)
            raise
        except BaseException:
            await self._registry.release(run, None)
            raise
        return task, run, True

    async def _start(
        self, caller: Caller, sending: Sending, order: Order, first: Run | None
    ) -> None:
        if first is None:
            await self._runs.start(order)
            return
        state = await self._last(first.id)
        if state is None or state.status != "waiting":
            how = "is at work" if state and state.status == "running" else "has ended"
            said = f"the task {how}, and takes no message: begin another"
            raise of(HttpProblem("approval_used", said))
        await self._runs.decide(
            caller.identity, state.id, people.decisions(sending.message, state), order
        )

    async def _known(self, user: str, run: str) -> Run | None:
        """Return the run that answers a message that was sent before; None if it did not start after all."""
        await self._registry.started(run)
        found = await self._registry.find(run)
        if found is None:
            await asyncio.sleep(0)
        return found if found is not None and found.user == user else None

    async def _first(self, user: str, sending: Sending) -> Run:
        """Return the first run of the task that a message names."""
        found = await self._registry.find(str(sending.task))
        if found is None or found.user != user or not _is_task(found):
            raise no_task()
        if sending.context not in (None, found.session):
            raise invalid("message.contextId", "is not that of the task")
        return found

    async def _task(self, user: str, task: str) -> Run:
        """Return the last run of a task.

        Raises:
            A2aError: there is no such task.
        """
        found = await self._registry.find(task)
        if found is None or found.user != user or not _is_task(found):
            raise no_task()
        return await self._last(str(found.origin.get("latest", task))) or found

    async def _last(self, run: str) -> Run | None:
        """Return the last of the runs that went on from one."""
        state = await self._registry.find(run)
        while state is not None and state.status == "resumed":
            following = state.result.get("decision", {}).get("run_id")
            found = await self._registry.find(str(following))
            if found is None:
                break
            state = found
        return state

    async def _waited(self, caller: Caller, run: str, *, is_new: bool) -> Run | None:
        """Return a task's last run once it has ended or needs a person; None if it did not start after all."""
        if is_new:
            if live := self._registry.local(caller.user, run):
                await watched(caller.request, live)
            return await self._ended(caller.user, run)
        leave = self._answering.placed(caller.user)
        try:
            return await self._ended(caller.user, run)
        finally:
            leave()

    async def _ended(self, user: str, run: str) -> Run | None:
        while True:
            state = await self._last(run)
            live = self._registry.local(user, state.id) if state is not None else None
            if live is not None and live.task is not None and not live.task.done():
                await asyncio.wait([live.task])  # then other replicas know how it ended
            elif state is None or state.status not in ("running", "resumed"):
                return state
            elif not await self._registry.started(state.id):
                await asyncio.sleep(FOLLOW_SECONDS)

    async def _followed(
        self, user: str, task: str, state: Run, idle: float, *, all_of_it: bool
    ) -> Followed:
        live = self._registry.local(user, state.id)
        if state.status != "running" and not all_of_it:
            return Followed(task, state, _once(), live)
        try:
            events = await self._registry.follow(user, state.id, 0, idle)
        except HttpProblem as problem:
            if problem.code != "events_gone" or live is None:
                raise
            events = live.log.follow(live.log.first_id - 1, idle)
        return Followed(task, state, events, live)


def _is_task(run: Run) -> bool:
    """Whether a task is known by a run: others that went on from it are not; one of /chat is, though it is not listed."""
    return bool(run.origin.get("task", run.id) == run.id)


def _is_wanted(task: dict[str, Any], wanted: Listing) -> bool:
    status = task["status"]
    return (
        wanted.context in ("", task["contextId"])
        and wanted.state in ("", status["state"])
        and status["timestamp"] >= wanted.after
    )


async def _once() -> AsyncIterator[list[Event]]:
    yield [Event(1, SNAPSHOT, b"{}")]
