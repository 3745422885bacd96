"""Variants of an agent: a session draws one when it begins, and has it as long as it lives."""

import asyncio
import random
import signal
from collections import Counter, defaultdict
from contextlib import ExitStack

import aiohttp
import pytest
from pydantic import ValidationError

from fleetform_runtime.messages import Assistant, Usage
from fleetform_runtime.runs.variants import variants
from fleetform_runtime.settings import Prompts
from fleetform_runtime.store import Session
from runtime.tests.harness import serving, settings
from runtime.tests.process import Runtime
from runtime.tests.stores import BACKENDS, memory
from runtime.tests.upstreams import answers, completion, upstream

pytestmark = pytest.mark.anyio
PROMPTS = {"brief": "You are brief."}
BRIEF = {"name": "brief", "weight": 10, "prompt": {"system": {"file": "brief.md"}}}
CHEAP = {"name": "cheap", "weight": 20, "model": {"provider": "openai", "name": "mini"}}
TOOL = {
    "type": "api",
    "description": "d",
    "endpoint": "https://api.example/x",
    "method": "GET",
}


class Honest:
    """A model that answers who it is, what it was told, and with which tools."""

    def __init__(self, key: str) -> None:
        self.key = key

    async def respond(self, request, listener):
        text = (
            f"{self.key}|{request.system}|{','.join(sorted(tool.name for tool in request.tools))}"
        )
        return Assistant(text=text, usage=Usage(10, 5, cost_usd=None))

    async def close(self):
        """Nothing is open."""


def honest(model, _):
    return Honest(model.key)


def only(name: str, weight: float = 100, **fields):
    return [{"name": name, "weight": weight, **fields}]


@pytest.mark.parametrize("backend", BACKENDS)
async def test_a_session_keeps_its_variant_whatever_weights_become(backend, request, tmp_path):
    section = memory(backend, request, tmp_path)
    names = {}
    brief = {"prompt": {"system": {"file": "brief.md"}}}
    async with serving(
        make=honest, memory=section, prompts=PROMPTS, variants=only("brief", **brief)
    ) as client:
        first = await client.chat("hi")
        made = await client.post("/sessions", {"session_id": "made"})
        assert (first["output"], made.json["variant"]) == ("gpt|You are brief.|", "brief")
        names["brief"] = first["session_id"]
        shown = await client.get(f"/sessions/{first['session_id']}")
        assert shown.json["variant"] == "brief"
        if backend == "in-memory":
            return
    async with serving(
        make=honest, memory=section, prompts=PROMPTS, variants=only("brief", 0, **brief)
    ) as client:
        for session in (names["brief"], "made"):
            assert (await client.chat("hi", session_id=session))["output"] == "gpt|You are brief.|"
        new = await client.chat("hi")
        assert new["output"] == "gpt|You help.|"
        names["base"] = new["session_id"]
    async with serving(
        make=honest, memory=section, prompts=PROMPTS, variants=only("brief", **brief)
    ) as client:
        again = await client.chat("hi", session_id=names["base"])
        assert again["output"] == "gpt|You help.|"
    async with serving(make=honest, memory=section, variants=only("other")) as client:
        gone = await client.chat("hi", session_id=names["brief"])
        assert gone["output"] == "gpt|You help.|"
    async with serving(
        make=honest, memory=section, prompts=PROMPTS, variants=only("brief", **brief)
    ) as client:
        back = await client.chat("hi", session_id=names["brief"])
        assert back["output"] == "gpt|You are brief.|"


async def test_a_session_from_before_there_were_variants_is_the_agents_own(tmp_path, request):
    section = memory("filesystem", request, tmp_path)
    async with serving(make=honest, memory=section) as client:
        old = (await client.chat("hi"))["session_id"]
        assert "variant" not in (await client.get(f"/sessions/{old}")).json
    variant = only("brief", prompt={"system": {"file": "brief.md"}})
    async with serving(make=honest, memory=section, prompts=PROMPTS, variants=variant) as client:
        assert (await client.chat("hi", session_id=old))["output"] == "gpt|You help.|"
        assert (await client.get(f"/sessions/{old}")).json["variant"] == "base"


