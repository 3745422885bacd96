"""What people see of pending calls: the run's own, and those of agents that it called."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from fleetform_runtime.messages import ToolResult, moment, read_result
from fleetform_runtime.runs.calls import readable


def items(pending: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield what people decide on: calls as they are kept; of a call that waits for another agent, that one's calls."""
    for call in pending["calls"]:
        for item in call["waits"]["calls"] if "waits" in call else ():
            path = f"{call['name']}/{item['agent']}" if "agent" in item else call["name"]
            yield {**item, "id": inner(call["id"], item), "agent": path}
        if "waits" not in call:
            yield call


def made(pending: dict[str, Any]) -> dict[str, ToolResult]:
    """Return the results, by call, of those calls of the same answer that waited for nobody."""
    took = pending.get("took", {})
    results = (read_result(item) for item in pending["done"])
    return {one.id: replace(one, duration_ms=took.get(one.id)) for one in results}


def inner(call: str, item: dict[str, Any]) -> str:
    """Return the identifier of another agent's call for whoever decides here."""
    return f"{call}/{item['id']}"


def shown_pending(pending: dict[str, Any]) -> dict[str, Any]:
    """Return what users see of pending calls; `digest` ties a decision to the exact call."""
    problems = {
        call["id"]: call["waits"].get("problem") for call in pending["calls"] if "waits" in call
    }
    calls = [_theirs(item) if "agent" in item else _own(item) for item in items(pending)]
    said = [problem for problem in problems.values() if problem]
    return {
        "run_id": pending["run_id"],
        "expires_at": moment(pending["expires"]),
        "calls": calls,
        **({"problem": "; ".join(said)} if said else {}),
    }


def _own(call: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": call["id"],
        "type": call["type"],
        "name": call["name"],
        "args": readable(call["arguments"]),
        **({"asks": _asked(call["needed"])} if "needed" in call else {}),
        **({"server": call["server"]} if call.get("server") else {}),
        "digest": digest(call),
    }


def _theirs(item: dict[str, Any]) -> dict[str, Any]:
    names = ("id", "type", "agent", "name", "args", "asks", "server", "digest")
    return {name: item[name] for name in names if name in item}


def _asked(needed: dict[str, Any]) -> dict[str, Any]:
    """Return what a server asks, as users see it; its state is its own."""
    return {"message": needed["message"], "schema": needed["schema"]}


def digest(call: dict[str, Any]) -> str:
    """Return a short hash of a call's name, arguments and, for a tool of a server, that server; another agent's is its own."""
    if "agent" in call:
        return str(call["digest"])
    text = f"{call['name']}\n{call['arguments']}"
    if call.get("server"):
        text += f"\n{call['server']}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]
