"""The spec kinds as models: the one place where a field, its type, unit and default are defined."""

from __future__ import annotations

from importlib import import_module

from fleetform.models.base import Spec

KINDS: dict[str, str] = {
    "Agent": "agent",
    "AgentTemplate": "agent",
    "ModelConfig": "model_config",
    "Tool": "tool",
    "MCPServer": "mcp_server",
    "MemoryStore": "memory_store",
    "Workflow": "workflow",
    "WorkflowRun": "workflow",
    "Environment": "environment",
}
"""Module of each kind; imported when first used, since building models costs start-up time."""


def model(kind: str) -> type[Spec]:
    """Return the model class of a kind."""
    found: type[Spec] = getattr(import_module(f"fleetform.models.{KINDS[kind]}"), kind)
    return found
