"""Other agents as tools, over A2A: one of the fleet, or any that has a card."""

import asyncio
import contextlib
import hashlib
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from fleetform_runtime.a2a.answers import PeerError, Seen
from fleetform_runtime.a2a.names import (
    CANCELED,
    COMPLETED,
    FAILED,
    INPUT_REQUIRED,
    NO_TASK,
    PROGRESS,
    WORKING,
    on_behalf,
)
from fleetform_runtime.a2a.peer import Peer, within
from fleetform_runtime.a2a.waiting import (
    UndecidableError,
    answer_to,
    is_refused,
    must_withdraw,
    reasons,
    waits_of,
)
from fleetform_runtime.net import NetError
from fleetform_runtime.net.build import client
from fleetform_runtime.secrets import Secrets
from fleetform_runtime.sections.tools import AgentTool
from fleetform_runtime.settings import Agent
from fleetform_runtime.tools import (
    HOPS,
    PATH,
    CallContext,
    DecisionNeededError,
    Kind,
    ToolError,
)
from fleetform_runtime.tools.failures import tool_error

LOOK_SECONDS = 0.5
SETTLE_SECONDS = 2.0
"""Seconds until a decision that another one came before shows in the state of its task."""
WITHDRAW_SECONDS = 5.0
ATTEMPTS = 3
"""Times that a message is sent whose connection breaks: an agent of this runtime takes it once."""
PAUSE_SECONDS = 0.5
BEGUN = frozenset((WORKING, "TASK_STATE_SUBMITTED", "TASK_STATE_UNSPECIFIED"))
UNKNOWN_CONTEXT = frozenset((-32602, NO_TASK, -32004))
"""Refusals of a message whose context may be the reason: another task waits in it, or it cannot be named by others."""


