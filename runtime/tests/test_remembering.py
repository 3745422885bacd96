"""An agent that remembers its users: notes, tools, /memories, and what is learned after the answers."""

import asyncio
import json
import subprocess
import sys

import pytest
from pydantic import ValidationError

from fleetform_runtime.memories.learning import LEARN, changes
from fleetform_runtime.messages import Assistant, ToolCall, Usage, User
from fleetform_runtime.models import ModelError
from fleetform_runtime.store import Memory
from runtime.tests.harness import BASE, serving, settings, until
from runtime.tests.stores import BACKENDS, memory

pytestmark = pytest.mark.anyio
MEMORY = {"user": "me", "idleSeconds": 600}
KEYS = {
    "auth": {
        "type": "apiKey",
        "keys": [
            {"name": "gateway", "secret": {"env": "GATEWAY"}, "onBehalf": True},
            {"name": "other", "secret": {"env": "OTHER"}},
        ],
    }
}
SECRETS = {"GATEWAY": "gateway-key-123456", "OTHER": "other-key-12345678"}


def on_behalf(user):
    return {"Authorization": "Bearer gateway-key-123456", "X-User-Id": user}


class Learner:
    """A model with one answer to what is learned, and others in turn to questions."""

    key = "gpt"

    def __init__(self, *answers, learned=None):
        self.answers = list(answers)
        self.learned = learned or {}
        self.asked = []
        self.documents = []

    async def respond(self, request, listener):
        if request.system == LEARN:
            self.documents.append(json.loads(request.messages[-1].text()))
            if isinstance(self.learned, Exception):
                raise self.learned
            text = self.learned if isinstance(self.learned, str) else json.dumps(self.learned)
            return Assistant(text, usage=Usage(7, 3))
        self.asked.append(request)
        answer = self.answers.pop(0) if self.answers else Assistant("fine")
        return Assistant(answer.text, calls=list(answer.calls), usage=Usage(1, 1), finish="stop")

    async def close(self):
        pass

    def __call__(self, model, secrets):
        return self


async def listed(client, **headers):
    reply = await client.get("/memories", headers=headers)
    assert reply.status == 200, reply.body
    return [one["text"] for one in reply.json["memories"]]


async def learned(client):
    """Let everything in the queue be looked through."""
    await client.application.remembering.drain(60)


async def test_notes_stand_beside_the_question_and_nowhere_else():
    told = Learner()
    async with serving(make=told, longTermMemory=MEMORY) as client:
        await client.post("/memories", {"text": "My dog is called Rex"})
        session = (await client.chat("Who is my dog?"))["session_id"]
        await client.chat("And my cat?", session_id=session)
        first, second = told.asked
        assert first.system == second.system == "You help."
        text = first.messages[-1].text()
        assert text.startswith("<notes>\n")
        assert text.endswith("- My dog is called Rex\n</notes>\n\nWho is my dog?")
        shown = [message.text for message in second.messages if isinstance(message, Assistant)]
        assert (shown, len(second.messages)) == (["fine"], 3)
        assert second.messages[0].content == "Who is my dog?"
        assert second.messages[-1].text().startswith("<notes>")
        parts = [{"type": "text", "text": "Look"}, {"type": "image_url", "image_url": {"url": "https://x.y/a.png"}}]  # fmt: skip
        await client.chat(parts, session_id=session)
        assert told.asked[-1].messages[-1].content[0].startswith("<notes>")
        assert len(told.asked[-1].messages[-1].content) == 3
        messages = (await client.get(f"/sessions/{session}/messages")).json["messages"]
        assert "Rex" not in json.dumps(messages)
        assert (await client.get("/memories")).json["memories"][0]["hits"] > 0


async def test_notes_reach_a_model_whose_conversations_are_summarised_and_no_summary_has_them():
    told = Learner()
    compression = {"threshold": 2}
    policy = {"compression": compression}
    fields = {"memory": {"type": "in-memory", "policy": policy}, "longTermMemory": MEMORY}
    async with serving(make=told, **fields) as client:
        await client.post("/memories", {"text": "My dog is called Rex"})
        session = (await client.chat("number one"))["session_id"]
        for n in range(4):
            await client.chat(f"number {n}", session_id=session)
        noted = [
            [m.text() for m in request.messages if isinstance(m, User) and "Rex" in m.text()]
            for request in told.asked
        ]
        summaries = [found for found in noted if not found]
        assert summaries
        assert all(len(found) <= 1 for found in noted)
        assert noted[-1][0].endswith("</notes>\n\nnumber 3")
        messages = (await client.get(f"/sessions/{session}/messages")).json["messages"]
        assert "Rex" not in json.dumps(messages)


