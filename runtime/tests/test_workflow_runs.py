"""Runs of workflows: order, data, failures, times, and what is left of a run that somebody else goes on with."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pytest

from fleetform_runtime.secrets import Secrets
from fleetform_runtime.store import StoreError, UnreadableRecordError
from fleetform_runtime.workflows import worker
from fleetform_runtime.workflows.calls import Answer, CallError
from fleetform_runtime.workflows.execution import Around
from fleetform_runtime.workflows.notice import Notifier
from fleetform_runtime.workflows.records import document
from fleetform_runtime.workflows.settings import Definition, Notification
from fleetform_runtime.workflows.store import LostError
from fleetform_runtime.workflows.store.build import build
from fleetform_runtime.workflows.worker import Worker, executed
from runtime.tests.harness import until
from runtime.tests.servers import PATIENCE
from runtime.tests.workflows import overwrite, run, unreadable, workflow

pytestmark = pytest.mark.anyio
LONG = 600.0


class Nobody:
    """Counts nothing."""

    def __getattr__(self, name):
        return lambda *given: None


@dataclass
class Agents:
    """Agents that answer by a function of step and data, remember every task, and count what they are asked."""

    answer: Any = None
    asked: Counter = field(default_factory=Counter)
    order: list[str] = field(default_factory=list)
    tasks: dict[str, Any] = field(default_factory=dict)
    cancelled: list[str] = field(default_factory=list)
    running: set[str] = field(default_factory=set)
    beside: list[set[str]] = field(default_factory=list)

    async def ask(self, agent, message, waiting):
        step = message.id.split(".")[1]
        waiting(False, message.id)
        if message.id not in self.tasks:
            self.asked[step] += 1
            self.order.append(step)
            self.tasks[message.id] = asyncio.ensure_future(self._perform(step, message, waiting))
        return await asyncio.shield(self.tasks[message.id])

    async def _perform(self, step, message, waiting):
        self.running.add(step)
        self.beside.append({*self.running})
        try:
            found = self.answer(step, message) if self.answer else {"result": f"{step} done"}
            value = await found if asyncio.iscoroutine(found) else found
        finally:
            self.running.discard(step)
        return value if isinstance(value, Answer) else Answer(value, f"task-{message.id}")

    async def cancel(self, agent, task, user):
        self.cancelled.append(task.split(".")[1])
        self.tasks[task].cancel()

    async def close(self):
        pass


class Workflow:
    """A store, agents, and whoever executes runs."""

    def __init__(self, agents, lease=LONG, notifier=None, memory=None, **definition):
        self.settings = workflow(memory, definition=definition)
        self.definition = self.settings.definition.model_dump(
            by_alias=True, exclude_unset=True, mode="json"
        )
        self.agents = agents
        self.store = build(self.settings, Secrets({}))
        self.around = Around(self.store, agents, self.settings.agent, notifier, Nobody(), lease)

    async def submit(self, name="r", **given):
        await self.store.submit(run(name, definition=self.definition, input=given), 9, "queue")

    async def execute(self, name="r", **given):
        await self.submit(name, **given)
        claim = await self.store.claim(f"w-{name}", self.around.lease, 9)
        return await self.shown(await executed(self.around, claim))

    async def shown(self, ended):
        found = await self.store.get(ended.name)
        assert found.run.phase == ended.phase
        return document(found.run, found.steps, "report", "demo")["status"] | {"kept": found.steps}


def step(name, *after, **more):
    return {"name": name, "agent": "writer", "dependsOn": [*after]} | more


def failing(times, code="model_failed", **how):
    """Answer after some failures."""
    left = [times]

    def answer(name, message):
        left[0] -= 1
        if left[0] >= 0:
            raise CallError(code, "not now", **{"may_retry": True} | how)
        return {"result": "at last"}

    return answer


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch):
    monkeypatch.setattr("fleetform_runtime.workflows.execution.FIRST_PAUSE", 0.0)


async def test_the_result_is_made_of_what_steps_have_answered():
    heard = {}

    def answer(name, message):
        heard[name] = message.data
        return (
            {"result": {"rows": [{"a": 1}], "n": 2.5}} if name == "one" else "prose {{ .input.n }}"
        )

    steps = [
        step(
            "one",
            input={"n": "{{ .input.n }}", "text": "n is {{.input.n}} in {{ .input.list }}"},
            output=[{"name": "rows", "path": ".result.rows"}, {"name": "all", "path": ".result"}],
        ),
        step(
            "two",
            "one",
            input={
                "rows": "{{ .steps.one.output.rows }}",
                "first": "{{ .steps.one.output.rows.0.a }}",
                "said": "{{ .steps.one.output.rows }} of {{ .input.x }}",
            },
            output=[{"name": "text", "path": ".result"}],
        ),
    ]
    output = {
        "text": "{{ .steps.two.output.text }}",
        "deep": {"n": "{{ .steps.one.output.all.n }}"},
    }
    made = Workflow(Agents(answer), steps=steps, output=output)
    status = await made.execute(n=3, list=[1], x="x")
    assert status["phase"] == "Succeeded"
    assert heard["one"] == {"n": 3, "text": "n is 3 in [1]"}
    assert heard["two"] == {"rows": [{"a": 1}], "first": 1, "said": '[{"a":1}] of x'}
    assert status["output"] == {"text": "prose {{ .input.n }}", "deep": {"n": 2.5}}
    assert [item["type"] for item in status["conditions"]] == [
        "Initialized",
        "Running",
        "Succeeded",
    ]
    assert [item["phase"] for item in status["steps"]] == ["Succeeded", "Succeeded"]


async def test_only_parallel_steps_run_beside_others():
    async def slowly(name, message):
        await asyncio.sleep(0.02)
        return {"result": name}

    agents = Agents(slowly)
    steps = [
        step("first"),
        step("a", "first", parallel=True),
        step("b", "first", parallel=True),
        step("alone", "first"),
        step("c", "first", parallel=True),
        step("last", "a", "b", "c", "alone"),
    ]
    status = await Workflow(agents, steps=steps).execute()
    assert status["phase"] == "Succeeded"
    assert {"a", "b", "c"} in agents.beside
    assert all(len(beside) == 1 for beside in agents.beside if {"alone", "first", "last"} & beside)
    assert agents.order[0] == "first"
    assert agents.order[-1] == "last"


@pytest.mark.parametrize(
    ("times", "how", "retries", "phase", "asked"),
    [
        (2, {}, 2, "Succeeded", 3),
        (3, {}, 2, "Failed", 3),
        (1, {"may_retry": False}, 9, "Failed", 1),
        (4, {"code": "interrupted", "crashed": True}, 0, "Succeeded", 5),
        (99, {"code": "interrupted", "crashed": True}, 1, "Failed", 12),
    ],
)
async def test_a_failure_is_retried_as_often_as_is_said_and_a_crash_is_none(
    times, how, retries, phase, asked
):
    agents = Agents(failing(times, **how))
    status = await Workflow(agents, steps=[step("one", retries=retries)]).execute()
    assert (status["phase"], agents.asked["one"]) == (phase, asked)
    if phase == "Failed":
        assert status["reason"] == "StepFailed"
        assert status["steps"][0]["error"]["code"] == how.get("code", "model_failed")
        assert "step one" in status["message"]


async def test_an_answer_without_what_is_kept_is_the_models_fault_and_asked_again():
    answers = iter(["no JSON", {"result": {"other": 1}}, {"result": {"x": 7}}])
    agents = Agents(lambda name, message: next(answers))
    steps = [step("one", retries=2, output=[{"name": "x", "path": ".result.x"}])]
    status = await Workflow(
        agents, steps=steps, output={"x": "{{ .steps.one.output.x }}"}
    ).execute()
    assert (status["phase"], status["output"]) == ("Succeeded", {"x": 7})
    assert len({*agents.tasks}) == 3


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ({"x": "{{ .steps.one.output.y.z }}"}, "OutputMissing"),
        ({"x": "{{ .steps.one.output.big }}"}, "OutputTooLarge"),
    ],
)
async def test_a_result_that_cannot_be_made_fails_the_run(output, reason):
    agents = Agents(lambda name, message: {"result": {"y": {}, "big": "x" * 600_000}})
    kept = [{"name": name, "path": f".result.{name}"} for name in ("y", "big")]
    output = output | (
        {"again": "{{ .steps.one.output.big }}"} if reason == "OutputTooLarge" else {}
    )
    status = await Workflow(agents, steps=[step("one", output=kept)], output=output).execute()
    assert (status["phase"], status["reason"]) == ("Failed", reason)
    assert "output" not in status


async def test_with_continue_what_needs_a_failed_step_is_skipped_and_the_rest_goes_on():
    def answer(name, message):
        if name == "bad":
            raise CallError("model_refused", "no", may_retry=False)
        return {"result": name}

    kept = [{"name": "x", "path": ".result"}]
    steps = [
        step("good", output=kept, parallel=True),
        step("bad", output=kept, parallel=True),
        step("after", "bad", output=kept),
        step("needs", "bad", input={"x": "{{ .steps.bad.output.x }}"}, output=kept),
        step("needs-too", "needs", input={"x": "{{ .steps.needs.output.x }}"}),
    ]
    output = {
        name.replace("-", "_"): f"{{{{ .steps.{name}.output.x }}}}"
        for name in ("good", "bad", "after", "needs")
    }
    status = await Workflow(
        Agents(answer), steps=steps, output=output, onStepFailure="continue"
    ).execute()
    phases = {item["name"]: item["phase"] for item in status["steps"]}
    assert phases == {
        "good": "Succeeded",
        "bad": "Failed",
        "after": "Succeeded",
        "needs": "Skipped",
        "needs-too": "Skipped",
    }
    assert status["phase"] == "Succeeded"
    assert status["output"] == {"good": "good", "bad": None, "after": "after", "needs": None}


async def test_nothing_but_failures_is_no_success():
    agents = Agents(failing(9, may_retry=False))
    status = await Workflow(agents, steps=[step("one")], onStepFailure="continue").execute()
    assert (status["phase"], status["reason"]) == ("Failed", "StepFailed")


async def forever(name, message):
    await asyncio.Event().wait()


async def test_a_failed_step_ends_the_others_and_their_tasks():
    async def answer(name, message):
        if name == "bad":
            await asyncio.sleep(0.02)
            raise CallError("model_refused", "no", may_retry=False)
        await asyncio.Event().wait()

    agents = Agents(answer)
    steps = [step("slow", parallel=True), step("bad", parallel=True), step("never", "slow")]
    status = await Workflow(agents, steps=steps).execute()
    assert [item["phase"] for item in status["steps"]] == ["Failed", "Failed", "Pending"]
    assert status["steps"][0]["error"]["code"] == "cancelled"
    assert agents.cancelled == ["slow"]


async def test_a_step_and_a_run_that_take_too_long_end_and_so_do_their_tasks():
    agents = Agents(forever)
    steps = [step("one", timeoutSeconds=0.05, retries=1)]
    status = await Workflow(agents, steps=steps).execute()
    assert (status["reason"], status["steps"][0]["error"]["code"]) == ("StepFailed", "timeout")
    assert agents.cancelled == ["one", "one"]
    agents = Agents(forever)
    status = await Workflow(agents, steps=[step("one")], timeoutSeconds=0.05).execute()
    assert (status["phase"], status["reason"], agents.cancelled) == ("Failed", "Timeout", ["one"])


async def test_while_a_person_is_waited_for_the_time_of_a_step_stands_still():
    class Slow(Agents):
        async def ask(self, agent, message, waiting):
            waiting(True, message.id)
            await asyncio.sleep(0.3)
            waiting(False, message.id)
            return Answer({"result": 1}, message.id)

    made = Workflow(Slow(), steps=[step("one", timeoutSeconds=0.1)])
    await made.submit()
    claim = await made.store.claim("w", LONG, 9)
    task = asyncio.create_task(executed(made.around, claim))

    async def waits():
        found = await made.store.get("r")
        shown = document(found.run, found.steps, "report", "demo")["status"]
        return shown["steps"][0].get("reason") == "WaitingForPerson" and "WaitingForPerson" in str(
            shown["conditions"]
        )

    while not await waits():
        await asyncio.sleep(0.01)
    assert (await task).phase == "Succeeded"


@pytest.mark.parametrize(
    ("asked", "reason"), [("Cancelled", "Cancelled"), ("Replaced", "Replaced")]
)
async def test_a_run_is_ended_from_elsewhere(asked, reason):
    agents = Agents(forever)
    made = Workflow(agents, lease=0.3, steps=[step("one")])
    await made.submit()
    claim = await made.store.claim("w", 0.3, 9)
    task = asyncio.create_task(executed(made.around, claim))
    await until(lambda: agents.running)
    assert await made.store.stop("r", asked)
    ended = await task
    assert (ended.phase, ended.reason, agents.cancelled) == ("Failed", reason, ["one"])
    assert await made.store.claim("w2", LONG, 9) is None


@pytest.mark.parametrize(
    ("last", "fails", "phases"),
    [
        ("one", False, ["Succeeded", "Pending"]),
        ("one", True, ["Failed", "Pending"]),
        ("two", False, ["Succeeded", "Succeeded"]),
    ],
)
async def test_once_it_was_asked_to_end_no_step_begins_and_it_does_not_succeed(last, fails, phases):
    """Its lease is long: it does not look by itself before the step is over."""

    async def answer(name, message):
        if name == last:
            assert await made.store.stop("r", "Cancelled")
            if fails:
                raise CallError("model_failed", "not now", may_retry=True)
        return {"result": name}

    agents = Agents(answer)
    made = Workflow(agents, steps=[step("one", retries=3), step("two", "one")])
    status = await made.execute()
    assert (status["phase"], status["reason"]) == ("Failed", "Cancelled")
    assert [item["phase"] for item in status["steps"]] == phases
    assert agents.order == ["one", "two"][: 1 + (last == "two")]
    assert [one.kind for one in await made.store.events("r", 0)][-1] == "run"


async def test_what_is_being_kept_as_a_run_ends_is_no_loss(monkeypatch):
    """A step begins, and the run ends before the store has said that it has kept that."""
    made = Workflow(Agents(), steps=[step("one")])
    write, renew = made.store.write, made.store.renew
    begun, answers, looked, hurry = (asyncio.Event() for _ in range(4))

    async def slow(claim, run, steps, *given, **named):
        await write(claim, run, steps, *given, **named)
        if "one" in steps and not begun.is_set():
            begun.set()
            await answers.wait()

    async def looks(*given):
        stop = await renew(*given)
        looked.set()
        return stop

    monkeypatch.setattr(made.store, "write", slow)
    monkeypatch.setattr(made.store, "renew", looks)
    await made.submit()
    claim = await made.store.claim("w", LONG, 9)
    task = asyncio.create_task(executed(made.around, claim, hurry))
    await begun.wait()
    assert await made.store.stop("r", "Cancelled")
    hurry.set()
    await looked.wait()
    for _ in range(9):  # the run is told to end, and its steps are
        await asyncio.sleep(0)
    answers.set()
    status = await made.shown(await task)
    assert [item["phase"] for item in status["steps"]] == ["Failed"]
    told_of = [one.kind for one in await made.store.events("r", 0)]
    assert told_of == ["run", "step", "run"]


async def test_a_worker_that_is_woken_ends_at_once_what_shall_end():
    agents = Agents(forever)
    made = Workflow(agents, steps=[step("one")])
    for name in ("r", "other"):
        await made.submit(name)
    working = Worker(made.around, 9, LONG)
    working.start()
    await until(lambda: agents.asked["one"] == 2)
    assert await made.store.stop("r", "Cancelled")
    working.wake("r")

    async def has_ended():
        return (await made.store.get("r")).run.ended is not None

    await until(has_ended)
    assert (await made.store.get("r")).run.reason == "Cancelled"
    assert agents.cancelled == ["one"]
    assert (await made.store.get("other")).run.phase == "Running"
    await working.stop()


async def test_who_goes_on_with_a_run_asks_nobody_twice():
    go = asyncio.Event()

    async def when_told(name, message):
        await go.wait()
        return {"result": name}

    agents = Agents(when_told)
    made = Workflow(agents, lease=0.2, steps=[step("one"), step("two", "one")])
    await made.submit()
    claim = await made.store.claim("w1", 0.0, 9)
    first = asyncio.create_task(executed(made.around, claim))
    await until(lambda: agents.running)
    second = await made.store.claim("w2", LONG, 9)
    other = asyncio.create_task(executed(made.around, second))
    with pytest.raises(LostError):
        await first
    assert agents.cancelled == []
    go.set()
    ended = await other
    assert (ended.phase, ended.takeovers) == ("Succeeded", 1)
    assert agents.asked == {"one": 1, "two": 1}


async def test_a_store_that_is_away_for_a_while_fails_nothing(monkeypatch):
    monkeypatch.setattr("fleetform_runtime.workflows.execution.STORE_PAUSE", 0.001)
    agents = Agents()
    made = Workflow(agents, steps=[step("one"), step("two", "one")])
    await made.submit()
    claim = await made.store.claim("w", LONG, 9)
    write, count = made.store.write, [0]

    async def away(*given, **named):
        """Fail three times before each write, and lose the answer of every write once."""
        count[0] += 1
        if count[0] % 5 == 4:
            await write(*given, **named)
        if count[0] % 5:
            raise StoreError("away")
        await write(*given, **named)

    monkeypatch.setattr(made.store, "write", away)
    ended = await executed(made.around, claim)
    assert ended.phase == "Succeeded"
    numbers = [one.number for one in await made.store.events("r", 0)]
    assert numbers == [*range(1, len(numbers) + 1)]
    assert agents.asked == {"one": 1, "two": 1}


class Told:
    def __init__(self, takes=True):
        self.takes = takes
        self.told = []

    async def tell(self, run):
        self.told.append(run)
        return self.takes


@pytest.mark.parametrize("takes", [True, False])
async def test_a_failed_run_is_told_of_and_it_is_noted(takes):
    told = Told(takes)
    made = Workflow(
        Agents(failing(9, may_retry=False)), notifier=told, steps=[step("one")], notify=False
    )
    status = await made.execute()
    assert "notification" not in status
    settings = workflow(
        notification={"type": "slack", "url": {"env": "HOOK"}},
        definition={"steps": [step("one")], "notify": True},
    )
    made.definition = settings.definition.model_dump(by_alias=True, exclude_unset=True, mode="json")
    status = await made.execute("again")
    assert (status["phase"], status["notification"]) == ("Failed", "told" if takes else "lost")
    assert [run.name for run in told.told] == ["again"]


async def test_what_agents_say_is_shown_with_the_run_and_told_to_nobody_else():
    def answer(name, message):
        raise CallError("refused", "the patient <@everyone> has a secret", may_retry=False)

    told = Told()
    made = Workflow(Agents(answer), notifier=told, steps=[step("one")])
    hook = {"type": "slack", "url": {"env": "HOOK"}}
    settings = workflow(notification=hook, definition={"steps": [step("one")], "notify": True})
    made.definition = settings.definition.model_dump(by_alias=True, exclude_unset=True, mode="json")
    status = await made.execute()
    assert status["message"].endswith("has a secret")
    (run,) = told.told
    for kind in ("slack", "webhook"):
        notifier = Notifier(
            Notification(type=kind, url={"env": "HOOK"}), settings.workflow, Secrets({})
        )
        said = str(notifier._body(run))
        assert "step one: refused" in said
        assert "secret" not in said


async def test_a_worker_executes_what_there_is_up_to_the_limit():
    async def slowly(name, message):
        await asyncio.sleep(0.01)
        return {"result": 1}

    agents = Agents(slowly)
    made = Workflow(agents, steps=[step("one")])
    for number in range(9):
        await made.submit(f"r{number}")
    worker = Worker(made.around, 3, LONG)
    worker.start()

    async def phases():
        return Counter([found.run.phase for found in await made.store.page("", None, 99)])

    while (await phases())["Succeeded"] < 9:
        assert (await made.store.counts()).running <= 3
        await asyncio.sleep(0.005)
    await worker.stop()
    assert agents.asked["one"] == 9


async def test_a_run_that_cannot_be_read_does_not_end_the_worker(monkeypatch):
    monkeypatch.setattr(worker, "AWAY_SECONDS", 0.01)
    made, broken = Workflow(Agents(), steps=[step("one")]), [UnreadableRecordError("broken")]
    claim = made.store.claim

    async def claimed(*given):
        if broken:
            raise broken.pop()
        return await claim(*given)

    made.store.claim = claimed
    await made.submit("r")
    working = Worker(made.around, 9, LONG)
    working.start()
    async with asyncio.timeout(PATIENCE):
        while (await made.store.get("r")).run.phase != "Succeeded":
            await asyncio.sleep(0.01)
    await working.stop()


@pytest.mark.parametrize("how", [*unreadable("bad")])
async def test_a_worker_passes_over_runs_that_cannot_be_read(how, caplog):
    made = Workflow(Agents(), steps=[step("one")])
    for name in ("bad", "r"):
        await made.submit(name)
    await overwrite(made.store, "bad", unreadable("bad")[how])
    working = Worker(made.around, 1, LONG)
    working.start()

    async def has_succeeded():
        return (await made.store.get("r")).run.phase == "Succeeded"

    await until(has_succeeded)
    await working.stop()
    assert caplog.text.count("a run is set aside: run bad") == 1


async def test_a_worker_that_stops_leaves_its_runs_to_others_at_once():
    agents = Agents(forever)
    made = Workflow(agents, steps=[step("one")])
    await made.submit()
    worker = Worker(made.around, 3, LONG)
    worker.start()
    await until(lambda: agents.running)
    await worker.stop()
    assert agents.cancelled == []
    assert (await made.store.claim("w", LONG, 3)).name == "r"


def test_a_definition_is_read_as_it_was_written():
    made = Workflow(Agents(), steps=[step("one", timeoutSeconds=2)], output={"x": "{{ .input.x }}"})
    assert run("r", definition=made.definition).plan == made.settings.definition
    assert isinstance(made.settings.definition, Definition)
