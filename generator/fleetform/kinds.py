"""The kinds of specs, each described once; every list of kinds is derived from here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

if TYPE_CHECKING:
    from fleetform.models.agent import AgentSpec
    from fleetform.models.environment import EnvironmentSpec
    from fleetform.models.mcp_server import McpServerSpec
    from fleetform.models.memory_store import MemoryStoreSpec
    from fleetform.models.model_config import ModelSettings
    from fleetform.models.tool import ToolSpec
    from fleetform.models.workflow import WorkflowRunSpec, WorkflowSpec

S = TypeVar("S")
"""The model of a kind's `spec`, which types `Resolved.spec`."""


class SpecKind(NamedTuple, Generic[S]):
    """What the generator must know about a kind before it reads a document of it."""

    name: str
    module: str
    """Module below `fleetform.models` that defines it."""
    spec: str
    """Name of the definition of its `spec` in the kind's schema."""
    component: str = ""
    """Component of its workloads, the name of their main container; empty if the kind is not a workload."""
    layered: bool = False
    """Whether other documents are merged with it: those it extends, or an environment."""
    patched: bool = False
    """Whether environments have defaults and patches for it."""
    local: bool = False
    """Whether a document without a namespace is in `default`; other kinds are then fleet-wide."""
    callable: bool = False
    """Whether its workloads are scaled, exposed and called by name, like agents and servers."""
    urls: bool = False
    """Whether it contains URLs that workloads call."""


AGENT: SpecKind[AgentSpec] = SpecKind(
    name="Agent",
    module="agent",
    spec="AgentSpec",
    component="agent",
    layered=True,
    patched=True,
    local=True,
    callable=True,
    urls=True,
)
AGENT_TEMPLATE: SpecKind[AgentSpec] = SpecKind(
    name="AgentTemplate", module="agent", spec="AgentSpec", layered=True
)
MODEL_CONFIG: SpecKind[ModelSettings] = SpecKind(
    name="ModelConfig",
    module="model_config",
    spec="ModelConfigSpec",
    layered=True,
    patched=True,
    urls=True,
)
TOOL: SpecKind[ToolSpec] = SpecKind(name="Tool", module="tool", spec="ToolSpec", urls=True)
MCP_SERVER: SpecKind[McpServerSpec] = SpecKind(
    name="MCPServer",
    module="mcp_server",
    spec="McpServerSpec",
    component="mcp-server",
    layered=True,
    patched=True,
    local=True,
    callable=True,
    urls=True,
)
MEMORY_STORE: SpecKind[MemoryStoreSpec] = SpecKind(
    name="MemoryStore",
    module="memory_store",
    spec="MemoryStoreSpec",
    component="memory-store",
    layered=True,
    patched=True,
    local=True,
)
WORKFLOW: SpecKind[WorkflowSpec] = SpecKind(
    name="Workflow", module="workflow", spec="WorkflowSpec", local=True, urls=True
)
WORKFLOW_RUN: SpecKind[WorkflowRunSpec] = SpecKind(
    name="WorkflowRun", module="workflow", spec="WorkflowRunSpec", local=True
)
ENVIRONMENT: SpecKind[EnvironmentSpec] = SpecKind(
    name="Environment", module="environment", spec="EnvironmentSpec"
)
"""The kind that all others are rendered for; never in the catalog."""

ALL: tuple[SpecKind[Any], ...] = (
    AGENT,
    AGENT_TEMPLATE,
    MODEL_CONFIG,
    TOOL,
    MCP_SERVER,
    MEMORY_STORE,
    WORKFLOW,
    WORKFLOW_RUN,
    ENVIRONMENT,
)
"""In the order in which they are listed for users."""
BY_NAME = {kind.name: kind for kind in ALL}
NAMES = tuple(BY_NAME)
FLEET = tuple(kind.name for kind in ALL if kind is not ENVIRONMENT)
"""The kinds that make up a fleet."""
LAYERED = tuple(kind.name for kind in ALL if kind.layered)
PATCHED = tuple(kind.name for kind in ALL if kind.patched)
LOCAL = frozenset(kind.name for kind in ALL if kind.local)
WORKLOADS = tuple(kind.name for kind in ALL if kind.component)
WITH_OBJECTS = (*WORKLOADS, WORKFLOW.name, WORKFLOW_RUN.name)
"""Kinds of whose documents objects in a cluster are made, with their labels and annotations."""
CALLABLE = tuple(kind.name for kind in ALL if kind.callable)
TOOL_TYPES = {"api": True, "retrieval": True, "code": True, "human": False, "agent": True}
"""Types of a Tool, and whether the section of its spec that is called like the type must be there."""
WITH_HOSTS = tuple(kind.name for kind in ALL if kind.urls or kind.component)
