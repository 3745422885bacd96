"""`fleetform-runtime forget`: a user is deleted with every byte, and nothing that goes on brings it back."""

import asyncio
import json
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest

from fleetform_runtime.access.redis_counters import RedisCounters
from fleetform_runtime.cli import main
from fleetform_runtime.memories import command
from fleetform_runtime.runs.erasing import RefusedError, erased
from fleetform_runtime.secrets import Secrets
from fleetform_runtime.store import Pause, Run
from runtime.tests.a2a_calls import error, said, send
from runtime.tests.harness import BASE, Gated, serving, settings, until
from runtime.tests.stores import HERE, SHARED, memory, opened, rows
from runtime.tests.test_memories import dump, noted
from runtime.tests.test_remembering import KEYS, SECRETS, Learner, learned, on_behalf

pytestmark = pytest.mark.anyio
KEPT = ("filesystem", "redis", "postgres")
ANN = "gateway/ann-the-first"


def config(tmp_path, **fields):
    file = tmp_path / "agent.json"
    file.write_text(json.dumps(BASE | fields))
    return str(file)


def forget(file, user=ANN):
    return main(["forget", "--config", file, "--user", user])


async def in_a_thread(file, user=ANN):
    return await asyncio.to_thread(forget, file, user)


@pytest.mark.parametrize("backend", KEPT)
async def test_no_byte_is_left_of_a_user_and_all_of_others(backend, request, tmp_path, capsys):
    section = memory(backend, request, tmp_path)
    fields = {**KEYS, "memory": section, "longTermMemory": {}}
    fields["limits"] = {"perUser": {"requestsPerMinute": 100}}
    fields["tools"] = [
        {"type": "human", "name": "ask_lead", "description": "Asks.", "parameters": []}
    ]
    async with serving(environment=SECRETS, **fields) as client:
        for user in ("ann-the-first", "bob-the-other"):
            said = {"message": f"I am {user} with WORDS"}
            await client.post("/chat", said, headers=on_behalf(user))
            await client.post("/chat", {"message": "call ask_lead {}"}, headers=on_behalf(user))
        await learned(client)
        if backend != "filesystem":
            assert await in_a_thread(config(tmp_path, **fields)) == 0
            found = await client.get("/memories", headers=on_behalf("ann-the-first"))
            assert found.json["memories"] == []
    if backend == "filesystem":
        assert await in_a_thread(config(tmp_path, **fields)) == 0
    runs = 1 if backend == "filesystem" else 2  # files hold only those that wait
    line = f"{ANN}: deleted: 2 sessions, 1 memories, {runs} runs\n"
    assert capsys.readouterr().out == line
    async with opened(section, memory_seconds=1e9) as store:
        left = await dump(section, request, tmp_path, store)
        assert b"ann-the-first" not in left
        assert b"bob-the-other" in left
        assert len((await store.memories.load("gateway/bob-the-other")).memories) == 1
        assert len(await store.pauses.page(0, 9)) == 1
    assert await in_a_thread(config(tmp_path, **fields)) == 0
    assert "0 sessions, 0 memories, 0 runs" in capsys.readouterr().out


@pytest.mark.parametrize("backend", SHARED)
async def test_nothing_that_waits_in_a_replica_brings_a_user_back(
    backend, request, tmp_path, capsys
):
    section = memory(backend, request, tmp_path)
    fields = {**KEYS, "memory": section, "longTermMemory": {"idleSeconds": 600}}
    told = Learner(learned={"add": [{"text": "Is ann-the-first"}]})
    async with serving(make=told, environment=SECRETS, **fields) as client:
        headers = on_behalf("ann-the-first")
        session = (await client.post("/chat", {"message": "hello"}, headers=headers)).json
        assert await in_a_thread(config(tmp_path, **fields)) == 0
        await learned(client)
        assert told.documents == []
        asked = {"message": "again", "session_id": session["session_id"]}
        again = await client.post("/chat", asked, headers=headers)
        assert again.json["code"] == "session_not_found"
        store = client.application.store
        assert b"ann-the-first" not in await dump(section, request, tmp_path, store)


