"""Steps as A2A messages: the same id is the same task, however often it is sent, so an answer is never paid for twice."""

import asyncio
import contextlib
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Protocol

import orjson

from fleetform_runtime import jsons
from fleetform_runtime.a2a.names import CURRENT, ERROR, NO_TASK, SCHEMA, USAGE, on_behalf
from fleetform_runtime.net import NetError, TooLargeError
from fleetform_runtime.net.build import client
from fleetform_runtime.net.client import CONNECT_SECONDS, Client, traceparent
from fleetform_runtime.net.client import Answer as HttpAnswer
from fleetform_runtime.net.pauses import pause, retry_after
from fleetform_runtime.problems import CODES
from fleetform_runtime.runs.structured import within
from fleetform_runtime.secrets import Secrets
from fleetform_runtime.workflows.settings import StepAgent

LARGEST_ANSWER = 4 * 1024 * 1024
MOST_AWAY_SECONDS = 60.0
"""Seconds for which an agent that cannot be reached is taken for one that restarts."""
REQUEST_SECONDS = 30.0
"""Seconds for a request; one that starts a task is answered before the task is over."""
FIRST_LOOK, LOOK_SECONDS = 0.1, 2.0
"""Seconds until a task is looked at first, and between two looks at most."""
CANCEL_SECONDS = 5.0
MOST_SAID = 1_000
LONGEST_WORD = 256
"""Characters of codes and of names of tasks that are kept."""
LONGEST_PAUSE = 86_400.0
MOST_USED, LARGEST_USED = 20, 2**53
"""Numbers that are kept of what an answer has cost, and the largest of them."""
_CODE = re.compile(r"[A-Za-z0-9_.-]{1,64}")
"""What may stand in logs and notices as the reason of a failure."""
_FENCE = re.compile(r"(?:```[^\n`]*\s*```)?")
"""What may be around an answer that is nothing but JSON."""
_OVER = {"completed", "failed", "canceled", "rejected"}
_WAITS = {"input_required", "auth_required"}


class CallError(Exception):
    """A step was not performed; the message tells people why."""

    def __init__(
        self,
        code: str,
        message: str,
        *,
        may_retry: bool,
        after: float | None = None,
        crashed: bool = False,
    ) -> None:
        super().__init__(message[:MOST_SAID])
        self.code = code[:LONGEST_WORD]
        self.may_retry = may_retry
        self.after = after if after is not None and 0 <= after <= LONGEST_PAUSE else None
        """Seconds for which the agent asks not to be called."""
        self.crashed = crashed
        """Whether the agent's process ended meanwhile, which is no fault of the step's."""


@dataclass(frozen=True, slots=True)
class Message:
    """What an agent is asked: `id` identifies the task."""

    id: str
    text: str
    data: Any
    schema: dict[str, Any] | None
    trace: str = ""
    user: str = ""
    """Who has begun the run."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What an agent has answered."""

    value: Any
    """JSON, or the text as it is."""
    task: str = ""
    usage: Mapping[str, Any] = field(default_factory=dict)


Waiting = Callable[[bool, str], None]
"""Is told that a task waits for a person, or no longer does, and its id."""


class Caller(Protocol):
    """Calls agents."""

    async def ask(self, agent: StepAgent, message: Message, waiting: Waiting) -> Answer:
        """Return an agent's answer; whoever asks ends it by cancelling.

        Raises:
            CallError: there is none.
        """

    async def cancel(self, agent: StepAgent, task: str, user: str) -> None:
        """Tell an agent that nobody waits for a task any more."""

    async def pending(self, agent: StepAgent, task: str, user: str) -> Any:
        """Return what a task waits for, as the agent shows it; None if nothing is known.

        Raises:
            CallError: the agent cannot be asked.
        """

    async def decide(
        self, agent: StepAgent, task: str, user: str, decisions: list[dict[str, Any]]
    ) -> None:
        """Pass on what a person has decided.

        Raises:
            CallError: the agent refuses it.
        """

    async def close(self) -> None:
        """Close the connections."""


