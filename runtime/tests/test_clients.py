"""Frameworks that speak the Responses API use an agent as their model, with their own functions."""

import asyncio
import json
from pathlib import Path

import pytest

from runtime.tests.harness import serving
from tests.tools import tool

pytestmark = [pytest.mark.anyio, pytest.mark.proof]
SCRIPT = Path(__file__).with_name("responses_clients.py")


async def test_agents_and_langchain_get_what_they_ask_for():
    async with serving() as client:
        running = await asyncio.create_subprocess_exec(
            tool("openai-clients"), SCRIPT, client.url, stdout=-1, stderr=-1
        )
        told, problems = await running.communicate()
    assert running.returncode == 0, problems.decode()
    assert json.loads(told) == {
        "agents": {
            "whole": "get_weather: sunny in Paris",
            "stream": "get_weather: sunny in Rome",
            "events": True,
            "tokens": True,
        },
        "langchain": {
            "whole": "You said: hi (turn 1)",
            "stream": "word1 word2 word3 word4",
            "call": ["get_city", {"city": "Oslo"}],
            "answer": "get_city: cold",
        },
    }
