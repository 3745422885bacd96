"""A conversation with an agent over HTTP, shown in a terminal."""

from __future__ import annotations

import http.client
import json
import re
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

from fleetform.addresses import is_self
from fleetform.characters import HIDDEN
from fleetform.problems import printable

PATIENCE = 600
"""Maximum seconds between two events of a stream; the agent sends heartbeats more often."""

_CONTROLS = f"[\x00-\x08\x0b-\x1f\x7f-\x9f{HIDDEN}]"


class ChatError(Exception):
    """The agent cannot be reached, or refuses; the message is shown to the user."""


def _is_near(host: str) -> bool:
    """Whether a host is this machine, or a Service of the cluster that it is in."""
    name = host.rstrip(".").removesuffix(".cluster.local")
    return is_self(host) or ("." not in name and ":" not in name) or name.endswith(".svc")


class Agent:
    """One agent's HTTP API."""

    def __init__(self, url: str, key: str | None) -> None:
        self._parts = urlsplit(url if "://" in url else f"http://{url}")
        if self._parts.scheme not in ("http", "https") or not self._parts.hostname:
            raise ChatError(f"`{url}` is not the URL of an agent")
        if key and self._parts.scheme == "http" and not _is_near(self._parts.hostname):
            raise ChatError(
                f"the key would go to {self._parts.hostname} without encryption: use https, or `kubectl port-forward`"
            )
        self._headers = {"Content-Type": "application/json", "Accept": "text/event-stream"}
        if key:
            self._headers["Authorization"] = f"Bearer {key}"

    def wait(self, seconds: float, is_alive: Callable[[], bool]) -> None:
        """Wait until the agent answers."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and is_alive():
            try:
                with self._sent("GET", "/health", None):
                    return
            except ChatError:
                time.sleep(0.05)
        raise ChatError("the agent did not start; run `fleetform run` to see why")

    def events(self, path: str, body: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the events of a run as they arrive."""
        with self._sent("POST", path, {**body, "stream": True}) as answer:
            yield from events_of(answer)

    def _sent(
        self, method: str, path: str, body: dict[str, Any] | None
    ) -> http.client.HTTPResponse:
        parts = self._parts
        made = (
            http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        )
        connection = made(parts.hostname or "", parts.port, timeout=PATIENCE)
        raw = json.dumps(body).encode() if body is not None else None
        try:
            connection.request(method, parts.path.rstrip("/") + path, raw, self._headers)
            answer = connection.getresponse()
            if answer.status >= 400:
                raise ChatError(_problem(answer.status, answer.read()))
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise ChatError(f"{parts.netloc} does not answer: {error}") from None
        return answer


def events_of(answer: http.client.HTTPResponse) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield server-sent events as they arrive."""
    kind = ""
    for raw in _lines(answer):
        name, _, value = raw.partition(": ")
        if name == "event":
            kind = value
        elif name == "data":
            yield kind, json.loads(value)


def _lines(answer: http.client.HTTPResponse) -> Iterator[str]:
    try:
        for raw in answer:
            yield raw.decode("utf-8", "replace").rstrip("\r\n")
    except (OSError, http.client.HTTPException) as error:
        raise ChatError(f"the connection was lost: {error}") from None


def _problem(status: int, raw: bytes) -> str:
    try:
        body = json.loads(raw)
        return _plain(f"{body['title']} ({status}): {body['detail']}")
    except (ValueError, KeyError, TypeError):
        return f"the server answered {status}"


class Conversation:
    """A series of messages in one session."""

    def __init__(
        self,
        agent: Agent,
        write: Callable[[str], None],
        ask: Callable[[str], str],
        model: str | None = None,
    ) -> None:
        self._agent = agent
        self._write = write
        self._ask = ask
        self._model = model
        self._session: str | None = None

    def say(self, message: str) -> bool:
        """Send a message and show the answer; return whether it was complete."""
        body: dict[str, Any] = {"message": message}
        if self._session:
            body["session_id"] = self._session
        if self._model:
            body["model"] = self._model
        return self._show("/chat", body)

    def _show(self, path: str, body: dict[str, Any]) -> bool:
        waiting: dict[str, Any] | None = None
        for kind, data in self._agent.events(path, body):
            if kind == "run_start":
                self._session = data["session_id"]
            elif kind == "token":
                self._write(_plain(data["content"]))
            elif kind == "tool_start":
                self._write(f"\n→ {printable(data['name'])} {_short(data['args'])}\n")
            elif kind == "tool_end":
                mark = "✓" if data["ok"] else "✗"
                self._write(f"{mark} {printable(data['name'])}: {_short(data['content'])}\n")
            elif kind == "compaction" and data["outcome"] == "summarised":
                self._write(f"({data['messages']} messages summarised)\n")
            elif kind == "approval_required":
                waiting = data
            elif kind == "error":
                self._write(_plain(f"\nerror: {data['message']} ({data['code']})\n"))
                return False
        self._write("\n")
        if waiting is None:
            return True
        if "problem" in waiting:
            self._write(_plain(f"{waiting['problem']}\n"))
        decisions = [self._decision(call) for call in waiting["calls"]]
        return self._show(f"/runs/{waiting['run_id']}/approvals", {"decisions": decisions})

    def _decision(self, call: dict[str, Any]) -> dict[str, Any]:
        # All of them, however many: nobody approves what is not shown.
        name = f"{call['agent']}/{call['name']}" if "agent" in call else call["name"]
        shown = printable(f"{name} {json.dumps(call['args'], ensure_ascii=False)}")
        if "asks" in call:
            return {"id": call["id"], "answer": self._filled(call["name"], call["asks"])}
        if call["type"] == "question":
            return {"id": call["id"], "answer": self._ask(f"? {shown}\nanswer: ")}
        answer = self._ask(f"? may it call {shown} [y/N] ")
        approved = answer.strip().lower() in ("y", "yes")
        return {"id": call["id"], "approved": approved, "digest": call["digest"]}

    def _filled(self, tool: str, asks: dict[str, Any]) -> dict[str, Any]:
        """Ask for each member of the form that a tool's server shows in the middle of a call."""
        self._write(_plain(f"\n? {tool} asks: {asks['message']}\n"))
        found: dict[str, Any] = {}
        for name, rule in asks["schema"].get("properties", {}).items():
            kind = rule.get("type") if isinstance(rule, dict) else None
            text = self._ask(printable(f"{name}{f' ({kind})' if kind else ''}: ")).strip()
            if text:
                found[name] = _typed(text, kind)
        return found


def _typed(text: str, kind: Any) -> Any:
    """Return what a person typed as a value of a form; as text if it is no such value."""
    if kind == "boolean":
        return text.lower() in ("y", "yes", "true")
    if kind in ("integer", "number"):
        try:
            return int(text) if kind == "integer" else float(text)
        except ValueError:
            return text
    return text


def _plain(text: str) -> str:
    """Return text of an agent without what moves a cursor, sets a clipboard or turns the direction of reading."""
    return re.sub(_CONTROLS, lambda match: printable(match[0]), text)


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    line = " ".join(text.split())
    return printable(line if len(line) <= 200 else f"{line[:199]}…")
