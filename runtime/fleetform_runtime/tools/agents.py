"""Other agents as tools: called through POST /chat, decided on through their runs."""

import asyncio
import contextlib
import re
import time
from datetime import datetime
from typing import Any

import orjson

from fleetform_runtime.net import NetError
from fleetform_runtime.net.build import client
from fleetform_runtime.secrets import Secrets
from fleetform_runtime.sections.tools import AgentTool
from fleetform_runtime.tools import HOPS, CallContext, DecisionNeededError, Kind, ToolError
from fleetform_runtime.tools.failures import tool_error

LARGEST_ANSWER = 8 * 1024 * 1024
MOST_CALLS = 64
LARGEST_CALLS = 256 * 1024
"""Calls that another agent may wait with, and their bytes: they are kept in the session until people decide."""
LONGEST_ID = 2_000
LOOK_SECONDS = 0.5
SETTLE_SECONDS = 2.0
"""Seconds until a decision that another one came before shows in the state of its run."""
WITHDRAW_SECONDS = 5.0
MOST_TURNS = 32
"""Runs that are followed from one to the next."""
_RUN = re.compile(r"[A-Za-z0-9_-]{1,128}")
_TEXTS = ("id", "name", "digest")
_SHOWN = ("args", "asks", "server", "agent")


class OtherAgent:
    """Another agent. If its run waits for people, the call does: they decide here, and the decision is passed on."""

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
        self._url = settings.url.rstrip("/")
        self._seconds = settings.timeout_seconds
        self._client = client(settings.url, secrets, auth=settings.auth, tls=settings.tls)

    async def run(self, arguments: dict[str, Any], context: CallContext) -> str:
        """Call the other agent once, or pass on what people decided on its calls."""
        if context.reply is not None:
            return await self._decided(context.reply)
        headers = {HOPS: str(context.hops + 1)}
        body = {"message": arguments["message"]}
        try:
            status, found = await self._asked("POST", "/chat", body, headers)
        except NetError as error:
            raise tool_error(error, "The other agent") from None
        if status != 200:
            raise ToolError(f"The other agent answered {status}. {_detail(found)}".strip())
        if not found.get("pending"):
            return _output(found)
        try:
            waits = waits_of(found)
        except ValueError as error:
            await self.withdraw(_run_of(found))
            raise ToolError(f"The other agent waits for people, and {error}.") from None
        if not context.may_wait:
            await self.withdraw(waits["run"])
            raise ToolError(
                "The other agent needs human approval, which is not available here.", "denied"
            )
        raise DecisionNeededError(waits)

    async def withdraw(self, run: str) -> None:
        """Cancel a run that nobody will decide on; what cannot be reached lets it expire by itself."""
        if _RUN.fullmatch(run):
            with contextlib.suppress(NetError, ToolError):
                await self._asked("POST", f"/runs/{run}/cancel", seconds=WITHDRAW_SECONDS)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _decided(self, reply: dict[str, Any]) -> str:
        """Pass decisions on; however that fails, the state of the run says what has become of it.

        Raises:
            DecisionNeededError: it waits still, or again.
            ToolError: it failed, or waits no more.
        """
        waits, decisions = reply["waits"], reply["decisions"]
        until = time.monotonic() + self._seconds
        path = f"/runs/{waits['run']}/approvals"
        try:
            status, found = await self._asked("POST", path, {"decisions": decisions})
        except (NetError, ToolError) as error:
            status, why = 0, str(_said(error))
        else:
            if status == 200:
                return _ended(found)
            why = _detail(found) or f"the agent answered {status}"
        if status == 403:
            why = "its own approvers decide; once they have, decide here to go on"
            if all(item.get("approved") is False for item in decisions):
                await self.withdraw(waits["run"])
                reasons = [str(item["reason"]) for item in decisions if item.get("reason")]
                raise ToolError("; ".join(reasons) or "A person refused.", "denied")
        return await self._becoming(waits, why, until, settles=status == 409)

    async def _becoming(
        self, waits: dict[str, Any], why: str, until: float, *, settles: bool
    ) -> str:
        """Follow a run, and those that went on from it, to an answer."""
        run, turns = waits["run"], 0
        settled = time.monotonic() + (SETTLE_SECONDS if settles else 0)
        while True:
            state = await self._state(run, waits)
            status, decision = state.get("status"), state.get("decision")
            following = decision.get("run_id") if isinstance(decision, dict) else None
            if status == "resumed" and isinstance(following, str) and _RUN.fullmatch(following):
                run, turns = following, turns + 1
                if turns < MOST_TURNS:
                    continue
            if status == "waiting" and run == waits["run"]:
                if time.monotonic() >= settled:
                    raise DecisionNeededError(waits | {"problem": why})
            elif status != "running":
                return _ended(state)
            elif time.monotonic() >= until:
                late = "it is still at work; decide again to have its answer"
                raise DecisionNeededError(waits | {"problem": late})
            await asyncio.sleep(LOOK_SECONDS)

    async def _state(self, run: str, waits: dict[str, Any]) -> dict[str, Any]:
        """Return the state of a run; nothing is lost while it cannot be read."""
        try:
            status, found = await self._asked("GET", f"/runs/{run}", seconds=WITHDRAW_SECONDS)
        except (NetError, ToolError) as error:
            raise DecisionNeededError(waits | {"problem": str(_said(error))}) from None
        if status == 404:
            raise ToolError("The other agent waits no more; its calls may have been made.")
        if status != 200:
            raise DecisionNeededError(
                waits | {"problem": _detail(found) or f"it answered {status}"}
            )
        return found

    async def _asked(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
        seconds: float | None = None,
    ) -> tuple[int, dict[str, Any]]:
        """Return status and body of an answer.

        Raises:
            NetError: there is none.
            ToolError: it cannot be read.
        """
        answer = await self._client.send(
            method,
            self._url + path,
            seconds=seconds or self._seconds,
            most=LARGEST_ANSWER,
            headers={"Content-Type": "application/json", **(headers or {})},
            body=orjson.dumps(body) if body is not None else None,
        )
        try:
            found = orjson.loads(answer.body)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            what = f"The other agent answered {answer.status} with an unreadable response."
            raise ToolError(what)
        return answer.status, found