async def test_users_have_memories_of_their_own():
    told = Learner()
    fields = {**KEYS, "longTermMemory": {"idleSeconds": 600}}
    async with serving(make=told, environment=SECRETS, **fields) as client:
        made = await client.post("/memories", {"text": "Ann is here"}, headers=on_behalf("ann"))
        assert (made.status, made.json["text"]) == (201, "Ann is here")
        name = made.json["id"]
        for other in (on_behalf("bob"), on_behalf("Ann"), {"X-API-Key": "other-key-12345678"}):
            assert await listed(client, **other) == []
            refused = await client.ask("DELETE", f"/memories/{name}", headers=other)
            assert (refused.status, refused.json["code"]) == (404, "memory_not_found")
            assert (await client.ask("DELETE", "/memories", headers=other)).json == {"deleted": 0}
            await client.post("/chat", {"message": "who is here?"}, headers=other)
            assert told.asked[-1].messages[-1].content == "who is here?"
        assert await listed(client, **on_behalf("ann")) == ["Ann is here"]
        assert (await client.get("/memories")).status == 401
        gone = await client.ask("DELETE", f"/memories/{name}", headers=on_behalf("ann"))
        assert (gone.status, await listed(client, **on_behalf("ann"))) == (204, [])


async def test_memories_are_listed_added_and_deleted():
    async with serving(longTermMemory=MEMORY) as client:
        for n in range(3):
            await client.post("/memories", {"text": f"Number {n}", "kind": "episodic"})
        page = (await client.get("/memories?offset=1&limit=1")).json
        assert (page["total"], page["offset"], len(page["memories"])) == (3, 1, 1)
        assert page["memories"][0]["kind"] == "episodic"
        for body in ({}, {"text": ""}, {"text": "x" * 501}, {"text": "x", "kind": "other"}):
            assert (await client.post("/memories", body)).status == 422
        assert (await client.post("/memories", {"text": "\u200b"})).status == 422
        assert (await client.ask("DELETE", "/memories")).json == {"deleted": 3}
        assert await listed(client) == []
        paths = (await client.get("/openapi.json")).json["paths"]
        assert {"/memories", "/memories/{id}"} <= paths.keys()
        assert await client.metric("agent_memories_changed_total", change="added") == 3
        assert await client.metric("agent_memories_changed_total", change="deleted") == 3


async def test_the_agent_remembers_and_forgets_with_tools():
    async with serving(longTermMemory=MEMORY) as client:
        answer = await client.chat('call remember {"text": "Drinks green tea"}')
        assert answer["tool_calls"][0]["content"] == "Remembered: Drinks green tea"
        assert (await client.chat("what do you know"))["output"].endswith("green tea\n</notes>")
        answer = await client.chat('call forget {"query": "what about my garden tea"}')
        assert answer["tool_calls"][0]["content"].startswith("Nothing was deleted. Call again")
        assert await listed(client) == ["Drinks green tea"]
        answer = await client.chat('call forget {"query": "the tea"}')
        assert answer["tool_calls"][0]["content"] == "Deleted: 1 of what was remembered."
        assert await listed(client) == []
        answer = await client.chat('call forget {"query": "the tea"}')
        assert answer["tool_calls"][0]["content"] == "Nothing like that is remembered."
        for text in ("one", "two"):
            await client.chat(f'call remember {{"text": "{text}"}}')
        name = (await client.get("/memories")).json["memories"][0]["id"]
        await client.chat(f'call forget {{"id": "{name}"}}')
        assert len(await listed(client)) == 1
        await client.chat('call forget {"all": true}')
        assert await listed(client) == []
        for wrong in ("{}", '{"query": ""}', '{"other": 1}'):
            answer = await client.chat(f"call forget {wrong}")
            assert not answer["tool_calls"][0]["ok"]
        names = {tool["name"] for tool in (await client.get("/info")).json["tools"]}
        assert names == {"remember", "forget"}


async def test_people_may_have_to_approve_what_is_remembered():
    async with serving(longTermMemory=MEMORY | {"requiresApproval": True}) as client:
        paused = await client.chat('call remember {"text": "Drinks tea"}')
        assert paused["finish_reason"] == "approval_required"
        assert await listed(client) == []
        decisions = [{"id": "call_1", "approved": True}]
        path = f"/runs/{paused['run_id']}/approvals"
        await client.post(path, {"decisions": decisions})
        assert await listed(client) == ["Drinks tea"]


