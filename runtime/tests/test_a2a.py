"""Agents speak A2A in versions 1.0 and 0.3: tasks are runs, contexts are sessions, and all are their user's alone."""

import asyncio
import base64
import io
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import aiohttp
import pytest

from fleetform_runtime.a2a.names import ERROR, HITL, PROGRESS, SCHEMA, USAGE
from fleetform_runtime.messages import Assistant, ToolCall
from fleetform_runtime.store import Event, Run
from runtime.tests.a2a_calls import (
    answer,
    called,
    error,
    result,
    said,
    said_before,
    send,
    streamed,
)
from runtime.tests.harness import Gated, Told, live_run, serving, until
from runtime.tests.process import Runtime
from runtime.tests.servers import RedisServer
from runtime.tests.stores import BACKENDS, SHARED, Clock, memory, opened
from runtime.tests.test_access import AUTH, KEYS, as_

pytestmark = pytest.mark.anyio
NUMBER = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


def states(told: list, name: str = "statusUpdate") -> list[str]:
    return [item["result"][name]["status"]["state"] for item in told if name in item["result"]]


async def test_a_message_is_answered_by_a_task_in_both_versions():
    async with serving() as client:
        task = await send(client, said("hello"))
        assert task["status"]["state"] == "TASK_STATE_COMPLETED"
        assert answer(task) == "You said: hello (turn 1)"
        assert task["metadata"] == {
            USAGE: {"input_tokens": 3, "output_tokens": 5, "total_tokens": 8}
        }
        more = said_before("again", "m2", contextId=task["contextId"])
        old = await result(client, "message/send", {"message": more})
        assert (old["kind"], old["status"]["state"]) == ("task", "completed")
        assert old["artifacts"][0]["parts"] == [
            {"kind": "text", "text": "You said: again (turn 2)"}
        ]
        assert old["contextId"] == task["contextId"]
        assert await result(client, "GetTask", {"id": task["id"]}) == task
        assert (await result(client, "tasks/get", {"id": task["id"]}))["id"] == task["id"]
        run = (await client.get(f"/runs/{task['id']}")).json
        assert (run["status"], run["session_id"]) == ("succeeded", task["contextId"])


async def test_requests_that_begin_no_run_are_counted_apart_in_both_versions():
    async with serving() as client:
        task = await send(client, said("hello"))
        await result(client, "message/send", {"message": said_before("again", "m2")})
        for method in ("GetTask", "tasks/get", "GetTask"):
            await result(client, method, {"id": task["id"]})
        await result(client, "ListTasks", {})
        await client.get(f"/a2a/tasks/{task['id']}")
        text = await client.scrape()
    counted = {
        line.partition('route="')[2].partition('"')[0]: float(line.rpartition(" ")[2])
        for line in text.splitlines()
        if line.startswith("agent_request_total{") and not line.endswith(" 0.0")
    }
    assert counted == {"/a2a": 2, "/a2a/tasks/{id}": 5}


async def test_the_other_binding_says_the_same():
    async with serving() as client:
        new = await client.post("/a2a/message:send", {"message": said("hello")})
        assert new.headers["Content-Type"] == "application/a2a+json"
        task = new.json["task"]
        assert (await client.get(f"/a2a/tasks/{task['id']}")).json == task
        message = {"message_id": "m2", "role": "ROLE_USER", "content": [{"text": "hi"}]}
        old = (await client.post("/a2a/v1/message:send", {"message": message})).json["task"]
        assert answer(old) == "You said: hi (turn 1)"
        refused = await client.post(f"/a2a/tasks/{task['id']}:cancel", {})
        assert (refused.status, refused.json["error"]["details"][0]["reason"]) == (
            400, "TASK_NOT_CANCELABLE",
        )  # fmt: skip
        gone = await client.get("/a2a/v1/tasks/nobody")
        assert (gone.status, gone.json["type"]) == (404, "TaskNotFoundError")
        events = (await client.post("/a2a/message:stream", {"message": said("x", "m3")})).body
        assert b'data: {"task":' in events
        assert b"TASK_STATE_COMPLETED" in events


