"""What `GET /info` says of an agent: enough for a page that shows it to people."""

import pytest

from runtime.tests.harness import serving
from runtime.tests.stores import memory
from runtime.tests.test_access import AUTH, KEYS, as_

pytestmark = pytest.mark.anyio

TOOL = {
    "type": "api",
    "name": "look_up",
    "description": "Looks a customer up.",
    "method": "GET",
    "endpoint": "https://crm.example/{id}",
    "requiresApproval": True,
    "parameters": [{"name": "id", "in": "path", "type": "string", "required": True}],
}


async def test_tools_are_shown_with_what_they_take():
    async with serving(tools=[TOOL]) as client:
        (tool,) = (await client.get("/info")).json["tools"]
    assert tool["parameters"]["properties"]["id"]["type"] == "string"
    assert tool["parameters"]["required"] == ["id"]
    shown = {name: tool[name] for name in ("name", "type", "server", "requires_approval")}
    assert shown == {"name": "look_up", "type": "api", "server": "", "requires_approval": True}


async def test_limits_prices_and_what_is_kept_are_shown():
    changes = {
        "model": {"provider": "openai", "name": "gpt", "pricing": {"inputPerMillion": 1, "outputPerMillion": 2.5}},
        "models": [{"id": "thinker", "provider": "openai", "name": "o", "reasoningEffort": "low"}],
        "limits": {"runSeconds": 60, "maxSteps": 7, "approvalSeconds": 90, "attachmentBytes": 1000},
        "memory": {"type": "in-memory", "policy": {"sessionTtlSeconds": 3600, "maxSessionsPerUser": 9}},
    }  # fmt: skip
    async with serving(**changes) as client:
        info = (await client.get("/info")).json
    assert info["limits"] == {
        "run_seconds": 60, "steps": 7, "approval_seconds": 90, "attachment_bytes": 1000,
    }  # fmt: skip
    assert info["prices"] == {"gpt": {"input_per_million": 1, "output_per_million": 2.5}}
    assert info["sessions"] == {"ttl_seconds": 3600, "most": 9}
    assert info["temperature"] == ["gpt"]
    assert (info["quota"], info["remembers"]) == (None, False)


async def test_an_agent_that_keeps_nothing_says_so():
    async with serving(memory={"type": "none"}) as client:
        assert (await client.get("/info")).json["sessions"] is None


async def test_an_agent_that_remembers_its_users_says_so():
    async with serving(longTermMemory={"user": "ann"}) as client:
        assert (await client.get("/info")).json["remembers"] is True


@pytest.mark.parametrize("backend", ["in-memory", "redis"])
async def test_callers_see_what_is_left_of_their_quota(backend, request, tmp_path):
    """Of a limit that the agent has as well, the one that ends first."""
    limits = {
        "requestsPerMinute": 3,
        "dailyCostUsd": 5,
        "perUser": {"requestsPerMinute": 2, "tokensPerMinute": 9999},
    }
    section = memory(backend, request, tmp_path)
    changes = {"limits": limits, "auth": AUTH, "memory": section}
    async with serving(environment=KEYS, **changes) as client:
        ann, bob = as_("ANN"), as_("BOB")
        assert client.application is not None
        client.application._quotas._clock = lambda: (
            1_000_000_020.0
        )  # within one minute, and one day
        assert (await client.get("/info", headers=ann)).json["quota"] == {
            "requests_per_minute": {"limit": 2, "left": 2},
            "tokens_per_minute": {"limit": 9999, "left": 9999},
            "daily_cost_usd": {"limit": 5, "left": 5},
        }
        for _ in range(2):
            assert (await client.post("/chat", {"message": "x"}, headers=ann)).status == 200
        left = (await client.get("/info", headers=ann)).json["quota"]
        assert left["requests_per_minute"] == {"limit": 2, "left": 0}
        assert 0 < left["tokens_per_minute"]["left"] < 9999
        other = (await client.get("/info", headers=bob)).json["quota"]
        assert other["requests_per_minute"] == {"limit": 3, "left": 1}
        assert other["tokens_per_minute"]["left"] == 9999
