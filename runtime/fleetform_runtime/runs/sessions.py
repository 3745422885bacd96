"""Sessions around a run (begin, end, wait for approval), and the sessions API."""

import asyncio
import hashlib
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any
from weakref import WeakValueDictionary

from fleetform_runtime.messages import (
    Assistant,
    Message,
    ToolResult,
    ToolResults,
    UnreadableError,
    User,
    dump,
    load,
    moment,
    now,
    recent,
    within,
)
from fleetform_runtime.problems import HttpProblem
from fleetform_runtime.runs.loop import Turn, readable, title_of
from fleetform_runtime.store import ConflictError, FullError, Session, UnreadableRecordError
from fleetform_runtime.store.parts import Conversations
from fleetform_runtime.tools import ToolError
from fleetform_runtime.tools.schema import Arguments

MERGES = 12
"""Attempts to append a turn after concurrent writes before it fails."""


class Sessions:
    """Reads and writes sessions, one turn at a time."""

    def __init__(
        self,
        store: Conversations,
        history: int,
        answers: dict[str, dict[str, Any]] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.store = store
        self._history = history
        self._clock = clock
        self._locks: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()
        self._answers = {name: Arguments(schema) for name, schema in (answers or {}).items()}

    async def begin(
        self,
        user: str,
        name: str,
        decisions: dict[str, dict[str, Any]] | None,
        paused: str | None,
    ) -> tuple[Session, list[Message], dict[str, Any] | None]:
        """Load a session for a turn; with decisions, claim its pending calls.

        Raises:
            HttpProblem: it does not exist, cannot be read, waits for approval, or no longer does.
        """
        session, rows = await self._loaded(user, name)
        history = self._read(rows)
        pending = session.pending
        if decisions is not None:
            return await self._claim(session, history, decisions, paused)
        if pending is None:
            return session, history, None
        if self._expired(pending):
            return await self._expire(session, history, pending)
        raise HttpProblem(
            "approval_pending",
            "first decide on the session's pending calls: POST /runs/{id}/approvals",
            extra={"pending": shown_pending(pending)},
            run_id=str(pending.get("run_id")),
        )

    async def end(
        self,
        session: Session,
        turn: Turn,
        pending: dict[str, Any] | None,
    ) -> None:
        """Append a turn to what is stored.

        Raises:
            HttpProblem: the session now waits for approval, or is gone.
        """
        await self._append(session, turn.fresh, pending)

    async def end_broken(self, session: Session, turn: Turn, pause: dict[str, Any] | None) -> None:
        """Store a failed turn, if the model had said something or a tool had done something."""
        fresh = list(turn.fresh)
        if turn.spoken:
            fresh.append(Assistant(text="".join(turn.spoken), finish="cancelled", at=now()))
        if pause is None and not any(isinstance(item, Assistant) for item in fresh):
            return
        if pause is not None and not fresh:
            fresh = [_undecided(pause, "The run ended before this call was made.")]
        await self._append(session, fresh, None)

    async def drop_pending(self, user: str, name: str, run: str) -> None:
        """Deny all pending calls."""
        session, _ = await self._loaded(user, name)
        pending = session.pending
        if pending is None or pending.get("run_id") != run:
            raise HttpProblem("run_ended", "the run is no longer waiting")
        await self._close(session, pending, "The user cancelled this call.")

    def fitting(self, history: list[Message], characters: int | None) -> list[Message]:
        """Cut a history to the configured length and the model's window."""
        kept = recent(history, self._history)
        return within(kept, characters) if characters else kept

    # -- the sessions API ------------------------------------------------------------------------

    async def get(self, user: str, name: str) -> Session:
        """Return a session.

        Raises:
            HttpProblem: there is no such session.
        """
        return (await self._loaded(user, name, limit=0))[0]

    async def create(self, session: Session) -> Session:
        """Store an empty session.

        Raises:
            HttpProblem: one with this name exists.
        """
        try:
            return await self.store.create(session)
        except ConflictError:
            raise HttpProblem("session_exists", "choose another session_id, or omit it") from None

    async def change(
        self,
        user: str,
        name: str,
        title: str | None,
        model: str | None,
        expected: int | None,
    ) -> Session:
        """Change title or model; None keeps the current value.

        Raises:
            HttpProblem: it does not exist, or has another revision.
        """
        for _ in range(MERGES):
            session = await self.get(user, name)
            if expected is not None and session.revision != expected:
                raise HttpProblem("conflict", f"the session's revision is {session.revision}")
            try:
                changed = replace(
                    session, title=title or session.title, model=model or session.model
                )
                return await self.store.update(changed, session.revision)
            except ConflictError:
                continue
        raise HttpProblem("conflict", "the session is changing too fast")

    async def messages(
        self, user: str, name: str, start: int, count: int
    ) -> tuple[Session, list[Message]]:
        """Return messages from a position on.

        Raises:
            HttpProblem: the session does not exist, or cannot be read.
        """
        session = await self.get(user, name)
        return session, self._read(await self.store.page(user, name, start, count))

    async def delete(self, user: str, name: str) -> None:
        """Delete a session.

        Raises:
            HttpProblem: there is no such session.
        """
        if not await self.store.delete(user, name):
            raise HttpProblem("session_not_found", "it never existed, is not yours, or has expired")

    # -- inside ----------------------------------------------------------------------------------

    async def _loaded(
        self, user: str, name: str, limit: int | None = None
    ) -> tuple[Session, list[bytes]]:
        try:
            loaded = await self.store.load(user, name, self._history if limit is None else limit)
            if loaded and limit is None and not any(b'"role":"user"' in row for row in loaded[1]):
                loaded = await self.store.load(user, name, -1)
        except UnreadableRecordError as error:
            raise HttpProblem("unreadable", str(error)) from None
        if loaded is None:
            raise HttpProblem("session_not_found", "it never existed, is not yours, or has expired")
        return loaded

    def _read(self, rows: Sequence[bytes]) -> list[Message]:
        try:
            return [load(row) for row in rows]
        except UnreadableError as error:
            raise HttpProblem("unreadable", str(error)) from None

    async def _append(
        self, session: Session, fresh: list[Message], pending: dict[str, Any] | None
    ) -> None:
        rows = [dump(message) for message in fresh]
        opening = next((item for item in fresh if isinstance(item, User)), None)
        if not session.title and opening is not None:
            session = replace(session, title=title_of(opening))
        session = replace(session, pending=pending)
        # Writers of this replica take turns; only those of other replicas can conflict.
        lock = self._locks.setdefault((session.user, session.id), asyncio.Lock())
        async with lock:
            await self._merge(session, rows)

    async def _merge(self, session: Session, rows: list[bytes]) -> None:
        expected = session.revision or None
        for attempt in range(MERGES):
            try:
                await self.store.append(session, rows, expected)
            except ConflictError:
                await asyncio.sleep(random.uniform(0, 0.01) * attempt)  # noqa: S311
                expected = await self._merged(session)
            except FullError as error:
                detail = f"it would exceed {error}; continue in a new session"
                raise HttpProblem("session_too_large", detail) from None
            else:
                return
        raise HttpProblem("conflict", "the session is changing too fast")

    async def _merged(self, session: Session) -> int:
        """Return the revision to append to: whole turns may be in any order."""
        current = await self.get(session.user, session.id)
        if current.pending is not None:
            raise HttpProblem("conflict", "another run left the session waiting for approval")
        return current.revision

    async def _claim(
        self,
        session: Session,
        history: list[Message],
        decisions: dict[str, dict[str, Any]],
        paused: str | None,
    ) -> tuple[Session, list[Message], dict[str, Any]]:
        """Claim the pending calls, once: a second caller finds none."""
        pending = session.pending
        if pending is None or pending.get("run_id") != paused or self._expired(pending):
            raise HttpProblem("approval_used", "the calls were decided, or have expired")
        self._check(pending, decisions)
        try:
            claimed = await self.store.update(replace(session, pending=None), session.revision)
        except ConflictError:
            raise HttpProblem("approval_used", "someone else decided at the same time") from None
        return claimed, history, pending

    def _check(self, pending: dict[str, Any], decisions: dict[str, dict[str, Any]]) -> None:
        calls = {call["id"]: call for call in pending["calls"]}
        errors = [f"{name}: there is no such call" for name in decisions if name not in calls]
        for name, call in calls.items():
            errors.extend(f"{name}: {wrong}" for wrong in self._wrong(call, decisions.get(name)))
        if errors:
            raise HttpProblem("invalid_fields", "; ".join(errors))

    def _wrong(self, call: dict[str, Any], decision: dict[str, Any] | None) -> list[str]:
        if decision is None:
            return ["a decision is missing"]
        if decision.get("digest") not in (None, digest(call)):
            return ["the digest does not match the call"]
        if decision.get("approved") is False:
            return []
        if call["type"] == "approval":
            return [] if decision.get("approved") is True else ["approved must be true or false"]
        return self._wrong_answer(call, decision)

    def _wrong_answer(self, call: dict[str, Any], decision: dict[str, Any]) -> list[str]:
        if decision.get("answer") is None:
            return ["an answer is missing"]
        check = self._answers.get(call["name"])
        if check is not None:
            try:
                check.check(decision["raw_answer"])
            except ToolError as error:
                return [str(error)]
        return []

    async def _expire(
        self, session: Session, history: list[Message], pending: dict[str, Any]
    ) -> tuple[Session, list[Message], None]:
        closed, row = await self._close(session, pending, "Nobody answered in time.")
        return closed, [*history, row], None

    async def _close(
        self, session: Session, pending: dict[str, Any], why: str
    ) -> tuple[Session, ToolResults]:
        row = _undecided(pending, why)
        try:
            closed = await self.store.append(
                replace(session, pending=None), [dump(row)], session.revision
            )
        except ConflictError:
            raise HttpProblem("conflict", "someone else decided at the same time") from None
        return closed, row

    def _expired(self, pending: dict[str, Any]) -> bool:
        return float(pending.get("expires", 0)) <= self._clock()


def shown_pending(pending: dict[str, Any]) -> dict[str, Any]:
    """Return what users see of pending calls; `digest` ties a decision to the exact call."""
    return {
        "run_id": pending["run_id"],
        "expires_at": moment(pending["expires"]),
        "calls": [
            {
                "id": call["id"],
                "type": call["type"],
                "name": call["name"],
                "args": readable(call["arguments"]),
                **({"server": call["server"]} if call.get("server") else {}),
                "digest": digest(call),
            }
            for call in pending["calls"]
        ],
    }


def digest(call: dict[str, Any]) -> str:
    """Return a short hash of a call's name, arguments and, for a tool of a server, that server."""
    text = f"{call['name']}\n{call['arguments']}"
    if call.get("server"):
        text += f"\n{call['server']}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _undecided(pending: dict[str, Any], why: str) -> ToolResults:
    """Give every call of a pause a result: existing ones, and a refusal for the others."""
    results = {item["id"]: ToolResult(**item) for item in pending["done"]}
    for call in pending["calls"]:
        results[call["id"]] = ToolResult(call["id"], call["name"], why, "denied")
    return ToolResults([results[name] for name in pending["order"]], now())