async def test_a_stream_begins_with_the_task_and_its_pieces_make_the_answer():
    async with serving() as client:
        told = await streamed(client, "SendStreamingMessage", {"message": said("say 3 words")})
        assert states(told, "task") == ["TASK_STATE_WORKING"]
        assert states(told) == ["TASK_STATE_COMPLETED"]
        pieces = [item["result"]["artifactUpdate"] for item in told[1:-1]]
        assert [piece["append"] for piece in pieces] == [False, True, True, False]
        assert [piece["lastChunk"] for piece in pieces] == [False, False, False, True]
        texts = [piece["artifact"]["parts"][0]["text"] for piece in pieces]
        assert texts == ["word1 ", "word2 ", "word3", "word1 word2 word3"]
        params = {"message": said_before("say 2 words", "m2")}
        old = [item["result"] for item in await streamed(client, "message/stream", params)]
        assert [item["kind"] for item in old] == ["task", *["artifact-update"] * 3, "status-update"]
        assert old[-1]["final"] is True


async def test_what_was_said_before_a_call_is_not_the_answer():
    tool = {"type": "code", "name": "one", "description": "One.", "code": "print(1)"}
    call = ToolCall("c1", "one", "{}")
    model = Told(Assistant("Let me see.", calls=[call]), Assistant("Done."))
    async with serving(tools=[tool], make=model) as client:
        told = await streamed(client, "SendStreamingMessage", {"message": said("x")})
    updates = [item["result"].get("artifactUpdate") for item in told]
    pieces = [
        (item["artifact"]["parts"][0]["text"], item["append"], item["lastChunk"])
        for item in updates
        if item is not None
    ]
    assert pieces == [
        ("Let me see.", False, False), ("Done.", False, False), ("Done.", False, True),
    ]  # fmt: skip


async def test_calls_of_tools_are_told():
    tool = {"type": "code", "name": "one", "description": "One.", "code": "print(1)"}
    async with serving(tools=[tool]) as client:
        told = await streamed(client, "SendStreamingMessage", {"message": said("call one {}")})
    progress = [
        item["result"]["statusUpdate"]["metadata"][PROGRESS]
        for item in told
        if PROGRESS in item["result"].get("statusUpdate", {}).get("metadata", {})
    ]
    assert [(item["event"], item["name"]) for item in progress] == [
        ("tool_start", "one"), ("tool_end", "one"),
    ]  # fmt: skip


# -- once ------------------------------------------------------------------------------------------


async def test_the_same_message_from_twenty_sockets_is_one_task():
    model = Gated()
    async with serving(make=model) as client:
        asked = [asyncio.create_task(send(client, said("hello"))) for _ in range(20)]
        await until(lambda: model.waiting)
        model.gate.set()
        tasks = await asyncio.gather(*asked)
        assert all(task == tasks[0] for task in tasks)
        assert (await client.get("/sessions")).json["total"] == 1
        told = await streamed(client, "SendStreamingMessage", {"message": said("hello")})
        assert [item["result"]["task"] for item in told] == [tasks[0]]


@pytest.mark.parametrize("backend", SHARED)
async def test_the_same_message_on_two_replicas_is_one_task(backend, request, tmp_path):
    section, models = memory(backend, request, tmp_path), [Gated(), Gated()]
    async with (
        serving(make=models[0], memory=section) as one,
        serving(make=models[1], memory=section) as other,
    ):
        asked = [asyncio.create_task(send(client, said("hello"))) for client in (one, other) * 10]
        await until(lambda: sum(model.waiting for model in models))
        await asyncio.sleep(0.2)
        assert sum(model.waiting for model in models) == 1
        for model in models:
            model.gate.set()
        tasks = await asyncio.gather(*asked)
        assert all(task == tasks[0] for task in tasks)
        assert answer(tasks[0]) == "You said: hello (turn 1)"


async def test_another_message_of_the_same_name_is_refused():
    async with serving() as client:
        await send(client, said("hello"))
        for other in (
            said("bye"),
            said("hello", contextId="c"),
            said("hello", metadata={SCHEMA: NUMBER}),
        ):
            found = await error(client, "SendMessage", {"message": other})
            assert (found["code"], "messageId" in found["message"]) == (-32602, True)
        # What has no meaning here changes nothing.
        await send(client, said("hello", metadata={"trace": "other"}))


