"""Tools that run code, which can reach nothing."""

import platform
from typing import Any

from fleetform_runtime.code import CodeError, Limits
from fleetform_runtime.code.engines import WAYS, chosen
from fleetform_runtime.sections.tools import CodeTool
from fleetform_runtime.tools import CallContext, Kind, ToolError
from fleetform_runtime.tools.api import arguments_schema

CODE = "code"
"""The argument that is the code, where the model writes it."""
VERSION = ".".join(platform.python_version_tuple()[:2])
RULES = {
    "python": f"It runs Python {VERSION} with its standard library alone: no network, no other program, no files but those "
    "that it makes in its working folder, which is empty at each call. What it prints is the result.",
    "sandbox": f"It runs Python {VERSION} with its standard library alone, on a machine of its own, which is new at each call: "
    "no network. What it prints is the result.",
    "monty": "It runs a part of Python: of the standard library there are math, json, re, datetime, decimal, collections, "
    "itertools, csv and little else; no network, no files, no other program. What it prints is the result.",
}
"""What a model is told of each engine."""
_BY_MODEL = {
    "type": "object",
    "properties": {CODE: {"type": "string", "description": "The program.", "minLength": 1}},
    "required": [CODE],
    "additionalProperties": False,
}


class CodeRun:
    """Runs a program of the specification, with the arguments as `inputs`, or one that the model writes."""

    kind: Kind = "code"
    server = ""

    def __init__(self, settings: CodeTool) -> None:
        self.name = settings.name
        self.requires_approval = settings.requires_approval
        self.description = settings.description
        engine = chosen(settings.engine)
        if settings.allow_model_code:
            self.description = f"{settings.description.rstrip()}\n\n{RULES[engine]}"
        self.schema = (
            _BY_MODEL if settings.allow_model_code else arguments_schema(settings.parameters)
        )
        self.checked: dict[str, Any] | None = self.schema
        self._settings = settings
        limits = Limits(settings.timeout_seconds, settings.memory_bytes, settings.output_bytes)
        self._runner = WAYS[engine].make(limits, settings.pool or "")

    async def run(self, arguments: dict[str, Any], context: CallContext) -> str:
        """Run the code to its end."""
        del context
        settings = self._settings
        given = {
            item.name: item.default for item in settings.parameters if item.default is not None
        }
        code, inputs = settings.code or "", {**given, **arguments}
        if settings.allow_model_code:
            code, inputs = str(arguments[CODE]), {}
        try:
            return await self._runner.run(code, inputs) or "The code printed nothing."
        except CodeError as error:
            raise ToolError(str(error)) from None

    async def close(self) -> None:
        """End what runs."""
        await self._runner.close()