@pytest.mark.parametrize("backend", KEPT)
async def test_no_replica_tells_of_runs_that_were_deleted(backend, request, tmp_path):
    section = memory(backend, request, tmp_path)
    tools = [{"type": "human", "name": "ask_lead", "description": "Asks.", "parameters": []}]
    fields = {**KEYS, "memory": section, "tools": tools}
    ann, bob = on_behalf("ann-the-first"), on_behalf("bob-the-other")
    async with AsyncExitStack() as stack:
        replicas = [
            await stack.enter_async_context(serving(environment=SECRETS, **fields))
            for _ in range(1 if backend == "filesystem" else 2)
        ]
        runs = []
        for words in ("hello", "call ask_lead {}", "fail refused"):
            answered = await replicas[0].post("/chat", {"message": words}, headers=ann)
            runs.append(answered.json["run_id"])
        runs.append((await send(replicas[0], said("hello"), headers=ann))["id"])
        others = await replicas[0].post("/chat", {"message": "hello"}, headers=bob)
        kept = f"/runs/{others.json['run_id']}"
        assert await in_a_thread(config(tmp_path, **fields)) == 0
        for client in replicas:
            for run in runs:
                for path in (f"/runs/{run}", f"/runs/{run}/events"):
                    assert (await client.get(path, headers=ann)).status == 404
                told = await error(client, "GetTask", {"id": run}, headers=ann)
                assert told["data"][0]["reason"] == "TASK_NOT_FOUND"
            assert (await client.get(kept, headers=bob)).json["status"] == "succeeded"
            events = await client.events(f"{kept}/events", method="GET", headers=bob)
            assert events[-1].type == "done"
        again = await send(replicas[0], said("hello"), headers=ann)
        assert again["status"]["state"] == "TASK_STATE_COMPLETED"


@pytest.mark.parametrize("backend", SHARED)
async def test_runs_that_go_on_are_cancelled_first(backend, request, tmp_path, capsys):
    section = memory(backend, request, tmp_path)
    fields = {**KEYS, "memory": section, "longTermMemory": {}}
    gated = Gated()
    async with serving(make=gated, environment=SECRETS, **fields) as client:
        asking = asyncio.create_task(
            client.post("/chat", {"message": "hello"}, headers=on_behalf("ann-the-first"))
        )
        await until(lambda: gated.waiting)
        assert await in_a_thread(config(tmp_path, **fields)) == 0
        assert (await asking).json["code"] == "cancelled"
        store = client.application.store
        assert b"ann-the-first" not in await dump(section, request, tmp_path, store)


async def test_a_run_that_does_not_end_is_told_of_and_one_of_the_dead_is_not(redis, tmp_path):
    section = {"type": "redis", "host": "127.0.0.1", "port": redis.port}
    async with opened(section | {"keyPrefix": f"f{tmp_path.name}:"}, memory_seconds=10) as store:
        await store.conversations.append(replace(HERE, user=ANN), rows("x"))
        run = Run(id="r", user=ANN, session="s", replica="alive")
        await store.runs.put(run, [], 60)
        await store.backend.hold("replica:alive", "alive", 60)
        with pytest.raises(RefusedError, match="goes on: take the access away"):
            await erased(store, ANN, seconds=0)
        assert await store.runs.is_cancel_asked("r")
        assert (await store.conversations.recent(ANN, 0, 9))[1] == 1
        await store.runs.put(replace(run, replica="dead"), [], 60)
        for n in range(3):
            await store.pauses.put(
                Pause(run=f"p{n}", user=ANN if n else "bob", session="s", since=n, expires=9)
            )
        gone = await erased(store, ANN, seconds=0)
        assert (gone.sessions, gone.runs) == (1, 1)
        assert [pause.run for pause in await store.pauses.page(0, 9)] == ["p0"]


async def test_memories_of_an_agent_that_remembers_no_more_are_deleted_too(
    postgres, request, tmp_path, capsys
):
    section = memory("postgres", request, tmp_path)
    async with opened(section, memory_seconds=1e9) as store:
        await store.memories.write(ANN, "", [noted("a")])
    assert await in_a_thread(config(tmp_path, memory=section)) == 0
    assert "1 memories" in capsys.readouterr().out