def waits_of(body: dict[str, Any]) -> dict[str, Any]:
    """Return what the run of another agent waits for, as it is kept.

    Raises:
        ValueError: it cannot be shown to people.
    """
    pending, run = body["pending"], _run_of(body)
    calls = pending.get("calls") if isinstance(pending, dict) else None
    if not run or not isinstance(calls, list) or not 0 < len(calls) <= MOST_CALLS:
        raise ValueError("does not say for what")
    kept = [_kept(call) for call in calls]
    if len({call["id"] for call in kept}) < len(kept):
        raise ValueError("does not say for what")
    if _size(kept) > LARGEST_CALLS:
        raise ValueError("its calls are too large to be shown")
    found: dict[str, Any] = {"run": run, "calls": kept}
    if isinstance(pending.get("problem"), str):
        found["problem"] = pending["problem"][:1_000]
    with contextlib.suppress(KeyError, TypeError, ValueError, OverflowError):
        found["expires"] = datetime.fromisoformat(pending["expires_at"]).timestamp()
    return found


def _kept(call: Any) -> dict[str, Any]:
    if (
        not isinstance(call, dict)
        or call.get("type") not in ("approval", "question")
        or not all(isinstance(call.get(name), str) for name in _TEXTS)
        or not all(isinstance(call.get(name, ""), str) for name in ("agent", "server"))
        or not _is_form(call.get("asks", {"message": "", "schema": {}}))
        or len(call["id"]) > LONGEST_ID
    ):
        raise ValueError("does not say for what")
    shown = {"args": {}} | {name: call[name] for name in _SHOWN if name in call}
    return {"type": call["type"], **{name: call[name] for name in _TEXTS}, **shown}


def _is_form(asks: Any) -> bool:
    """Whether people can be shown what a server asks."""
    found = asks if isinstance(asks, dict) else {}
    return isinstance(found.get("message"), str) and isinstance(found.get("schema"), dict)


def _size(calls: list[dict[str, Any]]) -> int:
    """Return how many bytes calls are; those with too many levels to be written inside of others are endless."""
    try:
        return len(orjson.dumps([[[[[[[[[[[[calls]]]]]]]]]]]]))
    except TypeError:
        return LARGEST_CALLS + 1


def _run_of(body: dict[str, Any]) -> str:
    pending = body.get("pending")
    run = pending.get("run_id") if isinstance(pending, dict) else None
    return run if isinstance(run, str) and _RUN.fullmatch(run) else ""


def _ended(body: dict[str, Any]) -> str:
    """Return the answer of a run that ended; what it waits for now is in its state as in an answer."""
    if body.get("pending") and body.get("status") in (None, "waiting"):
        try:
            waits = waits_of(body)
        except ValueError as error:
            raise ToolError(f"The other agent waits for people, and {error}.") from None
        raise DecisionNeededError(waits)
    if body.get("status") in (None, "succeeded"):
        return _output(body)
    failure = body.get("error")
    detail = _detail(failure) if isinstance(failure, dict) else ""
    raise ToolError(f"The other agent's run has {body['status']}. {detail}".strip())


def _output(body: dict[str, Any]) -> str:
    if "output" not in body:
        raise ToolError("The other agent answered 200 with an unreadable response.")
    return str(body["output"])


def _detail(body: dict[str, Any]) -> str:
    return str(body.get("detail", ""))[:1_000]


def _said(error: NetError | ToolError) -> ToolError:
    return tool_error(error, "The other agent") if isinstance(error, NetError) else error
