"""Clients of A2A that others wrote use an agent: each binding and version that they speak."""

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from runtime.tests.harness import serving
from runtime.tests.test_access import AUTH, KEYS
from runtime.tests.test_approvals import tools
from tests.ports import free_port
from tests.tools import tool

pytestmark = [pytest.mark.anyio, pytest.mark.proof]
URL = object()
"""Stands for the agent's URL in a command."""
PYTHON = Path(__file__).with_name("a2a_client.py")
ADK = Path(__file__).with_name("a2a_adk.py")


async def used(*command: Any) -> Any:
    """Run a client against an agent, whose URL comes first and whose key last; return what it says."""
    port = free_port()
    changes = {
        "auth": AUTH,
        "environment": KEYS,
        "tools": tools("http://127.0.0.1:1"),
        "a2a": {"url": f"http://127.0.0.1:{port}"},
    }
    async with serving(port=port, **changes) as client:
        running = await asyncio.create_subprocess_exec(
            *(client.url if item is URL else item for item in command),
            KEYS["ANN"],
            stdout=-1,
            stderr=-1,
        )
        told, problems = await running.communicate()
    assert running.returncode == 0, problems.decode()
    return json.loads(told)


@pytest.mark.parametrize("version", ["1.0", "0.3"])
@pytest.mark.parametrize("binding", ["JSONRPC", "HTTP+JSON"])
async def test_the_client_for_python(binding, version):
    found = await used(tool("a2a-client"), PYTHON, URL, binding, version)
    listed = {"list": 1} if version == "1.0" else {}
    assert found == {
        "schemes": ["bearer", "key"],
        "whole": "You said: hello (turn 1)",
        "again": True,
        "stream": "word1 word2 word3 word4",
        "begins": True,
        "ends": "TASK_STATE_COMPLETED",
        "get": True,
        **listed,
        "waits": "TASK_STATE_INPUT_REQUIRED",
        "question": "Which city?",
        "answer": "ask: Oslo",
        "same": True,
        "subscribed": "TASK_STATE_WORKING",
        "cancelled": "TASK_STATE_CANCELED",
        "told": "TASK_STATE_CANCELED",
        "unknown": "TaskNotFoundError",
        "ended": "UnsupportedOperationError",
        "late": "TaskNotCancelableError",
    }


async def test_the_client_for_go():
    found = await used(tool("a2a-go"), URL)
    assert found == {
        "whole": "You said: hello (turn 1)",
        "again": True,
        "stream": "word1 word2 word3 word4",
        "kinds": ["task", "completed"],
        "final": True,
        "get": "completed",
        "waits": "input-required",
        "question": "Which city?",
        "answer": "ask: Oslo",
        "cancelled": "canceled",
        "unknown": True,
        "ended": True,
    }


@pytest.mark.skipif(not shutil.which("node"), reason="there is no Node.js on this machine")
@pytest.mark.parametrize("version", ["1.0", "0.3"])
@pytest.mark.parametrize("binding", ["JSONRPC", "HTTP+JSON"])
async def test_the_client_for_javascript(binding, version):
    found = await used(tool("a2a-js"), URL, binding, version)
    unknown, ended = found.pop("unknown"), found.pop("ended")
    assert unknown.endswith("TaskNotFoundError")
    assert ended.endswith("UnsupportedOperationError")
    assert found == {
        "schemes": ["bearer", "key"],
        "whole": "You said: hello (turn 1)",
        "again": True,
        "stream": "word1 word2 word3 word4",
        "begins": "task",
        "ends": "statusUpdate",
        "get": "TASK_STATE_COMPLETED",
        "waits": "TASK_STATE_INPUT_REQUIRED",
        "question": "Which city?",
        "answer": "ask: Oslo",
        "cancelled": "TASK_STATE_CANCELED",
        "told": "TASK_STATE_CANCELED",
    }


async def test_the_agent_development_kit():
    found = await used(tool("a2a-client"), ADK, URL)
    assert found == {"first": "You said: hello (turn 1)", "second": "word1 word2 word3 word4"}
