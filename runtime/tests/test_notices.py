"""The webhook of approvals is told once, by who can prove it, without anybody waiting for it."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web
from pydantic import ValidationError

from fleetform_runtime.net import again
from fleetform_runtime.runs import notices, service
from fleetform_runtime.runs.notices import text_of
from runtime.tests.harness import serving, settings, until
from runtime.tests.stores import BACKENDS, SHARED, memory
from runtime.tests.test_access import AUTH, KEYS, as_
from runtime.tests.test_approvals import approve, paused, tools
from runtime.tests.upstreams import answers, upstream

pytestmark = pytest.mark.anyio
KEY = "a-webhook-key-0123456789"


class Hook:
    """A webhook that remembers what it was told; `statuses` are those of its first answers."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.told: list[Any] = []
        self.requests: list[tuple[dict[str, str], bytes, str]] = []

    async def __call__(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.requests.append((dict(request.headers), body, request.path))
        status = self.statuses.pop(0) if self.statuses else 204
        if status < 300:
            self.told.append(json.loads(body))
        return web.Response(status=status)


def webhook(url: str, **fields: Any) -> dict[str, Any]:
    return {"webhook": {"url": url, "secret": {"env": "HOOK"}, **fields}}


def agent(server: Any, hook: Any, **changes: Any) -> dict[str, Any]:
    section = {"tools": tools(server.url), "approvals": webhook(hook.url + "/told")}
    return {**section, "environment": {"HOOK": KEY, **KEYS}, **changes}


async def test_it_is_told_what_waits_and_what_becomes_of_it():
    hook = Hook()
    async with (
        upstream(answers({})) as server,
        upstream(hook) as told,
        serving(**agent(server, told)) as client,
    ):
        first = await paused(client, 'call pay {"sum": 5}\ncall ask {"q": "the secret plan"}')
        await until(lambda: len(hook.told) == 1)
        (body,) = hook.told
        assert body["type"] == "approval.waiting"
        assert (body["agent"], body["namespace"], body["asked_by"]) == (
            "greeter",
            "demo",
            "anonymous",
        )
        assert (body["run_id"], body["session_id"]) == (first["run_id"], first["session_id"])
        assert body["expires_at"] == first["pending"]["expires_at"] > body["since"]
        assert [call["name"] for call in body["calls"]] == ["pay", "ask"]
        assert "secret plan" not in json.dumps(body)
        headers, raw, path = hook.requests[0]
        assert path == "/told"
        signed = headers["Fleetform-Timestamp"].encode() + b"." + raw
        wanted = hmac.new(KEY.encode(), signed, hashlib.sha256).hexdigest()
        assert headers["Fleetform-Signature"] == f"v1={wanted}"
        assert KEY not in str(hook.requests)
        assert headers["Fleetform-Delivery"] == f"waiting:{first['run_id']}"
        decisions = [{"id": "call_1", "approved": True}, {"id": "call_2", "answer": "x"}]
        await client.post(f"/runs/{first['run_id']}/approvals", {"decisions": decisions})
        await until(lambda: len(hook.told) == 2)
        assert (hook.told[1]["type"], hook.told[1]["run_id"]) == (
            "approval.decided",
            first["run_id"],
        )
        other = await paused(client)
        await client.post(f"/runs/{other['run_id']}/cancel", None)
        await until(lambda: len(hook.told) == 4)
        assert {body["type"] for body in hook.told[2:]} == {
            "approval.waiting",
            "approval.cancelled",
        }
        await until(lambda: not client.application.notices._tasks)
        assert await client.metric("agent_approval_notices_total", outcome="told") == 4


async def test_arguments_are_told_where_that_is_said_and_who_decided():
    hook = Hook()
    async with upstream(answers({})) as server, upstream(hook) as told:
        approvals = {"approvers": {"keys": ["bob"]}, **webhook(told.url, includeArguments=True)}
        async with serving(**agent(server, told, auth=AUTH, approvals=approvals)) as client:
            body = {"message": 'call pay {"sum": 5}'}
            run = (await client.post("/chat", body, headers=as_("ANN"))).json["run_id"]
            await until(lambda: hook.told)
            assert hook.told[0]["calls"][0]["args"] == {"sum": 5}
            await client.post(f"/runs/{run}/approvals", approve(), headers=as_("BOB"))
            await until(lambda: len(hook.told) == 2)
            assert (hook.told[1]["asked_by"], hook.told[1]["decided_by"]) == ("ann", "bob")


async def test_slack_is_sent_a_text_at_the_address_that_is_the_secret():
    hook = Hook()
    async with upstream(answers({})) as server, upstream(hook) as told:
        environment = {"HOOK": f"{told.url}/services/T0/B0/xyz"}
        approvals = webhook(told.url, format="slack")
        changes = agent(server, told, approvals=approvals, environment=environment)
        async with serving(**changes) as client:
            run = (await paused(client))["run_id"]
            await until(lambda: hook.told)
    assert hook.requests[0][2] == "/services/T0/B0/xyz"
    assert hook.told[0].keys() == {"text"}
    assert run in hook.told[0]["text"]
    assert "waits until" in hook.told[0]["text"]


def test_nothing_in_a_text_is_markup():
    body = {
        "type": "approval.waiting", "agent": "a", "namespace": "n", "run_id": "r", "asked_by": "<!channel>",
        "expires_at": "later", "calls": [{"name": "pay", "args": {"to": "<https://evil.example|you> & co"}}],
    }  # fmt: skip
    text = text_of(body)
    assert "<" not in text
    assert "&lt;!channel&gt;" in text
    assert "&amp; co" in text


async def test_nobody_waits_for_it_and_what_is_lost_is_said(monkeypatch, caplog):
    monkeypatch.setattr(notices, "CLOSE_SECONDS", 0.01)
    gate = asyncio.Event()

    async def silent(request: web.Request) -> web.Response:
        await gate.wait()
        return web.Response()

    async with upstream(answers({})) as server, upstream(silent) as told:
        async with serving(**agent(server, told)) as client:
            run = (await paused(client))["run_id"]
            await until(lambda: client.application.notices._tasks)
            assert (await client.post(f"/runs/{run}/approvals", approve())).status == 200
        gate.set()
    assert "was not told of waiting:" in caplog.text
    assert "the process ends" in caplog.text


async def swept(client: Any, condition: Callable[[], Any]) -> None:
    async def sweep() -> bool:
        await client.application.runs.expire()
        return bool(condition())

    await until(sweep)


@pytest.mark.parametrize("backend", BACKENDS)
async def test_what_could_not_be_told_is_told_later_and_once(
    backend, request, tmp_path, monkeypatch
):
    monkeypatch.setattr(notices, "TRIES", 1)
    monkeypatch.setattr(service, "UNTOLD_SECONDS", -1)
    hook = Hook(500, 500)
    store = memory(backend, request, tmp_path)
    async with upstream(answers({})) as server, upstream(hook) as told:
        changes = agent(server, told, memory=store)
        async with serving(**changes) as client:
            run = (await paused(client))["run_id"]
            await until(lambda: hook.requests)
            assert hook.told == []
            await swept(client, lambda: hook.told)
            lost = await client.metric("agent_approval_notices_total", outcome="lost")
            assert lost == 2
            await until(lambda: not client.application.notices._tasks)
            for _ in range(3):
                await client.application.runs.expire()
        if backend in SHARED:  # nor by another replica
            async with serving(**changes) as client:
                await client.application.runs.expire()
                assert not client.application.notices._tasks
    assert [body["run_id"] for body in hook.told] == [run]


async def test_it_is_tried_again_unless_it_refuses(monkeypatch):
    monkeypatch.setattr(again, "pause", lambda attempt, asked, longest: 0.0)
    hook = Hook(500, 429, 204, 400)
    async with (
        upstream(answers({})) as server,
        upstream(hook) as told,
        serving(**agent(server, told)) as client,
    ):
        await paused(client)
        await until(lambda: len(hook.requests) == 3)
        await paused(client)
        await until(lambda: len(hook.requests) == 4)
        await until(lambda: not client.application.notices._tasks)
        assert await client.metric("agent_approval_notices_total", outcome="told") == 1
        assert await client.metric("agent_approval_notices_total", outcome="lost") == 1
    assert len({body for _, body, _ in hook.requests[:3]}) == 1


@pytest.mark.parametrize(
    ("fields", "secret"),
    [
        ({}, ""),
        ({}, "short"),
        ({"format": "slack"}, "not-an-url-0123456789"),
        ({"format": "slack"}, "https://evil.example/services/T0"),
        ({"format": "slack"}, "{url}@evil.example/services/T0"),
        ({"format": "slack"}, "{url}.evil.example/services/T0"),
    ],
)
async def test_a_wrong_secret_sends_nothing_anywhere(fields, secret, caplog):
    hook = Hook()
    async with upstream(answers({})) as server, upstream(hook) as told:
        environment = {"HOOK": secret.format(url=told.url)}
        approvals = webhook(told.url, **fields)
        changes = agent(server, told, approvals=approvals, environment=environment)
        async with serving(**changes) as client:
            await paused(client)
            await until(lambda: "was not told" in caplog.text)
    assert hook.requests == []


async def test_an_expiry_is_told():
    hook = Hook()
    async with (
        upstream(answers({})) as server,
        upstream(hook) as told,
        serving(**agent(server, told, limits={"approvalSeconds": 0.05})) as client,
    ):
        run = (await paused(client))["run_id"]
        await asyncio.sleep(0.06)
        await swept(client, lambda: len(hook.told) == 2)
        found = {(body["type"], body["run_id"]) for body in hook.told}
        assert found == {("approval.waiting", run), ("approval.expired", run)}


def test_an_address_that_is_closed_or_none_is_refused():
    for approvals in (
        {},
        {"self": True},
        {**webhook("https://x.example"), "self": True},
        webhook("ftp://x"),
    ):
        with pytest.raises(ValidationError):
            settings(approvals=approvals)
    assert settings(approvals=webhook("https://x.example")).approvals.approvers is None