API = {
    "type": "api",
    "name": "look_up",
    "description": "Looks things up.",
    "method": "GET",
    "endpoint": "http://127.0.0.1:9/x",
}


async def test_what_a_tool_says_is_not_remembered_by_the_model_that_heard_it():
    calls = [ToolCall("a", "look_up", "{}")], [ToolCall("b", "remember", '{"text": "Obey"}')]
    told = Learner(*(Assistant("", calls=one) for one in calls))
    async with serving(make=told, longTermMemory=MEMORY, tools=[API]) as client:
        answer = await client.chat("look it up")
        assert answer["tool_calls"][1]["content"].startswith("Not remembered: other tools")
        assert await listed(client) == []


async def test_what_a_user_says_is_learned_after_the_answers():
    told = Learner(learned={"add": [{"kind": "semantic", "text": "Lives in Seoul"}]})
    async with serving(make=told, longTermMemory=MEMORY) as client:
        session = (await client.chat("I live in Seoul"))["session_id"]
        await client.chat("near the river", session_id=session)
        assert told.documents == []
        await learned(client)
        assert told.documents == [
            {
                "known": [],
                "conversation": [
                    {"user": "I live in Seoul", "assistant": "fine"},
                    {"user": "near the river", "assistant": "fine"},
                ],
            }
        ]
        (kept,) = (await client.get("/memories")).json["memories"]
        assert (kept["text"], kept["session_id"]) == ("Lives in Seoul", session)
        told.learned = {
            "update": [{"n": 1, "text": "Lives in Busan"}, {"n": 9, "text": "x"}],
            "add": [{"text": "Has a boat", "kind": "odd"}, {"text": 5}, "x"],
        }
        await client.chat("I moved to Busan", session_id=session)
        await learned(client)
        assert told.documents[-1]["known"] == [
            {"n": 1, "kind": "semantic", "text": "Lives in Seoul"}
        ]
        assert sorted(await listed(client)) == ["Has a boat", "Lives in Busan"]
        told.learned = {"delete": [1, 2, 3, 0, -1, True, "1"]}
        await client.chat("All of that is over", session_id=session)
        await learned(client)
        assert await listed(client) == []
        assert await client.metric("agent_memory_extractions_total", outcome="learned") == 3
        assert await client.metric("agent_llm_tokens_total", type="input") > 20


async def test_only_what_users_say_and_what_is_concluded_from_it_is_learned_from():
    """Neither results of tools, nor answers that have seen any, nor files, nor what other agents say."""
    call = Assistant("", calls=[ToolCall("a", "look_up", "{}")])
    told = Learner(Assistant("own"), call, Assistant("SECRET-OF-A-TOOL"), Assistant("as it said"))
    async with serving(make=told, longTermMemory=MEMORY, tools=[API]) as client:
        session = (await client.chat("one"))["session_id"]
        for message in ("two", "three"):
            await client.chat(message, session_id=session)
        file = {"type": "file", "file": {"filename": "a.md", "file_data": "data:text/markdown;base64,RVZJTA=="}}  # fmt: skip
        await client.chat([{"type": "text", "text": "read it"}, file])
        hops = {"Fleetform-Hops": "1"}
        await client.post("/chat", {"message": "I am an agent"}, headers=hops)
        body = {"model": "greeter", "messages": [{"role": "user", "content": "I am a client"}]}
        assert (await client.post("/v1/chat/completions", body)).status == 200
        await learned(client)
    assert [document["conversation"] for document in told.documents] == [
        [{"user": "one", "assistant": "own"}, {"user": "two"}, {"user": "three"}],
        [{"user": "read it"}],
    ]
    assert all(not request.tools or len(request.tools) in (1, 3) for request in told.asked)
    assert [len(request.tools) for request in told.asked[-2:]] == [1, 1]


async def test_a_conversation_is_looked_through_when_it_rests_or_is_long():
    told = Learner()
    fields = {"longTermMemory": MEMORY | {"idleSeconds": 0.05}}
    async with serving(make=told, **fields) as client:
        await client.chat("I rest")
        await until(lambda: told.documents)
    told = Learner()
    async with serving(make=told, longTermMemory=MEMORY | {"maxTurns": 2}) as client:
        session = (await client.chat("one"))["session_id"]
        await client.chat("elsewhere")
        await client.chat("two", session_id=session)
        await until(lambda: told.documents)
        assert [one["user"] for one in told.documents[0]["conversation"]] == ["one", "two"]
    assert len(told.documents) == 2  # the process ended: what was in the queue was learned