async def test_a_variants_model_answers_unless_the_session_chooses_another_one():
    cheap = only("cheap", model={"provider": "openai", "name": "mini"})
    others = [{"provider": "openai", "name": "large"}]
    async with serving(make=honest, variants=cheap, models=others) as client:
        first = await client.chat("hi")
        assert first["output"].startswith("mini|")
        session = first["session_id"]
        assert (await client.chat("hi", session_id=session))["output"].startswith("mini|")
        chosen = await client.chat("hi", session_id=session, model="large")
        assert chosen["output"].startswith("large|")
        assert (await client.post("/sessions", {})).json["model"] == "mini"
        listed = (await client.get("/v1/models")).json["data"]
        assert "mini" not in {item["id"] for item in listed}
        refused = await client.post("/chat", {"message": "hi", "model": "mini"})
        assert refused.json["code"] == "model_not_found"


async def test_tools_belong_to_the_variants_that_they_name():
    tools = [
        {**TOOL, "name": "shared"},
        {**TOOL, "name": "new", "variants": ["brief"]},
        {**TOOL, "name": "old", "variants": ["base"]},
    ]
    for weight, has in ((100, "new,shared"), (0, "old,shared")):
        async with serving(make=honest, tools=tools, variants=only("brief", weight)) as client:
            assert (await client.chat("hi"))["output"].endswith(f"|{has}")
            card = (await client.get("/.well-known/agent-card.json")).json
            assert [item["id"] for item in card["skills"][1:]] == ["shared", "old"]


async def test_what_a_variant_does_is_counted_as_its_own():
    variant = only("brief", model={"provider": "openai", "name": "mini", "pricing": PRICES})
    async with serving(make=priced, variants=variant) as client:
        await client.chat("hi")
        await client.post(
            "/v1/chat/completions",
            {"model": "greeter", "messages": [{"role": "user", "content": "x"}]},
        )
        await client.get("/sessions")
        for name, labels in {
            "agent_request_total": {"route": "/chat", "status": "2xx"},
            "agent_request_duration_seconds_count": {"route": "/v1/chat/completions"},
        }.items():
            assert await client.metric(name, variant="brief", **labels) == 1, name
            assert await client.metric(name, variant="base", **labels) == 0, name
        assert await client.metric("agent_llm_tokens_total", variant="brief", type="input") == 20
        assert await client.metric("agent_request_total", variant="", route="/sessions") == 1
        assert await client.metric("agent_request_total", variant="brief", route="/sessions") == 0
        assert (await client.post("/chat", {"message": "fail server_error"})).status == 502
        assert await client.metric("agent_request_errors_total", variant="brief") == 1
        assert await client.metric("agent_request_errors_total", variant="base") == 0
        text = await client.scrape()
        assert (
            'agent_request_errors_total{agent="greeter",error_type="model",variant="base"}' in text
        )
    async with serving(make=honest) as client:
        await client.chat("hi")
        assert "variant" not in await client.scrape()


PRICES = {"inputPerMillion": 1, "outputPerMillion": 1}


def priced(model, secrets):
    from fleetform_runtime.models.scripted import ScriptedModel

    class Counting(ScriptedModel):
        async def respond(self, request, listener):
            answer = await super().respond(request, listener)
            answer.usage = Usage(10, 5)
            return answer

    return Counting(model.key)


async def test_a_conversation_that_its_caller_keeps_has_one_variant_too():
    half = only("brief", 50, prompt={"system": {"file": "brief.md"}})
    seen = Counter()
    async with serving(make=honest, prompts=PROMPTS, variants=half) as client:
        for number in range(40):
            messages = [{"role": "user", "content": f"question {number}"}]
            answers = set()
            for _ in range(3):
                reply = await client.post(
                    "/v1/chat/completions", {"model": "greeter", "messages": messages}
                )
                said = reply.json["choices"][0]["message"]["content"]
                answers.add(said)
                messages += [
                    {"role": "assistant", "content": said},
                    {"role": "user", "content": "and then?"},
                ]
            assert len(answers) == 1
            seen[answers.pop()] += 1
    assert min(seen["gpt|You help.|"], seen["gpt|You are brief.|"]) > 8


