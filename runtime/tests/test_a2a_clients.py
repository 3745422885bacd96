"""Clients of A2A that others wrote use an agent: each binding and version that they speak."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from runtime.tests.harness import serving
from runtime.tests.test_access import AUTH, KEYS
from runtime.tests.test_approvals import tools
from tests.ports import free_port
from tests.tools import tool

pytestmark = [pytest.mark.anyio, pytest.mark.proof]
PYTHON = Path(__file__).with_name("a2a_client.py")


async def used(*command: Any) -> Any:
    """Run a client against an agent; return what it says."""
    port = free_port()
    changes = {
        "auth": AUTH,
        "environment": KEYS,
        "tools": tools("http://127.0.0.1:1"),
        "a2a": {"url": f"http://127.0.0.1:{port}"},
    }
    async with serving(port=port, **changes) as client:
        running = await asyncio.create_subprocess_exec(
            *command[:2], client.url, *command[2:], KEYS["ANN"], stdout=-1, stderr=-1
        )
        told, problems = await running.communicate()
    assert running.returncode == 0, problems.decode()
    return json.loads(told)


@pytest.mark.parametrize("version", ["1.0", "0.3"])
@pytest.mark.parametrize("binding", ["JSONRPC", "HTTP+JSON"])
async def test_the_client_for_python(binding, version):
    found = await used(tool("a2a-client"), PYTHON, binding, version)
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