async def test_a_message_that_did_not_start_may_be_sent_again():
    model = Gated()
    limits = {"concurrentRuns": 1, "queueDepth": 0}
    async with serving(make=model, limits=limits) as client:
        first = asyncio.create_task(send(client, said("one")))
        await until(lambda: model.waiting)
        refused = await called(client, "SendMessage", {"message": said("two", "m2")})
        assert refused.status == 503
        assert refused.headers["Retry-After"] == "1"
        found = refused.json["error"]
        assert found["code"] == -32603
        (ours,) = [item for item in found["data"] if item["@type"] == ERROR]
        assert (ours["code"], ours["retryable"], ours["retry_after"]) == ("overloaded", True, 1)
        model.gate.set()
        await first
        assert answer(await send(client, said("two", "m2"))) == "You said: two (turn 1)"


async def test_who_does_not_want_to_wait_asks_later():
    model = Gated()
    async with serving(make=model) as client:
        params = {"message": said("hello"), "configuration": {"returnImmediately": True}}
        task = (await result(client, "SendMessage", params))["task"]
        assert task["status"]["state"] == "TASK_STATE_WORKING"
        refused = await error(
            client, "SendMessage", {"message": said("x", "m2", taskId=task["id"])}
        )
        assert (refused["code"], "at work" in refused["message"]) == (-32004, True)
        follow = asyncio.create_task(streamed(client, "SubscribeToTask", {"id": task["id"]}))
        log = client.application.runs.registry.local("anonymous", task["id"]).log
        await until(lambda: log._waiting)
        model.gate.set()
        told = await follow
        assert states(told, "task") == ["TASK_STATE_WORKING"]
        assert states(told) == ["TASK_STATE_COMPLETED"]
        assert answer(await result(client, "GetTask", {"id": task["id"]}))
        refused = await error(client, "SubscribeToTask", {"id": task["id"]})
        assert refused["code"] == -32004
        refused = await error(
            client, "SendMessage", {"message": said("x", "m3", taskId=task["id"])}
        )
        assert refused["code"] == -32004


async def test_a_task_is_cancelled_once():
    async with serving() as client:
        sending = asyncio.create_task(send(client, said("wait 3600 and go")))
        task = await live_run(client)
        cancelled = await result(client, "CancelTask", {"id": task})
        assert cancelled["status"]["state"] == "TASK_STATE_CANCELED"
        assert (await sending)["status"]["state"] == "TASK_STATE_CANCELED"
        assert (await error(client, "CancelTask", {"id": task}))["code"] == -32002


async def test_a_run_that_fails_says_why():
    async with serving() as client:
        task = await send(client, said("fail rate_limited"))
    assert task["status"]["state"] == "TASK_STATE_FAILED"
    found = task["metadata"][ERROR]
    assert (found["code"], found["retryable"]) == ("model_failed", True)
    assert task["status"]["message"]["parts"][0]["text"] == found["detail"]


@pytest.mark.parametrize("backend", SHARED)
async def test_the_task_of_a_killed_replica_has_failed_for_whoever_sends_again(
    backend, request, tmp_path
):
    section = memory(backend, request, tmp_path)
    options = ("--model", "scripted")
    with (
        Runtime(tmp_path / "one", *options, memory=section) as one,
        Runtime(tmp_path / "two", *options, memory=section) as two,
    ):
        message = said("wait 3600 and go")
        body = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {"message": message}}
        now = body | {"params": {"message": message, "configuration": {"returnImmediately": True}}}
        async with aiohttp.ClientSession() as session:
            async with session.post(one.url + "/a2a", json=now) as first:
                begun = (await first.json())["result"]["task"]
            assert begun["status"]["state"] == "TASK_STATE_WORKING"
            one.signal(signal.SIGKILL)
            async with session.post(two.url + "/a2a", json=body) as second:
                task = (await second.json())["result"]["task"]
        assert task["id"] == begun["id"]
        assert task["status"]["state"] == "TASK_STATE_FAILED"
        assert task["metadata"][ERROR]["code"] == "interrupted"
        assert task["metadata"][ERROR]["retryable"] is True


@pytest.mark.parametrize("backend", BACKENDS)
async def test_a_name_is_claimed_once_in_every_store(backend, request, tmp_path):
    clock, run = Clock(), Run(id="r1", user="ann", session="s", origin={"task": "r1"})
    async with opened(memory(backend, request, tmp_path), clock) as store:
        life = 0.05 if backend == "redis" else 60
        assert await store.runs.claim(run, life)
        assert not await store.runs.claim(replace(run, user="bob"), life)
        assert await store.runs.get("r1") == run
        await store.runs.put(run, [Event(1, "token", b"{}")], life)
        clock.now += 61
        await asyncio.sleep(0.1 if backend == "redis" else 0)
        assert await store.runs.claim(replace(run, user="bob"), 60)
        assert (await store.runs.get("r1")).user == "bob"
        assert await store.runs.events("r1", 0) == []