class OtherAgent:
    """Another agent. If its task waits for people, the call does: they decide here, and the decision is passed on."""

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

    def __init__(self, settings: AgentTool, secrets: Secrets, agent: Agent) -> None:
        self.name = settings.name
        self.description = settings.description
        self.requires_approval = settings.requires_approval
        self._agent = agent
        self._on_behalf = settings.on_behalf
        self._seconds = settings.timeout_seconds
        self._is_ours = settings.url is not None
        where = settings.url or settings.card or ""
        self._peer = Peer(
            client(where, secrets, auth=settings.auth, tls=settings.tls),
            settings.url,
            settings.card,
        )
        self._leaving: set[asyncio.Task[None]] = set()
        """Cancellations of tasks that nobody waits for any more."""

    async def run(self, arguments: dict[str, Any], context: CallContext) -> str:
        """Ask the other agent once, or pass on what people decided on its calls."""
        if context.reply is not None:
            return await self._decided(context.reply, context)
        message = {
            "messageId": context.key,
            "role": "ROLE_USER",
            "contextId": self._context(context),
            "parts": [{"text": arguments["message"]}],
        }
        try:
            seen = await self._told(message, context)
        except (NetError, PeerError) as error:
            raise _said(error) from None
        try:
            return self._ended(seen, context)
        except DecisionNeededError as error:
            if context.may_wait:
                raise
            await self.withdraw(error.waits)
        except ValueError as error:
            await self._cancel(seen.id, context.user)
            raise ToolError(f"The other agent waits for people, and {error}.") from None
        what = "The other agent needs human approval, which is not available here."
        raise ToolError(what, "denied")

    async def withdraw(self, waits: dict[str, Any]) -> None:
        """Cancel a task that nobody will decide on; what cannot be reached lets it expire by itself."""
        await self._cancel(waits["run"], str(waits.get("user", "")))

    async def _cancel(self, task: str, user: str) -> None:
        if task:
            with contextlib.suppress(NetError, PeerError):
                params, headers = {"id": task}, self._named(user)
                await self._peer.ask("CancelTask", params, headers, WITHDRAW_SECONDS)

    def _named(self, user: str) -> dict[str, str]:
        """Return the header that says for whom this asks, where the key allows it."""
        return on_behalf(user) if self._on_behalf else {}

    async def close(self) -> None:
        """Close the connections, once tasks that were left are cancelled."""
        if self._leaving:
            await asyncio.wait(self._leaving, timeout=WITHDRAW_SECONDS)
        await self._peer.close()

    # -- a message -----------------------------------------------------------------------------------

    async def _told(self, message: dict[str, Any], context: CallContext) -> Seen:
        """Send a message, and follow its task until it has ended or needs a person.

        Raises:
            NetError: it cannot be followed.
            PeerError: it is refused.
        """
        seen = Seen()
        try:
            async with within(self._seconds):
                try:
                    await self._sent(message, context, seen)
                except PeerError as error:
                    if error.code not in UNKNOWN_CONTEXT or "taskId" in message or seen.id:
                        raise
                    alone = {name: value for name, value in message.items() if name != "contextId"}
                    await self._sent(alone, context, seen)
                await self._awaited(seen, context)
        except (NetError, asyncio.CancelledError) as error:
            if not isinstance(error, NetError) or error.why == "timeout":
                self._leave(message, seen, context.user)
            raise
        return seen

    async def _sent(self, message: dict[str, Any], context: CallContext, seen: Seen) -> None:
        """Send a message; an agent of this runtime gets it again when a connection breaks, and takes it once."""
        for attempt in range(ATTEMPTS):
            try:
                await self._followed(
                    self._peer.follow("SendStreamingMessage", {"message": message}, self._headers(context)),
                    context, seen,
                )  # fmt: skip
            except NetError as error:
                if seen.id and not self._is_ours:
                    return  # its task is asked for
                if error.why != "connection" or not self._is_ours or attempt + 1 == ATTEMPTS:
                    raise
                await asyncio.sleep(PAUSE_SECONDS)
            else:
                return

    async def _followed(
        self, told: AsyncIterator[dict[str, Any]], context: CallContext, seen: Seen
    ) -> None:
        async with aclosing(told) as stream:  # type: ignore[type-var]
            async for said in stream:
                seen.take(said)
                if context.tell is not None:
                    _pass_on(said, context.tell)

    async def _awaited(self, seen: Seen, context: CallContext) -> None:
        """Ask for a task whose stream ended before it did."""
        while seen.state in BEGUN and seen.id:
            await asyncio.sleep(LOOK_SECONDS)
            seen.take(
                await self._peer.ask(
                    "GetTask", {"id": seen.id}, self._headers(context), WITHDRAW_SECONDS
                )
            )

    def _headers(self, context: CallContext) -> dict[str, str]:
        path = (*context.callers, self._agent.name)
        return {HOPS: str(len(path)), PATH: ",".join(path), **self._named(context.user)}

    def _context(self, context: CallContext) -> str:
        """Return a context of its own for each user and session: nobody else's, and the same for the next message."""
        app = f"{self._agent.namespace}/{self._agent.name}"
        whole = "\n".join((app, context.user, context.session))
        return hashlib.sha256(whole.encode()).hexdigest()[:32]

    def _leave(self, message: dict[str, Any], seen: Seen, user: str) -> None:
        """Cancel the task of a message that nobody waits for any more."""
        task = asyncio.create_task(self._left(message, seen, user))
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    async def _left(self, message: dict[str, Any], seen: Seen, user: str) -> None:
        if not seen.id and self._is_ours:  # the message sent again says which task is its
            params = {"message": message, "configuration": {"returnImmediately": True}}
            with contextlib.suppress(NetError, PeerError):
                headers = self._named(user)
                seen.take(await self._peer.ask("SendMessage", params, headers, WITHDRAW_SECONDS))
        await self._cancel(seen.id, user)

    # -- decisions -----------------------------------------------------------------------------------

    async def _decided(self, reply: dict[str, Any], context: CallContext) -> str:
        """Pass decisions on; however that fails, the state of the task says what has become of it.

        Raises:
            DecisionNeededError: it waits still, or again.
            ToolError: it failed, or waits no more.
        """
        waits, decisions = reply["waits"], reply["decisions"]
        if must_withdraw(waits, decisions):
            await self.withdraw(waits)
            raise ToolError(reasons(decisions) or "A person refused.", "denied")
        until = time.monotonic() + self._seconds
        seen, settles = Seen(), False
        try:
            message = {"messageId": uuid.uuid4().hex, "role": "ROLE_USER", "taskId": waits["run"]}
            if waits.get("context"):
                message["contextId"] = waits["context"]
            message |= answer_to(waits, decisions)
            async with within(self._seconds):
                await self._sent(message, context, seen)
        except UndecidableError as error:
            raise DecisionNeededError(waits | {"problem": str(error)}) from None
        except PeerError as error:
            why, settles = str(error), error.problem == "approval_used"
            if error.problem == "forbidden":
                why = "its own approvers decide; once they have, decide here to go on"
                if is_refused(decisions):
                    await self.withdraw(waits)
                    raise ToolError(reasons(decisions) or "A person refused.", "denied") from None
        except NetError as error:
            why = str(_said(error))
        else:
            if seen.state not in BEGUN:
                return self._again(seen, context)
            why = ""
        return await self._becoming(waits, why, until, context, settles=settles)

    async def _becoming(
        self, waits: dict[str, Any], why: str, until: float, context: CallContext, *, settles: bool
    ) -> str:
        """Follow a task to an answer."""
        settled = time.monotonic() + (SETTLE_SECONDS if settles else 0)
        while True:
            seen = await self._state(waits, context)
            if seen.state == INPUT_REQUIRED and _is_same(seen, waits):
                if time.monotonic() >= settled:
                    raise DecisionNeededError(waits | {"problem": why})
            elif seen.state not in BEGUN:
                return self._again(seen, context)
            elif time.monotonic() >= until:
                late = "it is still at work; decide again to have its answer"
                raise DecisionNeededError(waits | {"problem": late})
            await asyncio.sleep(LOOK_SECONDS)

    async def _state(self, waits: dict[str, Any], context: CallContext) -> Seen:
        """Return a task as it is; nothing is lost while it cannot be read."""
        seen = Seen()
        try:
            params = {"id": waits["run"]}
            seen.take(
                await self._peer.ask("GetTask", params, self._headers(context), WITHDRAW_SECONDS)
            )
        except PeerError as error:
            if error.code == NO_TASK:
                what = "The other agent waits no more; its calls may have been made."
                raise ToolError(what) from None
            raise DecisionNeededError(waits | {"problem": str(error)}) from None
        except NetError as error:
            raise DecisionNeededError(waits | {"problem": str(_said(error))}) from None
        return seen

    def _again(self, seen: Seen, context: CallContext) -> str:
        """Return the answer of a task that went on as people decided."""
        try:
            return self._ended(seen, context)
        except ValueError as error:
            raise ToolError(f"The other agent waits for people, and {error}.") from None

    def _ended(self, seen: Seen, context: CallContext) -> str:
        """Return the answer of a task.

        Raises:
            DecisionNeededError: it waits for people.
            ToolError: it has none.
            ValueError: it waits for what cannot be shown.
        """
        if seen.state == COMPLETED:
            return seen.output()
        if seen.state != INPUT_REQUIRED:
            raise _failure(seen)
        user = {"user": context.user} if self._on_behalf else {}
        raise DecisionNeededError(waits_of(seen) | user)


