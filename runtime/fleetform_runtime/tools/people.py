"""Tools answered by people."""

from typing import Any

from fleetform_runtime.sections.tools import HumanTool
from fleetform_runtime.tools import CallContext, Kind, ToolError
from fleetform_runtime.tools.api import arguments_schema


class Person:
    """A question that pauses the run; it is answered through the run's approvals."""

    kind: Kind = "human"
    server = ""

    def __init__(self, settings: HumanTool) -> None:
        self.name = settings.name
        self.description = settings.description
        self.requires_approval = False
        self.schema = arguments_schema(settings.parameters)
        self.checked: dict[str, Any] | None = self.schema

    async def run(self, arguments: dict[str, Any], context: CallContext) -> str:
        """Never called: the toolbox makes such calls wait."""
        raise ToolError("A human must answer this.")

    async def close(self) -> None:
        """Nothing to close."""