async def test_a_message_that_is_sent_again_after_a_restart_finds_its_task(tmp_path):
    section = {"type": "filesystem", "path": str(tmp_path)}
    async with serving(memory=section) as client:
        task = await send(client, said("hello"))
    model = Told(Assistant("another answer"))
    async with serving(memory=section, make=model) as client:
        assert await send(client, said("hello")) == task
        assert (await result(client, "ListTasks", {}))["totalSize"] == 1
        assert model.asked == []
        await client.application.store.runs.remove(task["id"])
    assert list((tmp_path / "runs").glob("*.json")) == []


@pytest.mark.parametrize("backend", SHARED)
async def test_a_task_is_followed_and_cancelled_from_another_replica(backend, request, tmp_path):
    section, model = memory(backend, request, tmp_path), Gated()
    async with serving(make=model, memory=section) as one, serving(memory=section) as other:
        params = {"message": said("say 3 words")}
        first = asyncio.create_task(streamed(one, "SendStreamingMessage", params))
        task = await live_run(one)
        following = asyncio.create_task(streamed(other, "SubscribeToTask", {"id": task}))
        again = asyncio.create_task(streamed(other, "SendStreamingMessage", params))
        await asyncio.sleep(0.1)
        model.gate.set()
        told = await first
        assert [item["result"].keys() for item in await following] == [
            item["result"].keys() for item in told
        ]
        assert states(await again) == states(await following) == ["TASK_STATE_COMPLETED"]
        assert (await result(other, "GetTask", {"id": task}))["artifacts"][0]["parts"][0][
            "text"
        ] == ("word1 word2 word3")
        model.gate.clear()
        going = asyncio.create_task(send(one, said("more", "m2")))
        task = await live_run(one)
        cancelled = await result(other, "CancelTask", {"id": task})
        assert cancelled["status"]["state"] == "TASK_STATE_CANCELED"
        assert (await going)["status"]["state"] == "TASK_STATE_CANCELED"


async def test_a_store_that_is_away_is_said_in_the_words_of_the_protocol():
    server = RedisServer()
    with server:
        section = {"type": "redis", "host": "127.0.0.1", "port": server.port}
        async with serving(memory=section) as client:
            await send(client, said("hello"))
            server.kill()
            refused = await called(client, "SendMessage", {"message": said("x", "m2")})
            assert (refused.status, refused.json["error"]["code"]) == (503, -32603)
            assert refused.json["error"]["data"][1]["code"] == "memory_unavailable"
            path = await client.get("/a2a/tasks/unknown")
            assert path.json["error"]["status"] == "UNAVAILABLE"


# -- whose -----------------------------------------------------------------------------------------


async def test_nobody_sees_or_touches_the_tasks_of_others():
    async with serving(auth=AUTH, environment=KEYS) as client:
        ann, bob = as_("ANN"), as_("BOB")
        task = await send(client, said("hello", contextId="c1"), headers=ann)
        for method in ("GetTask", "CancelTask", "SubscribeToTask", "tasks/get", "tasks/cancel"):
            found = await error(client, method, {"id": task["id"]}, headers=bob)
            assert found["code"] == -32001, method
        for method in ("SendMessage", "SendStreamingMessage"):
            params = {"message": said("x", "m2", taskId=task["id"])}
            assert (await error(client, method, params, headers=bob))["code"] == -32001
        # The same names are other things for another user.
        other = await send(client, said("hello", contextId="c1"), headers=bob)
        assert other["id"] != task["id"]
        assert answer(other) == "You said: hello (turn 1)"
        assert (await called(client, "GetTask", {"id": task["id"]})).status == 401


# -- parts -----------------------------------------------------------------------------------------


async def test_data_and_files_reach_the_model():
    model = Told(Assistant("ok"))
    parts = [
        {"text": "see"},
        {"data": {"a": [1]}},
        {
            "raw": base64.b64encode(b"words").decode(),
            "filename": "a.txt",
            "mediaType": "text/plain",
        },
        {"raw": base64.b64encode(b"png").decode(), "mediaType": "image/png"},
    ]
    async with serving(make=model) as client:
        await send(client, said("", parts=parts))
        refused = await error(client, "SendMessage", {"message": said("", "m2", parts=[
            {"url": "https://example.org/a.pdf", "mediaType": "application/pdf"}])})  # fmt: skip
        assert refused["code"] == -32005
    content = model.asked[0].messages[-1].content
    assert content[:3] == ["see", '{"a":[1]}', "[file a.txt]\nwords"]
    assert content[3].url == "data:image/png;base64,cG5n"


