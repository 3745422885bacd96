"""Executes one run that is held: steps when they are ready, every change written before and after it happens."""

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import orjson

from fleetform_runtime.store import StoreError
from fleetform_runtime.workflows import expressions
from fleetform_runtime.workflows.asking import asked, schema
from fleetform_runtime.workflows.calls import Answer, Caller, CallError, Message
from fleetform_runtime.workflows.records import (
    Event,
    Reason,
    StepState,
    WorkflowRun,
    event,
    shown_step,
)
from fleetform_runtime.workflows.settings import Definition, Step, StepAgent
from fleetform_runtime.workflows.spans import FlowSpans, NoSpans
from fleetform_runtime.workflows.store import Claim, LostError, StoppedError, WorkflowStore

log = logging.getLogger(__name__)

MOST_CRASHES = 10
"""Times that an agent may end under a step, before the step has failed."""
LARGEST_OUTPUT = 1024 * 1024
"""Bytes of what a step keeps, and of the result of a run, as JSON."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds before the first attempt after one that failed; each further one is twice as long."""
STORE_PAUSE = 0.5
"""Seconds between two tries to reach a store that is away."""


class Told(Protocol):
    """Is told of failed runs."""

    async def tell(self, run: WorkflowRun) -> bool:
        """Tell of a run; return whether it was taken."""


class Observer(Protocol):
    """Counts what happens."""

    def step(self, name: str, state: StepState, seconds: float) -> None:
        """A step is over."""

    def attempt(self, name: str, outcome: str) -> None:
        """An attempt at a step is over."""

    def run(self, run: WorkflowRun, seconds: float) -> None:
        """A run is over."""

    def takeover(self) -> None:
        """Somebody else had begun the run."""

    def fenced(self) -> None:
        """A write came too late."""

    def notified(self, outcome: str) -> None:
        """The webhook has taken a notice, or has not."""


@dataclass(frozen=True, slots=True)
class Around:
    """What all runs of a workflow share."""

    store: WorkflowStore
    caller: Caller
    agents: Callable[[str], StepAgent | None]
    notifier: Told | None
    observer: Observer
    lease: float
    spans: FlowSpans = field(default_factory=NoSpans)


class _Ended(Exception):  # noqa: N818 - how a run ends is no error
    """The run is over before all of its steps are."""

    def __init__(self, reason: Reason, message: str, summary: str = "") -> None:
        super().__init__(message)
        self.reason: Reason = reason
        self.summary = summary or message