@pytest.mark.parametrize("how", ["all", "one", "tool", "session", "conversation"])
async def test_nothing_in_the_queue_brings_back_what_was_deleted(how):
    told = Learner(learned={"add": [{"text": "Lives in Seoul"}]})
    async with serving(make=told, longTermMemory=MEMORY) as client:
        kept = (await client.post("/memories", {"text": "Drinks tea"})).json["id"]
        session = (await client.chat("I live in Seoul"))["session_id"]
        if how == "all":
            await client.ask("DELETE", "/memories")
        elif how == "one":
            await client.ask("DELETE", f"/memories/{kept}")
        elif how == "tool":
            forget = Assistant("", calls=[ToolCall("a", "forget", '{"query": "tea"}')])
            told.answers = [forget]
            await client.chat("I live in Seoul, and forget my tea", session_id=session)
        elif how == "session":
            await client.ask("DELETE", f"/sessions/{session}?memories=true")
        else:
            await client.ask("DELETE", f"/sessions/{session}")
        await learned(client)
        left = ["Drinks tea"] if how in ("session", "conversation") else []
        assert (await listed(client), told.documents) == (left, [])
        await client.chat("I live in Seoul")
        await learned(client)
        assert "Lives in Seoul" in await listed(client)


async def test_a_deletion_while_a_run_or_an_extraction_goes_on_counts():
    """The queue of another replica does not know of it: the mark does."""
    told = Learner(learned={"add": [{"text": "Lives in Seoul"}]})
    async with serving(make=told, longTermMemory=MEMORY) as client:
        await client.chat("I live in Seoul")
        await client.application.store.memories.remove("me")
        await learned(client)
        assert await listed(client) == []
        assert await client.metric("agent_memory_extractions_total", outcome="dropped") == 1

        respond = told.respond

        async def deleting(request, listener):
            if request.system == LEARN:
                await client.application.store.memories.remove("me")
            return await respond(request, listener)

        told.respond = deleting
        await client.chat("I live in Seoul")
        await learned(client)
        assert (await listed(client), len(told.documents)) == ([], 1)


async def test_a_session_goes_with_what_was_learned_in_it():
    told = Learner(learned={"add": [{"text": "Lives in Seoul"}]})
    async with serving(make=told, longTermMemory=MEMORY) as client:
        await client.post("/memories", {"text": "Drinks tea"})
        session = (await client.chat("I live in Seoul"))["session_id"]
        await learned(client)
        wrong = await client.ask("DELETE", f"/sessions/{session}?memories=yes")
        assert (wrong.status, wrong.json["code"]) == (400, "invalid_request")
        assert len(await listed(client)) == 2
        done = await client.ask("DELETE", f"/sessions/{session}?memories=true")
        assert (done.status, await listed(client)) == (204, ["Drinks tea"])


@pytest.mark.parametrize(
    "learned_", ["no JSON", "[1]", '{"add": 5, "update": {}, "delete": "x"}', "```json\n{}\n```"]
)
async def test_a_model_that_makes_no_sense_changes_nothing(learned_):
    told = Learner(learned=learned_)
    async with serving(make=told, longTermMemory=MEMORY) as client:
        await client.post("/memories", {"text": "Drinks tea"})
        await client.chat("hello")
        await learned(client)
        assert await listed(client) == ["Drinks tea"]
        assert await client.metric("agent_memory_extractions_total", outcome="nothing") == 1


async def test_a_model_that_fails_is_told_of_and_nothing_else_happens(monkeypatch, caplog):
    monkeypatch.setattr("fleetform_runtime.memories.learning.AGAIN_SECONDS", 0)
    told = Learner(learned=ModelError("server_error", "down"))
    async with serving(make=told, longTermMemory=MEMORY) as client:
        assert (await client.chat("hello"))["output"] == "fine"
        await learned(client)
        assert await client.metric("agent_memory_extractions_total", outcome="failed") == 1
    assert "nothing was learned" in caplog.text


def test_a_memory_that_is_changed_is_not_deleted_too():
    known = [Memory(id="a", text="x"), Memory(id="b", text="y")]
    text = '{"update": [{"n": 1, "text": "z"}], "delete": [1, 2, 2]}'
    drafts, gone = changes(text, known)
    assert ([draft.instead_of for draft in drafts], gone) == (["a"], ["b"])


async def test_one_of_several_models_decides_what_to_learn():
    models = {}

    def make(model, _):
        return models.setdefault(model.name, Learner())

    fields = {"models": [{"provider": "openai", "name": "cheap"}]}
    fields["longTermMemory"] = MEMORY | {"model": "cheap"}
    async with serving(make=make, **fields) as client:
        await client.chat("hello")
        await learned(client)
    assert (len(models["gpt"].documents), len(models["cheap"].documents)) == (0, 1)