async def test_an_answer_of_a_schema_is_data():
    model = Told(Assistant('{"n": 4}'))
    async with serving(make=model) as client:
        message = said("a number", metadata={SCHEMA: NUMBER})
        task = await send(client, message)
        assert task["artifacts"][0]["parts"] == [
            {"data": {"n": 4}, "mediaType": "application/json"}
        ]
        params = {"message": message | {"messageId": "m2"}}
        told = await streamed(client, "SendStreamingMessage", params)
        last = told[-2]["result"]["artifactUpdate"]
        assert (last["append"], last["lastChunk"]) == (False, True)
        assert last["artifact"]["parts"][0]["data"] == {"n": 4}
        params = {
            "message": message | {"messageId": "m3"},
            "configuration": {"acceptedOutputModes": ["text/plain"]},
        }
        assert answer((await result(client, "SendMessage", params))["task"]) == '{"n":4}'
        for schema in (4, {"type": 4}):
            wrong = said("x", "m4", metadata={SCHEMA: schema})
            assert (await error(client, "SendMessage", {"message": wrong}))["code"] == -32602


# -- bad input -------------------------------------------------------------------------------------

RIGHT = {"jsonrpc": "2.0", "id": 1, "method": "GetTask", "params": {"id": "x"}}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", -32700),
        (b"[]", -32600),
        (b"4", -32600),
        (json.dumps([RIGHT]).encode(), -32600),
        (json.dumps(RIGHT | {"jsonrpc": "1.0"}).encode(), -32600),
        (json.dumps(RIGHT | {"id": {}}).encode(), -32600),
        (json.dumps(RIGHT | {"id": True}).encode(), -32600),
        (json.dumps(RIGHT | {"method": 4}).encode(), -32600),
        (json.dumps(RIGHT | {"method": "tasks/nothing"}).encode(), -32601),
        (json.dumps(RIGHT | {"params": [1]}).encode(), -32602),
        (json.dumps(RIGHT | {"params": {"id": 4}}).encode(), -32602),
        (json.dumps(RIGHT | {"params": None}).encode(), -32602),
        (json.dumps(RIGHT | {"method": "CreateTaskPushNotificationConfig"}).encode(), -32003),
        (json.dumps(RIGHT | {"method": "tasks/pushNotificationConfig/set"}).encode(), -32003),
        (json.dumps(RIGHT | {"method": "GetExtendedAgentCard"}).encode(), -32004),
        (b"[" * 100_000, -32700),
        (b'{"a":' * 600 + b"1" + b"}" * 600, -32602),
        (b'"' + b" " * 2_000_000 + b'"', -32600),
    ],
)  # fmt: skip
async def test_what_is_no_request_gets_an_error_of_the_protocol(body, code):
    async with serving() as client:
        headers = {"Content-Type": "application/json"}
        reply = await client.ask("POST", "/a2a", data=io.BytesIO(body), headers=headers)
        assert reply.json["error"]["code"] == code, reply.json
        assert reply.json["jsonrpc"] == "2.0"
        data = reply.json["error"]["data"]
        info = data[0] if isinstance(data, list) else data
        assert info["domain"] == "a2a-protocol.org"


@pytest.mark.parametrize(
    "message",
    [
        None, 4, {}, said("x", ""), said("x", 4), said("x", "m" * 300), said("x", role="ROLE_AGENT"),
        said("x", role=None), said("x", parts=[]), said("x", parts="x"), said("x", parts=[4]),
        said("x", parts=[{}]), said("x", parts=[{"text": "a", "data": 1}]), said("x", parts=[{"text": 4}]),
        said("x", parts=[{"text": "a"}] * 65), said("x", contextId="a b"), said("x", contextId=4),
        said("x", metadata=4), said("x", extensions="x"), said("x", parts=[{"raw": "=!", "mediaType": "image/png"}]),
        said("x", parts=[{"raw": "aa", "mediaType": "nothing"}]), said("x", parts=[{"raw": "aa", "mediaType": 4}]),
    ],
)  # fmt: skip
async def test_a_wrong_message_is_refused_with_its_place(message):
    async with serving() as client:
        found = await error(client, "SendMessage", {"message": message})
        assert found["code"] == -32602
        assert "message" in found["message"]
        assert (await client.get("/sessions")).json["total"] == 0


