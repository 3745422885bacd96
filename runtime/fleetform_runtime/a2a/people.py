"""What a task asks people, and how their answers are written: as data, or by kagent's extension for humans in the loop."""

from typing import Any

import orjson
from pydantic import ValidationError

from fleetform_runtime.a2a.errors import A2aError, invalid
from fleetform_runtime.a2a.names import HITL, JSON
from fleetform_runtime.http.runs import Decisions, written
from fleetform_runtime.problems import HttpProblem
from fleetform_runtime.store import Run

HOW = (
    f"answer its calls with a data part {{decisions: […]}}, or by the extension {HITL}; "
    "a text answers a question that is asked alone, and never approves"
)


def asked(task: str, run: Run) -> dict[str, Any]:
    """Return the message that says what a task waits for."""
    pending = run.result.get("pending", {})
    calls = pending.get("calls", [])
    request = _request(run.id, calls)
    return {
        "messageId": f"{run.id}-waiting",
        "contextId": run.session,
        "taskId": task,
        "role": "ROLE_AGENT",
        "parts": [
            {"text": "\n".join(map(_line, calls))},
            {"data": {"pending": pending}, "mediaType": JSON},
        ],
        **({"extensions": [HITL], "metadata": {HITL: request}} if request else {}),
    }


def _line(call: dict[str, Any]) -> str:
    if call["type"] == "question":
        return question(call)
    who = f"{call['agent']} wants" if "agent" in call else "I want"
    return f"{who} to call {call['name']} with {orjson.dumps(call['args']).decode()}: is that approved?"


def question(call: dict[str, Any]) -> str:
    """Return the text of a question: what a server asks, or the arguments that the model gave it."""
    if "asks" in call:
        return str(call["asks"]["message"])
    args = call["args"]
    texts = list(args.values()) if isinstance(args, dict) else []
    if len(texts) == 1 and isinstance(texts[0], str):
        return texts[0]
    return f"{call['name']}: {orjson.dumps(args).decode()}"


def _request(run: str, calls: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Return calls in the words of the extension, which has none for approvals and questions at once."""
    types = {call["type"] for call in calls}
    if len(types) != 1:
        return None
    tools = [
        {
            "id": _bound(call),
            "call_id": call["id"],
            "name": call["name"],
            "args": call["args"] if isinstance(call["args"], dict) else {"arguments": call["args"]},
        }
        for call in calls
    ]
    agents = {call.get("agent", "") for call in calls}
    nested = (
        {"nested": {"subagent_name": agents.pop(), "tools": tools}}
        if agents != {""} and len(agents) == 1
        else {}
    )
    if types == {"approval"}:
        return {"type": "tool_approval_request", "tools": tools, **nested}
    questions = [
        {"question": question(call), "choices": _choices(call), "multiple": False} for call in calls
    ]
    return {"type": "ask_user_request", "id": run, "questions": questions, **nested}


def _choices(call: dict[str, Any]) -> list[str]:
    """Return what a server's form lets choose from, if it has one text with a list."""
    schema = call["asks"]["schema"] if "asks" in call else {}
    properties = schema.get("properties", {})
    fields = list(properties.values()) if isinstance(properties, dict) else []
    choices = fields[0].get("enum", []) if len(fields) == 1 and isinstance(fields[0], dict) else []
    return [item for item in choices if isinstance(item, str)] if isinstance(choices, list) else []


def _bound(call: dict[str, Any]) -> str:
    """Return the name of a call for whoever decides: it says by its digest which call exactly was shown."""
    return f"{call['digest']}:{call['id']}"


def decisions(message: dict[str, Any], run: Run) -> dict[str, dict[str, Any]]:
    """Return what a message decides on the calls that a task waits for.

    Raises:
        A2aError: it decides nothing, or not in one of the forms.
    """
    calls = run.result.get("pending", {}).get("calls", [])
    payload = message.get("metadata", {}).get(HITL)
    if HITL in message.get("extensions", ()) and payload is not None:
        found = _by_extension(payload, calls, run.id)
    elif (given := _given(message)) is not None:
        found = given
    else:
        found = [_by_text(message, calls)]
    try:
        return written(Decisions.model_validate({"decisions": found}).decisions)
    except ValidationError as error:
        (first, *_) = error.errors(include_url=False, include_input=False, include_context=False)
        place = ".".join(map(str, first["loc"]))
        raise invalid(place, first["msg"]) from None
    except HttpProblem as problem:
        raise A2aError("InvalidParamsError", problem.detail, problem=problem) from None


def _given(message: dict[str, Any]) -> Any:
    data = [part["data"] for part in message["parts"] if isinstance(part.get("data"), dict)]
    return next((item["decisions"] for item in data if "decisions" in item), None)


def _by_text(message: dict[str, Any], calls: list[dict[str, Any]]) -> dict[str, Any]:
    texts = [part["text"] for part in message["parts"] if "text" in part]
    if len(calls) != 1 or calls[0]["type"] != "question" or len(texts) != len(message["parts"]):
        raise A2aError("InvalidParamsError", f"the task waits for a person: {HOW}")
    return {"id": calls[0]["id"], "answer": _answer(calls[0], texts)}


def _by_extension(payload: Any, calls: list[dict[str, Any]], run: str) -> list[dict[str, Any]]:
    kind = payload.get("type") if isinstance(payload, dict) else None
    if kind == "tool_approval_response":
        return [_approval(item, n) for n, item in enumerate(_list(payload, "approvals"))]
    if kind != "ask_user_response":
        raise invalid(
            f"message.metadata[{HITL}].type", "is tool_approval_response or ask_user_response"
        )
    answers = _list(payload, "answers")
    known = [run, *(_bound(call) for call in calls)]
    if payload.get("id") not in known:
        raise invalid(f"message.metadata[{HITL}].id", "is not that of the question")
    if len(answers) != len(calls):
        raise invalid(
            f"message.metadata[{HITL}].answers", f"{len(calls)} are needed, one per question"
        )
    return [
        {"id": call["id"], "digest": call["digest"], "answer": _answer(call, _texts(answer))}
        for call, answer in zip(calls, answers, strict=True)
    ]


def _approval(item: Any, n: int) -> dict[str, Any]:
    path = f"message.metadata[{HITL}].approvals[{n}]"
    if not isinstance(item, dict) or not isinstance(item.get("approved"), bool):
        raise invalid(path, "has `id` and `approved`, true or false")
    digest, _, name = str(item.get("id", "")).partition(":")
    reason = item.get("rejection_reason")
    return {
        "id": name,
        "digest": digest,
        "approved": item["approved"],
        **({"reason": reason} if isinstance(reason, str) and not item["approved"] else {}),
    }


def _list(payload: dict[str, Any], name: str) -> list[Any]:
    found = payload.get(name)
    if not isinstance(found, list):
        raise invalid(f"message.metadata[{HITL}].{name}", "is a list")
    return found


def _texts(answer: Any) -> list[str]:
    found = answer.get("answer") if isinstance(answer, dict) else None
    if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
        raise invalid(f"message.metadata[{HITL}].answers", "each is {answer: [text, …]}")
    return found


def _answer(call: dict[str, Any], texts: list[str]) -> Any:
    """Return an answer of people, who write texts: JSON where it is some, and for a form of one text that text."""
    text = "\n".join(texts)
    schema = call["asks"]["schema"] if "asks" in call else {}
    properties = schema.get("properties")
    if text[:1] in ("{", "["):
        try:
            return orjson.loads(text)
        except ValueError:
            return text
    if isinstance(properties, dict) and len(properties) == 1:
        return {next(iter(properties)): text}
    return text