@pytest.mark.parametrize("backend", BACKENDS)
async def test_another_session_knows_what_was_said_in_one(backend, request, tmp_path):
    section = memory(backend, request, tmp_path)
    async with serving(memory=section, longTermMemory=MEMORY) as client:
        await client.chat("I live in Seoul")
        await learned(client)
        assert (await client.chat("what do you know"))["output"].endswith(
            "- I live in Seoul\n</notes>"
        )
        assert (await client.ask("DELETE", "/memories")).json == {"deleted": 1}
        assert (await client.chat("what do you know"))["output"] == "nothing"


async def test_without_the_field_nothing_of_it_is_there():
    async with serving() as client:
        for method, path in (("GET", "/memories"), ("DELETE", "/memories/x")):
            assert (await client.ask(method, path)).json["code"] == "not_found"
        assert "/memories" not in (await client.get("/openapi.json")).json["paths"]
        answer = await client.chat('call remember {"text": "x"}')
        assert "There is no such tool" in answer["tool_calls"][0]["content"]
        session = answer["session_id"]
        assert (await client.ask("DELETE", f"/sessions/{session}?memories=true")).status == 204
        assert client.application.remembering is None


IMPORTS = """
import sys
from fleetform_runtime.application import Application
from fleetform_runtime.secrets import Secrets
from fleetform_runtime.settings import Prompts, Settings
Application(Settings.model_validate_json(sys.argv[1]), Prompts(""), Secrets({}))
print(any(name.startswith("fleetform_runtime.memories") for name in sys.modules))
"""


@pytest.mark.parametrize(("fields", "found"), [({}, "False"), ({"longTermMemory": MEMORY}, "True")])
def test_what_remembers_is_imported_only_where_something_is(fields, found):
    command = [sys.executable, "-c", IMPORTS, json.dumps(BASE | fields)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == found


async def test_adding_memories_counts_as_requests_do():
    limits = {"requestsPerMinute": 2}
    async with serving(longTermMemory=MEMORY, limits=limits) as client:
        statuses = [(await client.post("/memories", {"text": f"n {n}"})).status for n in range(3)]
        assert statuses == [201, 201, 429]


async def test_adding_while_others_delete_all_the_time_is_a_conflict():
    async with serving(longTermMemory=MEMORY) as client:

        async def refused(*given):
            return False

        client.application.remembering.memories._store.write = refused
        added = await client.post("/memories", {"text": "x"})
        assert (added.status, added.json["code"]) == (409, "conflict")
        answer = await client.chat('call remember {"text": "x"}')
        assert answer["tool_calls"][0]["content"].startswith("What is remembered cannot be reached")


async def test_no_more_of_a_message_is_kept_in_the_queue_than_is_looked_at():
    told = Learner(Assistant("y" * 9_000))
    async with serving(make=told, longTermMemory=MEMORY) as client:
        await client.chat("x" * 100_000)
        (heard,) = client.application.remembering.learning._queue.values()
        assert [(len(one.said), len(one.answered)) for one in heard.exchanges] == [(4_000, 4_000)]


@pytest.mark.parametrize(
    ("changes_", "why"),
    [
        ({"longTermMemory": {}}, "user is missing"),
        ({"longTermMemory": MEMORY, "memory": {"type": "none"}}, "needs a store"),
        ({"longTermMemory": MEMORY, **KEYS}, "is for auth of type none"),
        ({"longTermMemory": MEMORY | {"model": "gpt-9"}}, "gpt-9 is none of the agent's models"),
        ({"longTermMemory": MEMORY, "tools": [API | {"name": "forget"}]}, "rename yours"),
        ({"longTermMemory": MEMORY | {"maxMemories": 0}}, "greater than or equal to 1"),
        ({"longTermMemory": MEMORY | {"user": " "}}, "pattern"),
    ],
)
def test_memories_of_nobody_are_refused(changes_, why):
    with pytest.raises(ValidationError, match=why):
        settings(**changes_)


async def test_a_store_that_is_away_costs_the_notes_and_not_the_answer():
    told = Learner()
    async with serving(make=told, longTermMemory=MEMORY) as client:
        from fleetform_runtime.store import StoreError

        async def away(owner):
            raise StoreError("away")

        client.application.remembering.memories._store.load = away
        assert (await client.chat("hello"))["output"] == "fine"
        assert (await client.get("/memories")).json["code"] == "memory_unavailable"
        await asyncio.sleep(0)
        assert client.application.remembering.learning._queue == {}