@pytest.mark.parametrize(
    ("version", "new", "old"),
    [
        (None, None, None), ("0.3", -32601, None), ("0.3.0", -32601, None), ("1.0", None, -32601),
        ("1.0.2", None, -32601), ("1.1", -32009, -32009), ("2.0", -32009, -32009), ("0.2", -32009, -32009),
        ("new", -32009, -32009),
    ],
)  # fmt: skip
async def test_versions_are_those_that_are_spoken(version, new, old):
    headers = {"A2A-Version": version} if version else {}
    async with serving() as client:
        first = await called(client, "SendMessage", {"message": said("x")}, headers=headers)
        second = await called(
            client, "message/send", {"message": said_before("x", "m2")}, headers=headers
        )
    assert first.json.get("error", {}).get("code") == new
    assert second.json.get("error", {}).get("code") == old


@pytest.mark.parametrize(
    "message",
    [
        said_before("x", parts=[{"kind": "video"}]), said_before("x", parts=[{"kind": "text"}]),
        said_before("x", parts=[{"kind": "file", "file": 4}]), said_before("x", role="ROLE_USER"),
        said_before("x", parts=4), None,
    ],
)  # fmt: skip
async def test_a_wrong_message_of_the_former_version_is_refused(message):
    async with serving() as client:
        assert (await error(client, "message/send", {"message": message}))["code"] == -32602


async def test_what_the_former_version_calls_otherwise_means_the_same():
    model = Told(Assistant("ok"))
    data = {"kind": "data", "data": {"value": [1]}, "metadata": {"data_part_compat": True}}
    file = {
        "kind": "file",
        "file": {"bytes": "d29yZHM=", "name": "a.txt", "mimeType": "text/plain"},
    }
    link = {"kind": "file", "file": {"uri": "https://example.org/a.png", "mimeType": "image/png"}}
    async with serving(make=model) as client:
        params = {
            "message": said_before("", parts=[data, file, link]),
            "configuration": {"blocking": True},
        }
        await result(client, "message/send", params)
        content = [
            {"data": {"data": {"some_name": 1}}},
            {"file": {"file_with_bytes": "d29yZHM=", "name": "a.txt"}},
        ]
        message = {
            "message_id": "m2",
            "role": "ROLE_USER",
            "content": content,
            "metadata": {"some_name": 1},
        }
        assert (await client.post("/a2a/v1/message:send", {"request": message})).status == 200
        pushing = {
            "message": said_before("x", "m3"),
            "configuration": {"pushNotificationConfig": {"url": "x"}},
        }
        assert (await error(client, "message/send", pushing))["code"] == -32003
    first, second = (asked.messages[-1].content for asked in model.asked[:2])
    assert first[:2] == ["[1]", "[file a.txt]\nwords"]
    assert first[2].url == "https://example.org/a.png"
    assert second == ['{"some_name":1}', "[file a.txt]\nwords"]


# -- the card --------------------------------------------------------------------------------------


async def test_the_card_says_where_and_how_and_never_what_a_request_says():
    changes = {
        "agent": {"name": "greeter", "namespace": "demo", "displayName": "Greeter", "description": "Greets."},
        "a2a": {"url": "https://agents.example.org/greeter/"},
    }  # fmt: skip
    async with serving(**changes) as client:
        reply = await client.get("/.well-known/agent-card.json", headers={"Host": "localhost"})
        card = reply.json
        assert (await client.get("/.well-known/agent.json")).json == card
        tag = {"If-None-Match": reply.headers["ETag"]}
        assert (await client.get("/.well-known/agent-card.json", headers=tag)).status == 304
    assert (card["name"], card["description"]) == ("Greeter", "Greets.")
    url = "https://agents.example.org/greeter/a2a"
    assert {item["url"] for item in card["supportedInterfaces"]} == {url} == {card["url"]}
    spoken = [
        (item["protocolBinding"], item["protocolVersion"]) for item in card["supportedInterfaces"]
    ]
    assert spoken == [
        ("JSONRPC", "1.0"),
        ("HTTP+JSON", "1.0"),
        ("JSONRPC", "0.3"),
        ("HTTP+JSON", "0.3"),
    ]
    assert "securitySchemes" not in card


