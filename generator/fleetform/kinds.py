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
"""The model of a kind's `spec`: what a reader of `Resolved.spec` may ask for."""


class SpecKind(NamedTuple, Generic[S]):
    """What the generator must know about a kind before it reads a document of it."""

    name: str
    module: str
    """Module below `fleetform.models` that defines it."""
    spec: str
    """Name of the definition of its `spec` in the kind's schema."""
    component: str = ""
    """What its workloads are: the name of their main container. Empty for a kind that is no workload."""
    layered: bool = False
    """Whether other documents add to what its document says: what it extends, or an environment."""
    patched: bool = False
    """Whether an environment has defaults and patches for it."""
    local: bool = False
    """Whether a document without a namespace is in `default`; the others then serve the whole fleet."""
    callable: bool = False
    """Whether its workloads are scaled, exposed and called by name, as agents and servers are."""
    urls: bool = False
    """Whether it holds URLs that workloads call."""


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
    spec="ModelSettings",
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
    name="Workflow", module="workflow", spec="WorkflowSpec", local=True
)
WORKFLOW_RUN: SpecKind[WorkflowRunSpec] = SpecKind(
    name="WorkflowRun", module="workflow", spec="WorkflowRunSpec", local=True
)
ENVIRONMENT: SpecKind[EnvironmentSpec] = SpecKind(
    name="Environment", module="environment", spec="EnvironmentSpec"
)
"""What all other documents are rendered for: never in the catalog."""

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
"""In the order in which people are told of them."""
BY_NAME = {kind.name: kind for kind in ALL}
NAMES = tuple(BY_NAME)
FLEET = tuple(kind.name for kind in ALL if kind is not ENVIRONMENT)
"""What a fleet is made of."""
LAYERED = tuple(kind.name for kind in ALL if kind.layered)
PATCHED = tuple(kind.name for kind in ALL if kind.patched)
LOCAL = frozenset(kind.name for kind in ALL if kind.local)
WORKLOADS = tuple(kind.name for kind in ALL if kind.component)
CALLABLE = tuple(kind.name for kind in ALL if kind.callable)
TOOL_TYPES = {"api": True, "retrieval": True, "code": False, "human": False}
"""Types of a Tool, and whether the section of its spec that is called like the type must be there."""
WITH_URLS = tuple(kind.name for kind in ALL if kind.urls)
