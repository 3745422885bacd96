"""What the runtime serves, as its contract says."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files

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
def served() -> frozenset[str]:
    """Return the features that the runtime of this version serves."""
    text = (files("fleetform") / "schemas" / "agent-runtime.json").read_text(encoding="utf-8")
    return frozenset(json.loads(text)["x-fleetform-features"]["served"])


def is_served(feature: str) -> bool:
    """Whether the runtime serves a feature; what it does not is warned of and left out of agent.json."""
    return feature in served()