class A2aCaller:
    """Calls agents by A2A 1.0 over JSON-RPC."""

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets
        self._clients: dict[str, Client] = {}

    async def ask(self, agent: StepAgent, message: Message, waiting: Waiting) -> Answer:
        """Send a message, and look at its task until that is over.

        Short requests in place of one that is open all the time: nobody on the way ends them for being idle, and an
        agent that has vanished without a word is noticed.
        """
        task = await self._sent(agent, message)
        told, looks = (False, ""), 0
        while (state := _state(task)) not in _OVER:
            name = _name(task)
            if (state in _WAITS, name) != told:
                told = (state in _WAITS, name)
                waiting(*told)
            await asyncio.sleep(min(LOOK_SECONDS, FIRST_LOOK * 1.5**looks))
            looks += 1
            task = await self._looked(agent, name, message)
        if told[0]:
            waiting(False, told[1])
        if state != "completed":
            raise _failed(task, state)
        return Answer(_value(task, message.schema), _name(task, needed=False), _usage(task))

    async def cancel(self, agent: StepAgent, task: str, user: str) -> None:
        """Cancel a task; an agent that cannot be reached comes to its end alone."""
        with contextlib.suppress(CallError, NetError, TimeoutError):
            async with asyncio.timeout(CANCEL_SECONDS):
                await self._asked(agent, "CancelTask", {"id": task}, user)

    async def pending(self, agent: StepAgent, task: str, user: str) -> Any:
        """Return what a task waits for."""
        found = await self._once(agent, "GetTask", {"id": task}, user)
        said = found["status"].get("message") if isinstance(found.get("status"), dict) else None
        data = [part["data"] for part in _parts(said) if isinstance(part.get("data"), dict)]
        return next((one["pending"] for one in data if "pending" in one), None)

    async def decide(
        self, agent: StepAgent, task: str, user: str, decisions: list[dict[str, Any]]
    ) -> None:
        """Send decisions to a task."""
        body = {
            "messageId": uuid.uuid4().hex,
            "taskId": task,
            "role": "ROLE_USER",
            "parts": [{"data": {"decisions": decisions}}],
        }
        params = {"message": body, "configuration": {"returnImmediately": True}}
        await self._once(agent, "SendMessage", params, user)

    async def _once(
        self, agent: StepAgent, method: str, params: dict[str, Any], user: str
    ) -> dict[str, Any]:
        try:
            return await self._asked(agent, method, params, user)
        except NetError as error:
            raise CallError("unreachable", str(error), may_retry=error.retryable) from None

    async def close(self) -> None:
        """Close the connections."""
        for one in self._clients.values():
            await one.close()

    async def _sent(self, agent: StepAgent, message: Message) -> dict[str, Any]:
        parts: list[dict[str, Any]] = [{"text": message.text}, {"data": message.data}]
        body: dict[str, Any] = {"messageId": message.id, "role": "ROLE_USER", "parts": parts}
        if message.schema is not None:
            body |= {"extensions": [SCHEMA], "metadata": {SCHEMA: message.schema}}
        params = {"message": body, "configuration": {"returnImmediately": True}}
        result = await self._reached(agent, "SendMessage", params, message)
        if isinstance(result.get("task"), dict):
            return dict(result["task"])
        if isinstance(result.get("message"), dict):
            said = result["message"]
            return {
                "status": {"state": "completed"},
                "artifacts": [{"parts": said.get("parts", [])}],
            }
        raise _unreadable()

    async def _looked(self, agent: StepAgent, task: str, message: Message) -> dict[str, Any]:
        """Return a task; an agent that does not know it any more has ended, and had kept it to itself."""
        try:
            return await self._reached(agent, "GetTask", {"id": task}, message)
        except CallError as error:
            if error.code != f"a2a{NO_TASK}":
                raise
            said = "the agent does not know its task any more"
            raise CallError("interrupted", said, may_retry=True, crashed=True) from None

    async def _reached(
        self, agent: StepAgent, method: str, params: dict[str, Any], message: Message
    ) -> dict[str, Any]:
        """Ask until there is an answer, as long as the agent may be about to come back."""
        loop = asyncio.get_running_loop()
        seen, tries = loop.time(), 0
        while True:
            began = loop.time()
            try:
                return await self._asked(agent, method, params, message.user, message.trace)
            except TooLargeError:
                most = f"its answer has more than {LARGEST_ANSWER} bytes"
                raise CallError("answer_too_large", most, may_retry=False) from None
            except NetError as error:
                if not error.retryable or loop.time() - seen > MOST_AWAY_SECONDS:
                    raise CallError("unreachable", str(error), may_retry=error.retryable) from None
            if loop.time() - began > CONNECT_SECONDS:  # it was there until now
                seen, tries = loop.time(), 0
            tries += 1
            await asyncio.sleep(pause(tries - 1, None, LOOK_SECONDS) or 0)

    async def _asked(
        self, agent: StepAgent, method: str, params: dict[str, Any], user: str, trace: str = ""
    ) -> dict[str, Any]:
        """Ask once.

        Raises:
            NetError: there is no answer.
            CallError: it is a refusal, or cannot be read.
        """
        body = orjson.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        headers = {"Content-Type": "application/json", "A2A-Version": CURRENT}
        headers |= on_behalf(user) if agent.on_behalf else {}
        if trace and traceparent.get() is None:
            headers["traceparent"] = trace
        answer = await self._client(agent).send(
            "POST",
            agent.url,
            seconds=REQUEST_SECONDS,
            most=LARGEST_ANSWER,
            headers=headers,
            body=body,
        )
        return _result(answer)

    def _client(self, agent: StepAgent) -> Client:
        found = self._clients.get(agent.name)
        if found is None:
            found = client(agent.url, self._secrets, auth=agent.auth, tls=agent.tls)
            self._clients[agent.name] = found
        return found