def _is_same(seen: Seen, waits: dict[str, Any]) -> bool:
    """Whether a task waits for what it did."""
    try:
        now = waits_of(seen)
    except ValueError:
        return False
    if "pause" in waits:
        return bool(now.get("pause") == waits["pause"])
    return bool(now["calls"] == waits["calls"])


def _failure(seen: Seen) -> ToolError:
    """Return why a task that ended has no answer."""
    seen.artifacts.clear()
    why = seen.output()[:1_000]
    how = {FAILED: "has failed", CANCELED: "was cancelled"}.get(seen.state)
    state = seen.state.removeprefix("TASK_STATE_").lower() or "unknown"
    return ToolError(f"The other agent's task {how or f'is {state}'}. {why}".strip())


def _pass_on(said: dict[str, Any], tell: Any) -> None:
    """Tell whoever follows the caller what its callee does: calls of tools, and pieces of the answer."""
    update = said.get("statusUpdate", {})
    metadata = update.get("metadata") if isinstance(update, dict) else None
    progress = metadata.get(PROGRESS) if isinstance(metadata, dict) else None
    if isinstance(progress, dict):
        tell({"event": str(progress.get("event")), "tool": str(progress.get("name"))})
    piece = said.get("artifactUpdate", {})
    is_piece = (
        isinstance(piece, dict) and piece.get("lastChunk") is not True
    )  # that is the whole answer
    artifact = piece.get("artifact") if is_piece else None
    parts = artifact.get("parts") if isinstance(artifact, dict) else None
    texts = [part["text"] for part in parts or () if isinstance(part, dict) and part.get("text")]
    if texts:
        tell({"event": "token", "content": "".join(map(str, texts))})


def _said(error: NetError | PeerError) -> ToolError:
    if isinstance(error, NetError):
        return tool_error(error, "The other agent")
    return ToolError(f"The other agent refused: {error}")