async def test_an_agent_that_has_its_folder_open_deletes_the_user_itself(request, tmp_path, capsys):
    section = memory("filesystem", request, tmp_path)
    gated = Gated()
    gated.gate.set()
    fields = {**KEYS, "memory": section, "longTermMemory": {"idleSeconds": 600}}
    ann, bob = on_behalf("ann-the-first"), on_behalf("bob-the-other")
    async with serving(make=gated, environment=SECRETS, **fields) as client:
        for headers in (ann, bob):
            await client.post("/memories", {"text": "Likes tea"}, headers=headers)
            await client.post("/chat", {"message": "I like tea"}, headers=headers)
        gated.gate.clear()
        asking = asyncio.create_task(client.post("/chat", {"message": "hello"}, headers=ann))
        await until(lambda: gated.waiting)
        assert await in_a_thread(config(tmp_path, **fields)) == 0
        assert (await asking).json["code"] == "cancelled"
        assert capsys.readouterr().out.startswith(
            f"{ANN}: deleted: 2 sessions, 1 memories, "
        )  # one of them begun
        gated.gate.set()
        await learned(client)
        assert (await client.get("/sessions", headers=ann)).json["total"] == 0
        assert (await client.get("/memories", headers=ann)).json["total"] == 0
        assert (await client.get("/sessions", headers=bob)).json["total"] == 1
        left = await dump(section, request, tmp_path, client.application.store)
        assert b"ann-the-first" not in left
    assert b"ann-the-first" not in await dump(section, request, tmp_path, client.application.store)


async def test_an_agent_that_does_not_answer_or_cannot_delete_is_told_of(
    request, tmp_path, capsys, monkeypatch
):
    section = memory("filesystem", request, tmp_path)
    file = config(tmp_path, memory=section)
    async with serving(memory=section) as client:
        await client.chat("hello")

        async def fails(user):
            raise ValueError(user)

        client.application.store.conversations.clear = fails
        assert await in_a_thread(file, "anonymous") == 1
        assert "error: it failed; the log of the agent" in capsys.readouterr().err
    async with opened(section):
        monkeypatch.setattr(command, "WAIT_SECONDS", 0)
        monkeypatch.setattr(command, "MORE_SECONDS", 0.1)
        assert await in_a_thread(file, "anonymous") == 1
        assert "error: the agent has its folder open and does not" in capsys.readouterr().err
    assert list((tmp_path / "sessions/errands").iterdir()) == []
    assert await in_a_thread(file, "anonymous") == 0
    assert "1 sessions" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("fields", "user", "code", "said"),
    [
        ({}, ANN, 1, "in-memory is kept by the agent's process alone"),
        ({"memory": {"type": "none"}}, ANN, 1, "type none is kept"),
        ({"memory": {"type": "redis", "host": "127.0.0.1", "port": 9}}, ANN, 1, "Error"),
        ({"memory": {"type": "redis"}}, ANN, 1, "host: Field required"),
        ({}, " ", 2, "--user: say whom"),
        (
            {"memory": {"type": "redis", "host": "h", "password": {"env": "NOWHERE"}}},
            ANN,
            1,
            "NOWHERE",
        ),
    ],
)
def test_what_cannot_be_done_is_said(fields, user, code, said, tmp_path, capsys):
    assert forget(config(tmp_path, **fields), user) == code
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert said in error


async def test_counters_of_users_whose_names_look_like_patterns_are_told_apart(redis, tmp_path):
    counters = RedisCounters(
        settings(
            memory={
                "type": "redis",
                "host": "127.0.0.1",
                "port": redis.port,
                "keyPrefix": f"c{tmp_path.name}:",
            }
        ).memory,
        Secrets({}),
        "n",
        "a",
    )
    names = [f"user:{user}:requests:1" for user in ("a*", "ab", "a[b]", "a\\")]
    await counters.add([(name, 1.0, 60) for name in names])
    for user in ("a*", "a[b]", "a\\"):
        await counters.forget(user)
    assert await counters.add([(name, 1.0, 60) for name in names]) == [1.0, 2.0, 1.0, 1.0]
    await counters.close()
