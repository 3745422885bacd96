"""What the runtime serves, as its contract says."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

TOOL_TYPES = {
    "api": "apiTool",
    "human": "humanTool",
    "retrieval": "retrievalTool",
    "code": "codeTool",
}
"""The contract's name of each type of tool."""
LONG_TERM_MEMORY = "longTermMemory"
SUMMARISATION = "summarisation"


@cache
def _contract() -> dict[str, Any]:
    text = (files("fleetform") / "schemas" / "agent-runtime.json").read_text(encoding="utf-8")
    body: dict[str, Any] = json.loads(text)
    return body


@cache
def served() -> frozenset[str]:
    """Return the features that the runtime of this version serves."""
    return frozenset(_contract()["x-fleetform-features"]["served"])


def variables() -> dict[str, list[str]]:
    """Return the environment variables that the runtime reads, and when: always, tracing, bedrock."""
    found: dict[str, list[str]] = _contract()["x-fleetform-environment"]
    return found


def is_served(feature: str) -> bool:
    """Whether the runtime serves a feature; what it does not is warned of and left out of agent.json."""
    return feature in served()
