"""Who has begun a run is the user of the agents that it asks, where the workflow's key there is a gateway's."""

import asyncio
import json
import re
from contextlib import asynccontextmanager
from dataclasses import replace
from types import SimpleNamespace
from unittest.mock import AsyncMock

import pytest
from starlette.requests import Request

from fleetform_runtime.a2a.names import USER, on_behalf
from fleetform_runtime.messages import Assistant, ToolCall
from fleetform_runtime.problems import HttpProblem
from fleetform_runtime.secrets import Secrets
from fleetform_runtime.workflows.api import WorkflowApi, cursor
from fleetform_runtime.workflows.application import WorkflowApplication
from fleetform_runtime.workflows.calls import CallError
from fleetform_runtime.workflows.spans import taken
from runtime.tests.harness import Told, until
from runtime.tests.harness import serving as agents
from runtime.tests.servers import PATIENCE
from runtime.tests.test_access import AUTH, KEYS, as_
from runtime.tests.test_approvals import tools
from runtime.tests.upstreams import answers, upstream
from runtime.tests.workflows import run, workflow

pytestmark = pytest.mark.anyio
GATEWAY = {"type": "bearer", "token": {"env": "GATEWAY"}}


@asynccontextmanager
async def flow(agent, **entry):
    """Execute runs of one step beside the test; yield what begins one."""
    made = workflow(
        agents=[{"name": "writer", "url": f"{agent.url}/a2a", "auth": GATEWAY, **entry}],
        definition={
            "input": [{"name": "ask", "type": "string", "description": "x"}],
            "steps": [{"name": "one", "agent": "writer", "input": {"ask": "{{ .input.ask }}"}}],
        },
        auth=AUTH,
        concurrency={"maxConcurrent": 9},
    )
    application = WorkflowApplication(made, Secrets(KEYS))
    await application.open()
    try:
        yield application
    finally:
        await application.close()


async def begin(application, name, user):
    store = application._workflow.store
    definition = application._workflow.settings.definition.model_dump(
        by_alias=True, exclude_unset=True, mode="json"
    )
    await store.submit(
        run(name, user=user, input={"ask": "hello"}, definition=definition), 9, "queue"
    )
    application.worker.wake()
    return store


async def ended(store, name):
    async with asyncio.timeout(PATIENCE):
        while (found := await store.get(name)).run.ended is None:
            await asyncio.sleep(0.02)
    return found


async def tasks(agent, user):
    headers = as_("GATEWAY") | ({USER: user} if user else {})
    return (await agent.get("/a2a/tasks", headers=headers | {"A2A-Version": "1.0"})).json["tasks"]


@pytest.mark.parametrize("does", [True, False])
async def test_tasks_of_a_run_are_those_of_who_has_begun_it(does):
    async with agents(auth=AUTH, environment=KEYS) as agent, flow(agent, onBehalf=does) as made:
        for user in ("ann", "web/bob"):
            found = await ended(await begin(made, f"r-{user[-3:]}", user), f"r-{user[-3:]}")
            assert found.run.phase == "Succeeded"
        counts = [len(await tasks(agent, user)) for user in ("ann", "web/bob", "")]
    assert counts == ([1, 1, 0] if does else [0, 0, 2])


@asynccontextmanager
async def waiting():
    """Begin the run `r` of ann; yield its application, its store, the run once its step waits, and what is paid at."""
    pays = Assistant(calls=[ToolCall("call_1", "pay", '{"sum": 5}')])
    async with (
        upstream(answers({"paid": True})) as server,
        agents(
            auth=AUTH, environment=KEYS, tools=tools(server.url), make=Told(pays, Assistant("paid"))
        ) as agent,
        flow(agent, onBehalf=True) as made,
    ):
        store = await begin(made, "r", "ann")

        async def waits():
            state = (await store.get("r")).steps.get("one")
            return state is not None and state.waits is not None

        await until(waits)
        yield made, store, await store.get("r"), server


