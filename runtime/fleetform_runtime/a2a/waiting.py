"""What the task of another agent waits for: as it is kept and shown here, and how decisions are written for it."""

import contextlib
import hashlib
from datetime import datetime
from typing import Any

import orjson

from fleetform_runtime.a2a.answers import Seen, named
from fleetform_runtime.a2a.names import HITL

MOST_CALLS = 64
LARGEST_CALLS = 256 * 1024
"""Calls that another agent may wait with, and their bytes: they are kept in the session until people decide."""
LONGEST_ID = 2_000
LONGEST_TEXT = 16_000
_TEXTS = ("id", "name", "digest")
_SHOWN = ("args", "asks", "server", "agent")
Json = dict[str, Any]
Decisions = list[dict[str, Any]]


class UndecidableError(Exception):
    """A decision cannot be passed on to that agent; the message says why."""


def waits_of(seen: Seen) -> Json:
    """Return what a task waits for, as it is kept: {run, context, calls, form, pause?, expires?, problem?}.

    `form` says how it is answered: by our own data, by the extension of kagent, or by a text.

    Raises:
        ValueError: it cannot be shown to people.
    """
    if not seen.id:
        raise ValueError("does not say for what")
    found: Json = {"run": seen.id, "context": seen.context}
    pending, request = _pending(seen.message), _request(seen.message)
    if pending is not None:
        found |= {"form": "data", **_ours(pending)}
    elif request is not None:
        found |= {"form": "extension", **_theirs(request)}
    else:
        found |= {"form": "text", "calls": [_question("text", seen.output())]}
    if len({call["id"] for call in found["calls"]}) < len(found["calls"]):
        raise ValueError("does not say for what")
    if _size(found["calls"]) > LARGEST_CALLS:
        raise ValueError("its calls are too large to be shown")
    return found


def answer_to(waits: Json, decisions: Decisions) -> Json:
    """Return the members of a message that passes decisions on.

    Raises:
        UndecidableError: that agent takes no such decision.
    """
    form = waits.get("form", "data")
    if form == "data":
        return {"parts": [{"data": {"decisions": decisions}}]}
    if any(item.get("arguments") is not None for item in decisions):
        raise UndecidableError("it takes no other arguments than those that it has asked about")
    if form == "text":
        return {"parts": [{"text": _answer(decisions[0])}]}
    if waits["calls"][0]["type"] == "approval":
        payload: Json = {
            "type": "tool_approval_response",
            "approvals": [
                {
                    "id": item["id"],
                    "approved": item.get("approved") is True,
                    **({"rejection_reason": item["reason"]} if item.get("reason") else {}),
                }
                for item in decisions
            ],
        }
    else:
        answers = [{"answer": [_answer(item)]} for item in decisions]
        payload = {"type": "ask_user_response", "id": waits["request"], "answers": answers}
    said = {"text": "Decided."}
    return {"parts": [said], "extensions": [HITL], "metadata": {HITL: payload}}


def _answer(decision: Json) -> str:
    found = decision.get("answer")
    return found if isinstance(found, str) else orjson.dumps(found).decode()


def is_refused(decisions: Decisions) -> bool:
    """Whether all calls are refused."""
    return all(item.get("approved") is False for item in decisions)


def must_withdraw(waits: Json, decisions: Decisions) -> bool:
    """Whether refusing means to cancel: questions of others cannot be refused."""
    if waits.get("form", "data") == "data":
        return False
    questions = waits["calls"][0]["type"] == "question"
    return questions and any(item.get("approved") is False for item in decisions)


def reasons(decisions: Decisions) -> str:
    """Return why calls were refused."""
    return "; ".join(str(item["reason"]) for item in decisions if item.get("reason"))


def _pending(message: Json) -> Json | None:
    parts = message.get("parts")
    for part in parts if isinstance(parts, list) else []:
        data = part.get("data") if isinstance(part, dict) else None
        if isinstance(data, dict) and isinstance(data.get("pending"), dict):
            found: Json = data["pending"]
            return found
    return None


def _request(message: Json) -> Json | None:
    metadata = message.get("metadata")
    found = metadata.get(HITL) if isinstance(metadata, dict) else None
    return found if isinstance(found, dict) else None


# -- calls of an agent on this runtime ---------------------------------------------------------------


def _ours(pending: Json) -> Json:
    calls = pending.get("calls")
    if not isinstance(calls, list) or not 0 < len(calls) <= MOST_CALLS:
        raise ValueError("does not say for what")
    found: Json = {"calls": [_kept(call) for call in calls]}
    if pause := named(pending.get("run_id")):
        found["pause"] = pause
    if isinstance(pending.get("problem"), str):
        found["problem"] = pending["problem"][:1_000]
    with contextlib.suppress(KeyError, TypeError, ValueError, OverflowError):
        found["expires"] = datetime.fromisoformat(pending["expires_at"]).timestamp()
    return found


def _kept(call: Any) -> Json:
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


def _size(calls: list[Json]) -> int:
    """Return how many bytes calls are; those with too many levels to be written inside of others are endless."""
    try:
        return len(orjson.dumps([[[[[[[[[[[[calls]]]]]]]]]]]]))
    except TypeError:
        return LARGEST_CALLS + 1


# -- calls of others ---------------------------------------------------------------------------------


def _theirs(request: Json) -> Json:
    nested = request.get("nested")
    inner = nested if isinstance(nested, dict) else {}
    agent = inner.get("subagent_name")
    shown = {"agent": agent} if isinstance(agent, str) else {}
    if request.get("type") == "tool_approval_request":
        tools = inner.get("tools") or request.get("tools")
        if not isinstance(tools, list) or not 0 < len(tools) <= MOST_CALLS:
            raise ValueError("does not say for what")
        return {"calls": [{**_approval(tool), **shown} for tool in tools]}
    questions = request.get("questions")
    if (
        request.get("type") != "ask_user_request"
        or not isinstance(request.get("id"), str)
        or not isinstance(questions, list)
        or not 0 < len(questions) <= MOST_CALLS
    ):
        raise ValueError("does not say for what")
    calls = [{**_asked(f"question_{n}", item), **shown} for n, item in enumerate(questions, 1)]
    first = inner.get("tools")
    tool = first[0] if isinstance(first, list) and first and isinstance(first[0], dict) else {}
    name = tool.get("id")
    return {"calls": calls, "request": name if isinstance(name, str) else request["id"]}


def _approval(tool: Any) -> Json:
    found = tool if isinstance(tool, dict) else {}
    name, called = found.get("id"), found.get("name")
    if not isinstance(name, str) or not isinstance(called, str) or len(name) > LONGEST_ID:
        raise ValueError("does not say for what")
    args = found.get("args") if isinstance(found.get("args"), dict) else {}
    digest = _digest([name, called, args])
    return {"type": "approval", "id": name, "name": called, "digest": digest, "args": args}


def _asked(name: str, question: Any) -> Json:
    found = question if isinstance(question, dict) else {}
    text = found.get("question", "")
    if not (isinstance(text, str) and text):
        raise ValueError("does not say for what")
    choices = found.get("choices")
    more = {"choices": choices} if isinstance(choices, list) and choices else {}
    return _question(name, text, **more)


def _question(name: str, text: str, **more: Any) -> Json:
    args = {"question": text[:LONGEST_TEXT], **more}
    return {
        "type": "question",
        "id": name,
        "name": "ask",
        "digest": _digest([name, args]),
        "args": args,
    }


def _digest(call: Any) -> str:
    try:
        return hashlib.sha256(orjson.dumps(call, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]
    except TypeError:
        raise ValueError("its calls are too large to be shown") from None
