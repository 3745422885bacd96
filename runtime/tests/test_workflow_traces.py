"""A run of a workflow is one trace: the request that asked for it, the run, its steps, and what the agents do."""

import json

import pytest
from aiohttp import web

from fleetform_runtime.secrets import Secrets
from fleetform_runtime.workflows.application import Workflow
from fleetform_runtime.workflows.settings import WorkflowSettings
from fleetform_runtime.workflows.submitting import submitted
from fleetform_runtime.workflows.worker import executed
from runtime.tests.test_telemetry import sink, spans
from runtime.tests.upstreams import upstream
from runtime.tests.workflows import workflow

pytestmark = pytest.mark.anyio
ASKED = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def agent(heard, state="TASK_STATE_COMPLETED"):
    async def handler(request):
        heard.append(request.headers.get("traceparent", ""))
        task = {
            "id": "t1",
            "status": {"state": state},
            "artifacts": [{"parts": [{"text": "done"}]}],
        }
        return web.json_response({"jsonrpc": "2.0", "id": 1, "result": {"task": task}})

    return handler


async def run(collector, writer, trace):
    tracing = {"enabled": True, "provider": "otlp", "endpoint": collector.url} if collector else {}
    given = workflow(observability={"tracing": tracing})
    body = given.model_dump(mode="json", by_alias=True, exclude_unset=True)
    body["agents"] = [{"name": "writer", "url": f"{writer.url}/a2a"}]
    settings = WorkflowSettings.model_validate_json(json.dumps(body))
    flow = Workflow(settings, Secrets({}))
    await flow.store.open()
    await submitted(settings, flow.store, "r", {}, "ann", trace)
    claim = await flow.store.claim("w", 60, 9)
    ended = await executed(flow.around, claim)
    await flow.close()
    return ended


async def test_spans_are_children_of_who_asked_and_parents_of_what_the_agent_does():
    received, heard = [], []
    async with upstream(sink(received)) as collector, upstream(agent(heard)) as writer:
        assert (await run(collector, writer, ASKED)).phase == "Succeeded"
    found = spans(received)
    whole, step = found["invoke_workflow report"], found["step one"]
    assert whole["_trace"].hex() == "0af7651916cd43dd8448eb211c80319c"
    assert whole["_parent"].hex() == "b7ad6b7169203331"
    assert (step["_trace"], step["_parent"]) == (whole["_trace"], whole["_id"])
    assert step["fleetform.workflow.step"] == "one"
    assert heard[0].split("-")[1:3] == [step["_trace"].hex(), step["_id"].hex()]


async def test_a_step_that_fails_says_so_in_its_span_and_in_that_of_the_run():
    received, heard = [], []
    async with (
        upstream(sink(received)) as collector,
        upstream(agent(heard, "TASK_STATE_REJECTED")) as writer,
    ):
        assert (await run(collector, writer, "")).phase == "Failed"
    found = spans(received)
    assert found["step one"]["error.type"] == "rejected"
    assert found["invoke_workflow report"]["error.type"] == "StepFailed"
    assert found["step one"]["_trace"] == found["invoke_workflow report"]["_trace"]


async def test_without_a_collector_the_agents_spans_are_in_one_trace_all_the_same():
    heard = []
    async with upstream(agent(heard)) as writer:
        await run(None, writer, ASKED)
    assert heard == [ASKED]