async def test_tools_are_named_to_whoever_may_call():
    tool = {"type": "code", "name": "secret_plan", "description": "Plans.", "code": "print(1)"}
    async with serving(tools=[tool]) as client:
        card = (await client.get("/.well-known/agent-card.json")).json
        assert [skill["id"] for skill in card["skills"]] == ["greeter", "secret_plan"]
    async with serving(tools=[tool], auth=AUTH, environment=KEYS) as client:
        public = await client.get("/.well-known/agent-card.json")
        assert b"secret_plan" not in public.body
        assert public.json["capabilities"]["extendedAgentCard"] is True
        assert public.json["securitySchemes"]["bearer"] == {
            "httpAuthSecurityScheme": {"scheme": "Bearer"}, "type": "http", "scheme": "Bearer",
        }  # fmt: skip
        assert (await client.get("/a2a/extendedAgentCard")).status == 401
        whole = await client.get("/a2a/extendedAgentCard", headers=as_("ANN"))
        assert [skill["id"] for skill in whole.json["skills"]] == ["greeter", "secret_plan"]
        old = await result(client, "agent/getAuthenticatedExtendedCard", {}, headers=as_("ANN"))
        assert old == whole.json


# -- the agent -------------------------------------------------------------------------------------


async def test_an_agent_that_keeps_nothing_answers_too():
    async with serving(memory={"type": "none"}) as client:
        task = await send(client, said("hello", contextId="mine"))
        assert (answer(task), task["contextId"]) == ("You said: hello (turn 1)", "mine")
        again = await send(client, said("more", "m2", contextId="mine"))
        assert answer(again) == "You said: more (turn 1)"
        told = await streamed(client, "SendStreamingMessage", {"message": said("x", "m3")})
        assert states(told) == ["TASK_STATE_COMPLETED"]


async def test_who_hangs_up_ends_what_nobody_can_ask_for_again():
    async with serving(memory={"type": "none"}) as client:
        sending = asyncio.create_task(send(client, said("wait 3600 and go")))
        await live_run(client)
        sending.cancel()
        await until(lambda: not client.application.runs.registry.running)