class Execution:
    """One run, from where it stands to its end."""

    def __init__(self, around: Around, claim: Claim, hurry: asyncio.Event) -> None:
        """Take a run that is held; once `hurry` is set, it looks at once whether it shall end."""
        self._around = around
        self._hurry = hurry
        self._claim = claim
        self._run = claim.found.run
        self._plan: Definition = self._run.plan
        self._steps = {
            step.name: claim.found.steps.get(step.name, StepState()) for step in self._plan.steps
        }
        self._offset = claim.now - asyncio.get_running_loop().time()
        self._stop = claim.found.stop
        self._stopped = asyncio.Event()
        if self._stop:
            self._stopped.set()
        self._writing = asyncio.Lock()
        self._gives_up = False
        """Whether nobody will want the answers of agents that are still at work."""

    async def run(self) -> WorkflowRun:
        """Carry the run to its end, and return it.

        Raises:
            LostError: somebody else holds it now; nothing that was asked of agents is taken back.
        """
        holding = asyncio.create_task(self._hold())
        working = asyncio.create_task(self._work())
        try:
            done, _ = await asyncio.wait([holding, working], return_when=asyncio.FIRST_COMPLETED)
            if working not in done:
                await holding  # raises
            return await working
        except LostError:
            self._around.observer.fenced()
            raise
        finally:
            for task in (holding, working):
                task.cancel()
            await asyncio.gather(holding, working, return_exceptions=True)

    # -- the lease ---------------------------------------------------------------------------------

    async def _hold(self) -> None:
        """Renew the lease until it is lost; learn whether the run shall end."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._around.lease / 3):
                    await self._hurry.wait()
            self._hurry.clear()
            try:
                stop = await self._around.store.renew(self._claim, self._around.lease)
            except StoreError as error:
                log.warning("the store of workflows does not answer: %s", error)
                continue
            if stop:
                self._stop = stop
                self._stopped.set()

    def now(self) -> float:
        """Return the store's clock."""
        return self._offset + asyncio.get_running_loop().time()

    # -- the run -----------------------------------------------------------------------------------

    async def _work(self) -> WorkflowRun:
        if self._run.phase in ("Pending", "Running"):
            await self._begin()
            with self._around.spans.run(self._run.name, self._run.trace) as span:
                try:
                    await self._finish("Succeeded", output=await self._until_over())
                except _Ended as ended:
                    span.failed(ended.reason)
                    await self._finish("Failed", ended)
        return await self._close()

    async def _begin(self) -> None:
        takeovers = self._run.takeovers + (self._run.phase == "Running")
        started = self._run.started if self._run.started is not None else self.now()
        phase = self._run.phase
        if phase == "Running":
            self._around.observer.takeover()
        await self._write(
            replace(self._run, phase="Running", started=started, takeovers=takeovers),
            kind="run" if phase == "Pending" else "takeover",
            phase="Running",
        )

    async def _until_over(self) -> dict[str, Any]:
        """Run all steps within the time of the run, and return its result.

        Raises:
            _Ended: it is over before.
        """
        assert self._run.started is not None
        left = self._run.started + self._plan.timeout_seconds - self.now()
        steps = asyncio.create_task(self._all_steps())
        stopped = asyncio.create_task(self._stopped.wait())
        try:
            await asyncio.wait(
                [steps, stopped], timeout=max(0.0, left), return_when=asyncio.FIRST_COMPLETED
            )
            if steps.done():
                await steps
                return self._result()
            if self._stopped.is_set():
                raise self._asked_to_end(self._stop)
            took = f"the run took longer than {self._plan.timeout_seconds:g} s"
            raise self._given_up("Timeout", took)
        finally:
            for task in (steps, stopped):
                task.cancel()
            await asyncio.gather(steps, stopped, return_exceptions=True)

    def _given_up(self, reason: Reason, message: str, summary: str = "") -> _Ended:
        """Return how the run ends before all of its steps are over."""
        self._gives_up = True
        return _Ended(reason, message, summary)

    def _asked_to_end(self, stop: str) -> _Ended:
        """Return how a run ends that somebody has asked to end."""
        reason: Reason = "Replaced" if stop == "Replaced" else "Cancelled"
        return self._given_up(reason, _STOPPED[reason])

    async def _all_steps(self) -> None:
        """Start every step as soon as it may be, until all of them are over."""
        running: dict[asyncio.Task[None], Step] = {}
        try:
            while True:
                for step in self._ready([*running.values()]):
                    running[asyncio.create_task(self._step(step))] = step
                if not running:
                    return
                done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    del running[task]
                    await task
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    def _ready(self, running: list[Step]) -> list[Step]:
        """Return the steps that begin now: those of which others were at work go first, then in their order."""
        found: list[Step] = []
        begun = {step.name for step in running}
        waiting = [
            step
            for step in self._plan.steps
            if step.name not in begun
            and not self._steps[step.name].is_over
            and all(self._steps[name].is_over for name in step.depends_on)
        ]
        waiting.sort(key=lambda step: self._steps[step.name].phase != "Running")
        for step in waiting:
            beside = [*running, *found]
            resumed = self._steps[step.name].phase == "Running"
            if resumed or not beside or (step.parallel and all(one.parallel for one in beside)):
                found.append(step)
        return found

    def _result(self) -> dict[str, Any]:
        """Return the result of a run whose steps are all over."""
        phases = {step.phase for step in self._steps.values()}
        if "Succeeded" not in phases:
            raise _Ended("StepFailed", "no step has succeeded")
        try:
            output = {
                name: self._filled_if_there(value) for name, value in self._plan.output.items()
            }
        except expressions.AbsentError as error:
            raise _Ended("OutputMissing", f"output: {error}") from None
        if len(orjson.dumps(output)) > LARGEST_OUTPUT:
            raise _Ended("OutputTooLarge", f"output: it has more than {LARGEST_OUTPUT} bytes")
        return output

    def _filled_if_there(self, value: Any) -> Any:
        """Fill a member of the result in; what failed steps have not given is null."""
        if isinstance(value, dict):
            return {name: self._filled_if_there(item) for name, item in value.items()}
        missing = any(self._steps[name].phase != "Succeeded" for name in expressions.steps(value))
        return None if missing else expressions.filled(value, self._data())

    def _data(self) -> dict[str, Any]:
        steps = {
            name: {"output": step.outputs}
            for name, step in self._steps.items()
            if step.phase == "Succeeded"
        }
        return {"input": self._run.input, "steps": steps}

    # -- a step ------------------------------------------------------------------------------------

    async def _step(self, step: Step) -> None:
        """Carry a step to its end.

        Raises:
            _Ended: it has failed, and the run with it.
        """
        needed = expressions.steps(step.input)
        if lacking := sorted(n for n in needed if self._steps[n].phase != "Succeeded"):
            why = f"it needs the output of {', '.join(lacking)}"
            await self._over(step, replace(self._steps[step.name], phase="Skipped", code="skipped", error=why))  # fmt: skip
            return
        while True:
            try:
                answer = await self._attempt(step)
                outputs = _outputs(step, answer.value)
            except CallError as error:
                if not await self._again(step, error):
                    return
                continue
            self._around.observer.attempt(step.name, "succeeded")
            state = replace(
                self._steps[step.name],
                phase="Succeeded",
                outputs=outputs,
                usage=dict(answer.usage),
                task=answer.task,
                code="",
                error="",
            )
            await self._over(step, state)
            return

    async def _attempt(self, step: Step) -> Answer:
        """Ask the agent: again with the same id if whoever held the run before has asked already."""
        agent = self._around.agents(step.agent)
        if agent is None:
            raise CallError("no_agent", f"the workflow has no agent {step.agent}", may_retry=False)
        try:
            data = expressions.filled(step.input, self._data())
        except expressions.AbsentError as error:
            raise CallError("input_missing", f"input: {error}", may_retry=False) from None
        state = self._steps[step.name]
        if state.again is not None:
            await asyncio.sleep(max(0.0, state.again - self.now()))
        if state.phase != "Running" or state.again is not None:
            state = replace(
                state,
                phase="Running",
                tries=state.tries + 1,
                started=state.started if state.started is not None else self.now(),
                asked=self.now(),
                again=None,
                waited=0.0,
                task="",
            )
            await self._note(step, state, goes_on=True)
        wanted = schema(self._plan, step)
        message = Message(
            f"{self._run.id}.{step.name}.{state.tries}",
            asked(self._run.name, step, None if agent.schemas else wanted),
            data,
            wanted,
            self._run.trace,
            self._run.user,
        )
        with self._around.spans.step(step.name, step.agent, state.tries) as span:
            try:
                return await self._in_time(step, agent, message)
            except CallError as error:
                span.failed(error.code)
                refused = error
        raise refused

    async def _in_time(self, step: Step, agent: StepAgent, message: Message) -> Answer:
        """Wait for an answer as long as the step may take, without the time in which a person is waited for."""
        changed, is_late = asyncio.Event(), False

        def waiting(does: bool, task: str) -> None:
            state = self._steps[step.name]
            if does and state.waits is None:
                state = replace(state, waits=self.now())
                log.warning(
                    "run %s, step %s waits for a person: task %s at %s", self._run.name, step.name, task, agent.url,
                    extra={"workflow_run": self._run.name, "step": step.name},
                )  # fmt: skip
            elif not does and state.waits is not None:
                state = replace(state, waits=None, waited=state.waited + self.now() - state.waits)
            self._steps[step.name] = replace(state, task=task or state.task)
            changed.set()

        asking = asyncio.create_task(self._around.caller.ask(agent, message, waiting))
        try:
            while not asking.done():
                left = self._left(step)
                watch = asyncio.create_task(changed.wait())
                await asyncio.wait(
                    [asking, watch], timeout=left, return_when=asyncio.FIRST_COMPLETED
                )
                watch.cancel()
                if changed.is_set():
                    changed.clear()
                    await self._note(step, self._steps[step.name])
                elif not asking.done():
                    is_late = True
                    took = f"it took longer than {step.timeout_seconds:g} s"
                    raise CallError("timeout", took, may_retry=True)
            return await asking
        finally:
            task = self._steps[step.name].task
            if not asking.done():
                asking.cancel()
                await asyncio.gather(asking, return_exceptions=True)
                if task and (is_late or self._gives_up):
                    await self._around.caller.cancel(agent, task, self._run.user)

    def _left(self, step: Step) -> float | None:
        state = self._steps[step.name]
        if step.timeout_seconds is None or state.asked is None or state.waits is not None:
            return None
        return max(0.0, state.asked + state.waited + step.timeout_seconds - self.now())

    async def _again(self, step: Step, error: CallError) -> bool:
        """Note an attempt that failed; return whether there is another one.

        Raises:
            _Ended: there is none, and the run has failed with the step.
        """
        state = replace(
            self._steps[step.name], waits=None, code=error.code, error=str(error), phase="Running"
        )
        self._around.observer.attempt(step.name, "crashed" if error.crashed else "failed")
        if error.crashed and state.crashes < MOST_CRASHES:
            await self._note(step, replace(state, crashes=state.crashes + 1, again=self.now()))
            return True
        state = replace(state, failures=state.failures + 1)
        if error.may_retry and state.failures <= step.retries:
            wait = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** (state.failures - 1))
            wait = max(wait * random.uniform(0.5, 1.0), error.after or 0.0)  # noqa: S311
            await self._note(step, replace(state, again=self.now() + wait))
            return True
        await self._over(step, replace(state, phase="Failed"))
        if self._plan.on_step_failure == "fail":
            summary = f"step {step.name}: {error.code}"
            raise self._given_up("StepFailed", f"{summary}: {error}", summary)
        return False

    async def _over(self, step: Step, state: StepState) -> None:
        began = state.started if state.started is not None else self.now()
        state = replace(state, ended=self.now(), waits=None, again=None)
        await self._note(step, state)
        self._around.observer.step(step.name, state, state.ended - began if state.ended else 0.0)

    # -- the end -----------------------------------------------------------------------------------

    async def _finish(self, phase: str, ended: _Ended | None = None, *, output: Any = None) -> None:
        """Note how the run has ended; it is held until the webhook knows, too."""
        assert phase in ("Succeeded", "Failed")
        left = {
            name: replace(step, phase="Failed", code="cancelled", error=_CUT_OFF, ended=self.now(), waits=None)
            for name, step in self._steps.items()
            if step.phase == "Running"
        }  # fmt: skip
        reason: Reason = ended.reason if ended is not None else ""
        tells = reason not in ("", "Cancelled", "Replaced") and self._plan.notify
        run = replace(
            self._run,
            phase="Succeeded" if phase == "Succeeded" else "Failed",
            reason=reason,
            message=str(ended or ""),
            summary=ended.summary if ended is not None else "",
            output=output or {},
            ended=self.now(),
            notice="due" if tells else "",
        )
        await self._write(
            run,
            left,
            kind="run",
            ends=not tells,
            goes_on=phase == "Succeeded",
            phase=phase,
            reason=reason,
        )

    async def _close(self) -> WorkflowRun:
        if self._run.notice == "due":
            notifier = self._around.notifier
            was_told = notifier is not None and await notifier.tell(self._run)
            outcome = "told" if was_told else "lost"
            self._around.observer.notified(outcome)
            run = replace(self._run, notice="told" if was_told else "lost")
            await self._write(run, kind="notification", ends=True, outcome=outcome)
        run = self._run
        self._around.observer.run(run, (run.ended or 0.0) - run.created)
        return run

    # -- writes ------------------------------------------------------------------------------------

    async def _note(self, step: Step, state: StepState, *, goes_on: bool = False) -> None:
        shown = shown_step(step.name, state)
        log.info(
            "run %s, step %s: %s%s", self._run.name, step.name, state.phase, f", {state.code}" if state.code else "",
            extra={"workflow_run": self._run.name, "step": step.name},
        )  # fmt: skip
        await self._write(self._run, {step.name: state}, kind="step", goes_on=goes_on, **shown)

    async def _write(
        self,
        run: WorkflowRun,
        steps: dict[str, StepState] | None = None,
        *,
        kind: str,
        ends: bool = False,
        goes_on: bool = False,
        **data: Any,
    ) -> None:
        """Keep a change, however long the store is away.

        Raises:
            LostError: somebody else holds the run now.
            _Ended: the run `goes_on` with it, and somebody has asked that it ends.
        """
        async with self._writing:
            number = self._run.events + 1
            run = replace(run, events=number)
            told = [event(number, kind, **data)]
            while True:
                try:
                    await _whole(self._keep(run, steps or {}, told, ends=ends, goes_on=goes_on))
                    break
                except StoppedError as stopped:
                    raise self._asked_to_end(stopped.reason) from None
                except StoreError as error:
                    log.warning("the store of workflows does not answer: %s", error)
                    await asyncio.sleep(STORE_PAUSE)

    async def _keep(
        self, run: WorkflowRun, steps: dict[str, StepState], told: list[Event], **how: bool
    ) -> None:
        await self._around.store.write(self._claim, run, steps, told, **how)
        self._run = run
        self._steps |= steps


async def _whole(work: Coroutine[Any, Any, None]) -> None:
    """Do something to its end, even for one who is cancelled meanwhile: what comes next has to know what is kept."""
    task = asyncio.create_task(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


_STOPPED = {"Replaced": "a newer run has taken its place", "Cancelled": "it was cancelled"}
_CUT_OFF = "the run was over before it"


def _outputs(step: Step, value: Any) -> dict[str, Any]:
    """Return what a step keeps of an answer, whose paths begin with `.result`.

    Raises:
        CallError: a path leads nowhere, or it is too much.
    """
    answer = value if isinstance(value, dict) and "result" in value else {"result": value}
    try:
        found = {item.name: expressions.at(answer, item.path) for item in step.output}
    except expressions.AbsentError as error:
        raise CallError("output_missing", f"the answer: {error}", may_retry=True) from None
    if len(orjson.dumps(found)) > LARGEST_OUTPUT:
        too_much = f"what it keeps has more than {LARGEST_OUTPUT} bytes"
        raise CallError("output_too_large", too_much, may_retry=False)
    return found
