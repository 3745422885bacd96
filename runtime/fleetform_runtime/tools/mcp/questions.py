"""What older servers ask a person in the middle of a call, told as protocol 2026-07-28 tells it.

An older server holds its call open until its form is filled in, for minutes or days. Nobody waits that long with a
connection: the form is cancelled, which ends the call without effect, and the call is made again once a person has
answered. Then the server asks the same, and gets the answer at once.
"""

import hashlib
from typing import Any

from fleetform_runtime import jsons

UNKNOWN = -32601
INVALID = -32602
CANCELLED = {"action": "cancel"}
"""What is said of a form that nobody fills in."""


class Questions:
    """The forms of one request; `params` are the request's own, without the answers that come with it."""

    def __init__(self, params: dict[str, Any]) -> None:
        given = params.get("inputResponses")
        self._answers = {**_earlier(params), **(given if isinstance(given, dict) else {})}
        self.params = {
            name: value
            for name, value in params.items()
            if name not in ("inputResponses", "requestState")
        }
        self._open: dict[str, Any] = {}

    def knows(self, found: dict[str, Any]) -> bool:
        """Whether a person has already answered what the server asks."""
        return _key(found) in self._answers

    def take(self, found: dict[str, Any]) -> dict[str, Any]:
        """Return the result for a form: its answer, or that nobody fills it in now."""
        key = _key(found)
        if key in self._answers:
            answer: dict[str, Any] = self._answers[key]
            return answer
        if not self._open:  # of several, the others are asked when the call is made again
            self._open[key] = {"method": "elicitation/create", "params": found["params"]}
        return CANCELLED

    @property
    def is_open(self) -> bool:
        """Whether the server asked what nobody has answered; what it returned then is of no use."""
        return bool(self._open)

    def asked(self) -> dict[str, Any]:
        """Return the result that says what a newer server would: what to ask, and what was answered before."""
        state = jsons.write(self._answers).decode()
        return {
            "resultType": "input_required",
            "inputRequests": self._open,
            **({"requestState": state} if self._answers else {}),
        }


def reply(found: dict[str, Any], asking: Questions | None) -> bytes | None:
    """Return our answer to a server's request; None if it is a notification, which has none.

    `asking` are the questions of the call that it belongs to; None if that is unknown, and so nobody can be asked.
    """
    if "id" not in found:
        return None
    answer: dict[str, Any] = {"jsonrpc": "2.0", "id": found["id"]}
    method = found.get("method")
    if method == "ping":
        answer["result"] = {}
    elif method == "elicitation/create" and not _is_form(found):
        answer["error"] = {"code": INVALID, "message": "only forms can be filled in"}
    elif method == "elicitation/create":
        answer["result"] = CANCELLED if asking is None else asking.take(found)
    else:
        answer["error"] = {"code": UNKNOWN, "message": "not served by this client"}
    return jsons.write(answer)


def _is_form(found: dict[str, Any]) -> bool:
    params = found.get("params")
    is_form = isinstance(params, dict) and params.get("mode", "form") == "form"
    return is_form and jsons.depth(params) <= jsons.DEEPEST


def _key(found: dict[str, Any]) -> str:
    """Return a name for a form: the same whenever the same is asked."""
    params = found.get("params")
    said = params if isinstance(params, dict) else {}
    asked = [said.get("message"), said.get("requestedSchema")]
    return hashlib.sha256(jsons.write(asked)).hexdigest()[:32]


def _earlier(params: dict[str, Any]) -> dict[str, Any]:
    """Return the answers to what was asked before the last question."""
    state = params.get("requestState")
    try:
        found = jsons.read(state) if isinstance(state, str) else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