def test_shares_are_those_of_the_weights():
    found = variants(settings(variants=[BRIEF, CHEAP]), Prompts("", PROMPTS))
    drawn = Counter(found.drawn(f"session-{number}").name for number in range(10_000))
    assert drawn["brief"] == pytest.approx(1_000, abs=100)
    assert drawn["cheap"] == pytest.approx(2_000, abs=130)
    assert found.names == ("base", "brief", "cheap")


def test_whoever_loses_a_variant_is_told_of_once(caplog):
    found = variants(settings(variants=[CHEAP]), Prompts(""))
    session = Session(id="s", user="u", messages=2, variant="gone")
    for _ in range(3):
        variant, kept = found.of(session, "s")
        assert (variant.name, kept.variant) == ("base", "gone")
    assert caplog.text.count("the variant gone") == 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"variants": [BRIEF, BRIEF]}, "two variants are named brief"),
        ({"variants": only("base")}, "two variants are named base"),
        ({"variants": [*only("a", 60), *only("b", 41)]}, "sum up to 101 percent"),
        ({"variants": only("a", -1)}, "greater than or equal to 0"),
        ({"tools": [{**TOOL, "name": "t", "variants": ["a"]}]}, "t: there is no variant a"),
        (
            {"variants": only("a", model={"provider": "openai", "name": "gpt", "topP": 0.5})},
            "another model is named gpt",
        ),
    ],
)
def test_variants_that_make_no_sense_are_refused(changes, said):
    with pytest.raises(ValidationError, match=said):
        settings(**changes)


@pytest.mark.parametrize(
    ("sessions", "turns"), [(60, 3), pytest.param(1_000, 5, marks=pytest.mark.proof)]
)
async def test_no_session_sees_two_prompts_though_a_replica_dies(sessions, turns, redis, tmp_path):
    async with upstream(answers(completion("ok"))) as model, aiohttp.ClientSession() as http:
        fields = {
            "model": {"provider": "openai-compatible", "name": "m", "endpoint": model.url},
            "memory": {
                "type": "redis",
                "host": "127.0.0.1",
                "port": redis.port,
                "keyPrefix": f"v{tmp_path.name}:",
            },
            "variants": [BRIEF],
        }
        with ExitStack() as stack:
            replicas = []
            for number in range(3):
                replica = Runtime(tmp_path / str(number), **fields)
                (replica.config.parent / "brief.md").write_text("You are brief.")
                replicas.append(stack.enter_context(replica))
            await _converse(http, replicas, sessions, turns)
        prompts = defaultdict(set)
        for body in model.bodies:
            system, first, *_ = body["messages"]
            prompts[first["content"]].add(system["content"])
    assert len(prompts) == sessions
    assert {len(seen) for seen in prompts.values()} == {1}
    share = Counter(seen.pop() for seen in prompts.values())["You are brief."] / sessions
    assert share == pytest.approx(0.1, abs=0.03 if sessions >= 1_000 else 0.1)


async def _converse(
    http: aiohttp.ClientSession, replicas: list[Runtime], sessions: int, turns: int
) -> None:
    """Lead conversations with all replicas, of which one is killed half-way; what fails is said again elsewhere."""
    chance, room, left = random.Random(7), asyncio.Semaphore(16), sessions * turns // 2

    async def ask(path: str, body: dict[str, str]) -> None:
        while True:
            try:
                async with http.post(chance.choice(replicas).url + path, json=body) as reply:
                    code = (await reply.json()).get("code", "") if reply.status >= 400 else ""
            except aiohttp.ClientError:
                continue
            if code in ("", "session_exists"):
                return
            assert code in ("overloaded", "memory_unavailable"), code

    async def converse(name: str) -> None:
        nonlocal left
        async with room:
            await ask("/sessions", {"session_id": name})
            for turn in range(turns):
                message = f"turn {turn}" if turn else name
                await ask("/chat", {"message": message, "session_id": name})
                left -= 1
                if left == 0:
                    replicas.pop().signal(signal.SIGKILL)

    await asyncio.gather(*(converse(f"session-{number}") for number in range(sessions)))