def _result(answer: HttpAnswer) -> dict[str, Any]:
    try:
        body = jsons.read(answer.body)
    except ValueError:
        body = None
    after = retry_after(answer.headers)
    if isinstance(body, dict) and isinstance(body.get("result"), dict):
        return dict(body["result"])
    error = body.get("error") if isinstance(body, dict) else None
    if isinstance(error, dict):
        problem = _problem(error.get("data")) or {}
        number = error.get("code")
        code = str(problem.get("code") or f"a2a{number if isinstance(number, int) else ''}")
        words = (error.get("message"), problem.get("detail"))
        said = ": ".join(dict.fromkeys(str(one) for one in words if one))
        may = bool(problem.get("retryable", error.get("code") == -32603))
        raise CallError(code, said, may_retry=may, after=after)
    if isinstance(body, dict) and _is_known(body.get("code")):
        said = str(body.get("detail", ""))
        raise CallError(str(body["code"]), said, may_retry=bool(body.get("retryable")), after=after)
    if answer.status == 200:
        raise _unreadable()
    may = answer.status in (408, 425, 429) or answer.status >= 500
    said = f"the agent answered {answer.status}"
    raise CallError(f"http_{answer.status}", said, may_retry=may, after=after)


def _problem(data: Any) -> dict[str, Any] | None:
    """Return our own problem among the details of an error."""
    for item in data if isinstance(data, list) else [data]:
        found = item.get(ERROR, item) if isinstance(item, dict) else None
        if isinstance(found, dict) and _is_known(found.get("code")):
            return found
    return None


def _is_known(code: Any) -> bool:
    return isinstance(code, str) and code in CODES


def _name(task: dict[str, Any], *, needed: bool = True) -> str:
    name = task.get("id")
    if needed and not (isinstance(name, str) and 0 < len(name) <= LONGEST_WORD):
        raise _unreadable()
    return str(name or "")[:LONGEST_WORD]


def _state(task: dict[str, Any]) -> str:
    status = task.get("status")
    state = status.get("state") if isinstance(status, dict) else None
    return str(state).removeprefix("TASK_STATE_").lower().replace("-", "_")


def _failed(task: dict[str, Any], state: str) -> CallError:
    about = _metadata(task, ERROR)
    said_code = about.get("code")
    code = said_code if isinstance(said_code, str) and _CODE.fullmatch(said_code) else state
    said = _words(task["status"].get("message")) or f"the agent's task is {state}"
    after = about.get("retry_after")
    return CallError(
        code,
        said,
        may_retry=bool(about.get("retryable", state == "failed")),
        after=float(after) if isinstance(after, int | float) else None,
        crashed=code == "interrupted",
    )


def _metadata(task: dict[str, Any], uri: str) -> dict[str, Any]:
    metadata = task.get("metadata")
    found = metadata.get(uri) if isinstance(metadata, dict) else None
    return found if isinstance(found, dict) else {}


def _usage(task: dict[str, Any]) -> dict[str, float]:
    """Return what an answer has cost: numbers, whatever else an agent says there."""
    return {
        name: value
        for name, value in islice(_metadata(task, USAGE).items(), MOST_USED)
        if isinstance(value, int | float)
        and not isinstance(value, bool)
        and 0 <= value <= LARGEST_USED
        and len(name) <= LONGEST_WORD
    }


def _value(task: dict[str, Any], wanted: Mapping[str, Any] | None) -> Any:
    """Return the answer: data as it is, text as the JSON that it holds, or as text."""
    artifacts = task.get("artifacts")
    parts = [
        part
        for artifact in (artifacts if isinstance(artifacts, list) else [])
        for part in _parts(artifact)
    ]
    data = [part["data"] for part in parts if "data" in part]
    text = "".join(str(part["text"]) for part in parts if "text" in part)
    found = data[-1] if data else of_text(text, wanted)
    try:
        orjson.dumps([[found]])
    except TypeError:
        raise CallError("unreadable", f"the answer: {jsons.TOO_LONG}", may_retry=True) from None
    return found


def of_text(text: str, wanted: Mapping[str, Any] | None = None) -> Any:
    """Return the JSON that an answer is, or holds if it has what is wanted; otherwise the text.

    Brackets in prose are no JSON that anybody means: a footnote `[1]` is not the answer.
    """
    for written, value in within(text):
        if jsons.is_deep(value, written) or not isinstance(value, dict | list):
            continue
        is_meant = isinstance(value, dict) and ("result" in value or _has(value, wanted))
        if is_meant or _FENCE.fullmatch(text.replace(written, "", 1).strip()):
            return value
    return text


def _has(value: Mapping[str, Any], wanted: Mapping[str, Any] | None) -> bool:
    """Whether a value has the members that are wanted of `.result`."""
    inner = (wanted or {}).get("properties", {}).get("result", {})
    names = inner.get("required", ())
    return bool(names) and all(name in value for name in names)


def _words(message: Any) -> str:
    return " ".join(str(part["text"]) for part in _parts(message) if "text" in part)


def _parts(message: Any) -> list[dict[str, Any]]:
    parts = message.get("parts", []) if isinstance(message, dict) else []
    return [part for part in parts if isinstance(part, dict)]


def _unreadable() -> CallError:
    return CallError("unreadable", "the agent's answer is not A2A", may_retry=True)