def test_what_speaks_it_is_imported_with_the_first_request():
    script = (
        "import sys, fleetform_runtime.application\n"
        "print([name for name in sys.modules if name.startswith('fleetform_runtime.a2a')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


# -- lists -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", BACKENDS)
async def test_tasks_are_listed_page_by_page_those_that_changed_last_first(
    backend, request, tmp_path
):
    section = memory(backend, request, tmp_path)
    async with serving(memory=section, auth=AUTH, environment=KEYS) as client:
        ann, bob = as_("ANN"), as_("BOB")
        made = [
            await send(client, said(f"hello {n}", f"m{n}", contextId=f"c{n % 2}"), headers=ann)
            for n in range(5)
        ]
        await send(client, said("fail server_error", "m5", contextId="c3"), headers=ann)
        await client.post("/chat", {"message": "no task"}, headers=ann)
        await send(client, said("other"), headers=bob)
        names = [task["id"] for task in reversed(made)]
        found, token, pages = [], "", 0
        while True:
            params = {"pageSize": 2, "pageToken": token}
            page = await result(client, "ListTasks", params, headers=ann)
            assert (page["pageSize"], page["totalSize"]) == (2, 6)
            found += [task["id"] for task in page["tasks"]]
            assert all("artifacts" not in task for task in page["tasks"])
            token, pages = page["nextPageToken"], pages + 1
            if not token:
                break
        assert (found[1:], pages) == (names, 3)
        chosen = {"contextId": "c1", "status": "TASK_STATE_COMPLETED", "includeArtifacts": True}
        page = await result(client, "ListTasks", chosen, headers=ann)
        assert page["tasks"] == [made[3], made[1]]
        late = {"statusTimestampAfter": made[4]["status"]["timestamp"]}
        page = await result(client, "ListTasks", late, headers=ann)
        assert made[4]["id"] in [task["id"] for task in page["tasks"]]
        path = "/a2a/tasks?pageSize=1&status=TASK_STATE_FAILED&includeArtifacts=true"
        (failed,) = (await client.get(path, headers=ann)).json["tasks"]
        assert (failed["contextId"], failed["artifacts"]) == ("c3", [])
        for wrong in (
            {"pageSize": 0}, {"pageSize": 101}, {"pageSize": "x"}, {"pageSize": True}, {"pageToken": "x"},
            {"status": "working"}, {"includeArtifacts": 4}, {"statusTimestampAfter": "soon"}, {"contextId": 4},
        ):  # fmt: skip
            assert (await error(client, "ListTasks", wrong, headers=ann))["code"] == -32602, wrong
        gone = await error(client, "tasks/list", {}, headers=ann)
        assert gone["code"] == -32601


@pytest.mark.parametrize("backend", BACKENDS)
async def test_what_is_forgotten_is_listed_no_more(backend, request, tmp_path):
    async with serving(memory=memory(backend, request, tmp_path)) as client:
        await send(client, said("hello"))
        store = client.application.store
        (run,) = await store.runs.tasks("anonymous")
        await store.runs.remove(run.id)
        assert (await result(client, "ListTasks", {}))["totalSize"] == 0
        if backend == "redis":
            names = await store.backend.client._pool.redis.keys(f"*{tmp_path.name}*:tasks")
            assert names == []


@pytest.mark.parametrize("backend", BACKENDS)
async def test_a_task_that_ends_while_it_is_listed_has_ended(backend, request, tmp_path):
    async with serving(memory=memory(backend, request, tmp_path)) as client:
        await send(client, said("hello"))
        runs, registry = client.application.store.runs, client.application.runs.registry
        (ended,) = await runs.tasks("anonymous")

        async def tasks(user: str) -> list[Run]:
            return [replace(ended, status="running", ended=None)]

        runs.tasks = tasks
        assert await registry.tasks("anonymous") == [ended]


# -- anything at all -------------------------------------------------------------------------------

ODD: list[Any] = [
    None,
    True,
    -1,
    1.5,
    "",
    "x",
    "\u0000",
    "a" * 5000,
    [],
    [[]],
    {},
    {"a": None},
    [1, {}],
    2**70,
]


def places(document: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every value."""
    yield path
    listed = enumerate(document) if isinstance(document, list) else ()
    for key, value in document.items() if isinstance(document, dict) else listed:
        yield from places(value, (*path, key))


def changed(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    """Return a document with another value at a path."""
    if not path:
        return value
    copy = dict(document) if isinstance(document, dict) else list(document)
    copy[path[0]] = changed(document[path[0]], path[1:], value)
    return copy


@pytest.mark.parametrize("method", ["SendMessage", "message/send", "rest", "ListTasks"])
async def test_whatever_stands_at_any_place_is_taken_or_refused_in_words(method):
    new = said("hello", contextId="c", taskId="t", metadata={SCHEMA: NUMBER}, extensions=[HITL])
    parts = [{"text": "a"}, {"data": {"b": 1}}, {"raw": "eA==", "mediaType": "text/plain"}]
    files = [
        {"kind": "data", "data": {"value": 1}, "metadata": {"data_part_compat": True}},
        {"kind": "file", "file": {"bytes": "eA==", "mimeType": "text/plain", "name": "n"}},
    ]
    kinds = [
        {"text": "a"},
        {"data": {"data": {}}},
        {"file": {"file_with_bytes": "eA==", "name": "n"}},
    ]
    configuration = {"acceptedOutputModes": ["text/plain"], "returnImmediately": True}
    params: dict[str, Any] = {
        "SendMessage": {"message": new | {"parts": parts}, "configuration": configuration},
        "message/send": {"message": said_before("x", parts=files), "configuration": {"blocking": True}},
        "rest": {"message": {"message_id": "m", "role": "ROLE_USER", "content": kinds}},
        "ListTasks": {"contextId": "c", "pageSize": 1, "pageToken": "1.0_x", "includeArtifacts": True,
                      "status": "TASK_STATE_WORKING", "statusTimestampAfter": "2026-01-01T00:00:00Z"},
    }  # fmt: skip
    whole = params[method]
    if method != "rest":
        whole = {"jsonrpc": "2.0", "id": 1, "method": method, "params": whole}
    path = "/a2a/v1/message:send" if method == "rest" else "/a2a"
    async with serving() as client:
        for place in places(whole):
            for value in ODD:
                data = json.dumps(changed(whole, place, value)).encode()
                headers = {"Content-Type": "application/json"}
                reply = await client.ask("POST", path, data=data, headers=headers)
                assert reply.status < 500, (place, value, reply.body)
                assert b"see the runtime's log" not in reply.body
        assert await client.metric("agent_request_errors_total", error_type="internal") == 0