async def test_what_waits_is_said_shown_and_decided_in_the_name_of_the_same_user(caplog):
    async with waiting() as (made, store, found, server):
        caller, entry = made._workflow.caller, made._workflow.settings.agents[0]
        task = found.steps["one"].task
        assert task
        assert f"run r, step one waits for a person: task {task} at {entry.url}" in caplog.text
        with pytest.raises(CallError):
            await caller.pending(entry, task, "bob")
        (call,) = (await caller.pending(entry, task, "ann"))["calls"]
        decision = {"id": call["id"], "digest": call["digest"], "approved": True}
        with pytest.raises(CallError):
            await caller.decide(entry, task, "bob", [decision])
        await caller.decide(entry, task, "ann", [decision])
        assert (await ended(store, "r")).run.phase == "Succeeded"
        assert len(server.requests) == 1


def deciding(body):
    """Return a request that decides for the step `one` of the run `r`."""

    async def receive():
        return {"type": "http.request", "body": json.dumps(body).encode()}

    headers = [(b"content-type", b"application/json")]
    path = {"id": "r", "step": "one"}
    return Request({"type": "http", "path_params": path, "headers": headers}, receive)


async def test_why_an_agent_refuses_a_decision_is_said_as_on_the_agent_itself():
    async with waiting() as (made, store, as_it_waited, _):
        settings, caller = made._workflow.settings, made._workflow.caller
        task = as_it_waited.steps["one"].task
        (call,) = (await caller.pending(settings.agents[0], task, "ann"))["calls"]

        async def refused(**decision):
            """Return the refusal of a decision, by one who has not seen yet what has become of the step."""
            kept = SimpleNamespace(get=AsyncMock(return_value=as_it_waited))
            api = WorkflowApi(settings, kept, caller, lambda _: None)
            with pytest.raises(HttpProblem) as found:
                await api.decide(deciding({"decisions": [{"id": call["id"]} | decision]}))
            return found.value.code, found.value.status, found.value.may_retry, found.value.detail

        assert await refused(id="zz", approved=True) == (
            "invalid_fields",
            422,
            False,
            f"zz: there is no such call; {call['id']}: a decision is missing",
        )
        missing = f"{call['id']}: approved must be true or false"
        assert await refused() == ("invalid_fields", 422, False, missing)
        api = WorkflowApi(settings, store, caller, lambda _: None)
        right = deciding({"decisions": [{"id": call["id"], "approved": True}]})
        assert (await api.decide(right)).status_code == 202
        assert (await ended(store, "r")).run.phase == "Succeeded"
        late = "the task has ended, and takes no message: begin another"
        assert await refused(approved=True) == ("approval_used", 409, False, late)
        as_it_waited.steps["one"] = replace(as_it_waited.steps["one"], task="nowhere")
        code, status, may_retry, _ = await refused(approved=True)
        assert (code, status, may_retry) == ("conflict", 409, False)


def test_a_name_that_no_header_carries_is_a_hash_and_nobody_elses():
    assert on_behalf("") == {}
    assert on_behalf("web/ann") == {USER: "web/ann"}
    odd = [" ann", "ann ", "a\nX-Evil: 1", "a\x00", "x" * 257, "김" * 100]
    sent = [on_behalf(user)[USER] for user in odd]
    assert len({*sent}) == len(odd)
    assert all(one.startswith("sha256:") and one.isprintable() for one in sent)


@pytest.mark.parametrize("said", ["nan~x", "inf~x", "1e999~x", "x~y", "~"])
def test_a_cursor_that_nobody_was_given_is_refused(said):
    with pytest.raises(HttpProblem, match="from the page before"):
        cursor(said)


@pytest.mark.parametrize("said", ["", "zz", "00-" + "0" * 32 + "-" + "1" * 16 + "-01", "x" * 9_000])
def test_a_trace_that_is_none_is_not_gone_on_with(said):
    assert re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-01", taken(said))
    assert taken(said) != said


def test_a_trace_is_gone_on_with():
    said = "00-" + "a" * 32 + "-" + "1" * 16 + "-00"
    assert taken(said) == said
