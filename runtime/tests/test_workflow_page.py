"""The page of a workflow: who may see what, and what it is told to draw runs and their steps."""

import asyncio
import functools
import json
import re
from urllib.parse import quote

import pytest
from starlette.requests import Request

from fleetform_runtime.problems import HttpProblem
from fleetform_runtime.store import UnreadableRecordError
from fleetform_runtime.workflows.api import WorkflowApi
from fleetform_runtime.workflows.calls import Answer
from fleetform_runtime.workflows.submitting import submitted
from fleetform_runtime.workflows.worker import executed
from runtime.tests.process import WorkflowRuntime
from runtime.tests.servers import PATIENCE
from runtime.tests.test_fleet import KEY, ask, keyed
from runtime.tests.test_workflow_runs import Agents, Workflow
from runtime.tests.workflows import overwrite, unreadable

DEFINITION = {
    "input": [{"name": "topic", "type": "string", "required": True, "description": "What about."}],
    "steps": [
        {"name": "read", "agent": "writer", "input": {"topic": "{{ .input.topic }}"}, "retries": 2},
        {"name": "tell", "agent": "writer", "dependsOn": ["read"], "parallel": True},
    ],
}
AGENTS = [{"name": "writer", "url": "http://127.0.0.1:9/a2a"}]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("workflow")
    settings = {"definition": DEFINITION, "agents": AGENTS, "auth": keyed(folder)}
    with WorkflowRuntime(folder, server={"ui": True}, **settings) as running:
        yield running


def test_the_page_and_how_one_signs_in_are_public(page):
    status, headers, body = ask(f"{page.url}/")
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert "require-trusted-types-for 'script'" in headers["Content-Security-Policy"]
    for file in re.findall(r'(?:src|href)="\./(assets/[^"]+)"', body.decode()):
        assert ask(f"{page.url}/{file}")[0] == 200
    status, _, body = ask(f"{page.url}/ui.json")
    door = {"workflow": "report", "namespace": "demo", "title": "report", "auth": {"type": "apiKey"}}  # fmt: skip
    assert (status, json.loads(body)) == (200, door)


@pytest.mark.parametrize("path", ["/info", "/runs", "/runs/x", "/runs/x/steps/read"])
def test_nobody_else_learns_of_the_workflow_or_its_runs(page, path):
    assert ask(page.url + path)[0] == 401
    assert ask(page.url + path, Authorization=f"Bearer {KEY}x")[0] == 401


def test_who_has_signed_in_learns_what_it_is(page):
    status, headers, body = ask(f"{page.url}/info", Authorization=f"Bearer {KEY}")
    assert (status, headers["Cache-Control"]) == (200, "no-store")
    told = json.loads(body)
    assert (told["workflow"], told["auth"], told["memory"]) == ("report", "apiKey", "in-memory")
    assert told["input"] == DEFINITION["input"]
    assert told["steps"] == [
        {"name": "read", "agent": "writer", "retries": 2},
        {"name": "tell", "agent": "writer", "depends_on": ["read"], "parallel": True},
    ]
    assert told["limits"] == {"run_seconds": 3600, "runs": 1}
    assert re.fullmatch("[0-9a-f]{64}", told["config"])
    assert "topic" not in json.dumps(told["steps"])  # what agents are asked is no caller's to know


def test_without_the_setting_there_is_no_page_and_everything_else(tmp_path):
    with WorkflowRuntime(tmp_path, definition=DEFINITION, agents=AGENTS) as running:
        for path in ("/", "/ui.json", "/assets/index.js"):
            assert ask(running.url + path)[0] == 404
        assert ask(f"{running.url}/info")[0] == 200


def test_its_metrics_have_labels_for_all_that_is_served(page):
    for path in ("/", "/ui.json", "/nothing"):
        ask(page.url + path)
    ask(f"{page.url}/info", Authorization=f"Bearer {KEY}")
    _, _, body = ask(page.metrics_url)
    routes = {*re.findall(r'workflow_request_total\{[^}]*route="([^"]*)"', body.decode())}
    assert {"/", "/ui.json", "/info", "other"} <= routes
    _, _, body = ask(f"{page.url}/openapi.json")
    assert "/info" in json.loads(body)["paths"]


@pytest.mark.parametrize(
    "limit", ["0", "101", "0000000999999", "1" * 9, "0" * 9 + "9" * 5000, "-1", "²"]
)
def test_a_page_of_the_list_has_a_bound(page, limit):
    asked = f"{page.url}/runs?limit={quote(limit)}"
    status, _, body = ask(asked, Authorization=f"Bearer {KEY}")
    assert (status, json.loads(body)["detail"]) == (400, "limit: 1 to 100")


class Held(Agents):
    """An agent that waits for a person until it is told that there was one."""

    def __init__(self) -> None:
        super().__init__()
        self.decided = asyncio.Event()

    async def ask(self, agent, message, waiting):
        waiting(True, message.id)
        await self.decided.wait()
        waiting(False, message.id)
        return Answer({"result": 1}, message.id)


@pytest.mark.anyio
async def test_the_list_says_which_runs_wait_for_a_person():
    made = Workflow(Held(), steps=[{"name": "one", "agent": "writer"}])
    api = WorkflowApi(made.settings, made.store, made.agents, lambda _: None)

    async def lines():
        answer = await api.page(Request({"type": "http", "query_string": b"", "headers": []}))
        items = json.loads(answer.body)["items"]
        return {item["name"]: (item["phase"], item.get("waiting")) for item in items}

    await made.submit("first")
    claim = await made.store.claim("w", 600, 9)
    await made.submit("second")
    task = asyncio.create_task(executed(made.around, claim))
    held = {"first": ("Running", True), "second": ("Pending", None)}
    async with asyncio.timeout(PATIENCE):
        while await lines() != held:
            await asyncio.sleep(0.01)
    made.agents.decided.set()
    await task
    assert await lines() == {"first": ("Succeeded", None), "second": ("Pending", None)}


@pytest.mark.anyio
@pytest.mark.parametrize("how", [*unreadable("bad")])
@pytest.mark.parametrize("is_aside", [False, True])
async def test_a_run_that_cannot_be_read_is_named_and_refused(how, is_aside):
    made = Workflow(Agents(), steps=[{"name": "one", "agent": "writer"}])
    api = WorkflowApi(made.settings, made.store, made.agents, lambda _: None)
    for name in ("bad", "good"):
        await made.submit(name)
    await overwrite(made.store, "bad", unreadable("bad")[how])
    if is_aside:
        with pytest.raises(UnreadableRecordError):
            await made.store.claim("w", 600, 9)
    answer = await api.page(Request({"type": "http", "query_string": b"", "headers": []}))
    items = json.loads(answer.body)["items"]
    assert [(item["name"], item["phase"], item["reason"]) for item in items] == [
        ("good", "Pending", ""),
        ("bad", "Pending", "Unreadable"),
    ]
    path = {"id": "bad", "step": "one"}
    request = Request({"type": "http", "path_params": path, "headers": []})
    handlers = (api.get, api.step, api.decide, api.follow, api.cancel, api.retry)
    asked = [functools.partial(handler, request) for handler in handlers]
    asked.append(lambda: submitted(made.settings, made.store, "bad", {}, "ann"))
    for one in asked:
        with pytest.raises(HttpProblem) as refused:
            await one()
        assert refused.value.code == "unreadable"
        assert "cannot be read" in refused.value.detail
