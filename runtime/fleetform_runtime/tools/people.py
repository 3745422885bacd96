"""Tools answered by people, and other agents."""

from typing import Any

import orjson

from fleetform_runtime.net import NetError
from fleetform_runtime.net.build import client
from fleetform_runtime.secrets import Secrets
from fleetform_runtime.sections.tools import AgentTool, HumanTool
from fleetform_runtime.tools import HOPS, CallContext, Kind, ToolError
from fleetform_runtime.tools.api import arguments_schema
from fleetform_runtime.tools.failures import tool_error

LARGEST_ANSWER = 8 * 1024 * 1024


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


class OtherAgent:
    """Another agent, called through its POST /chat."""

    kind: Kind = "agent"
    server = ""
    schema: dict[str, Any] = {  # noqa: RUF012 - the same for all
        "type": "object",
        "properties": {
            "message": {"type": "string", "minLength": 1, "description": "What to ask or do."}
        },
        "required": ["message"],
        "additionalProperties": False,
    }
    checked: dict[str, Any] | None = schema

    def __init__(self, settings: AgentTool, secrets: Secrets) -> None:
        self.name = settings.name
        self.description = settings.description
        self.requires_approval = settings.requires_approval
        self._url = settings.url.rstrip("/") + "/chat"
        self._seconds = settings.timeout_seconds
        self._client = client(settings.url, secrets, auth=settings.auth, tls=settings.tls)

    async def run(self, arguments: dict[str, Any], context: CallContext) -> str:
        """Call the other agent once."""
        try:
            answer = await self._client.send(
                "POST",
                self._url,
                seconds=self._seconds,
                most=LARGEST_ANSWER,
                headers={"Content-Type": "application/json", HOPS: str(context.hops + 1)},
                body=orjson.dumps({"message": arguments["message"]}),
            )
        except NetError as error:
            raise tool_error(error, "The other agent") from None
        return _answer(answer.status, answer.body)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()


def _answer(status: int, raw: bytes) -> str:
    try:
        body = orjson.loads(raw)
        if status == 200:
            if body.get("pending"):
                raise ToolError("The other agent is waiting for human approval.")
            return str(body["output"])
        detail = str(body.get("detail", ""))
    except (ValueError, KeyError, AttributeError):
        raise ToolError(f"The other agent answered {status} with an unreadable response.") from None
    raise ToolError(f"The other agent answered {status}. {detail}".strip())
