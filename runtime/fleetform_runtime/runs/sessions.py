"""Sessions around a run (begin, end, wait for approval), and the sessions API."""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any
from weakref import WeakValueDictionary

from fleetform_runtime.messages import (
    Assistant,
    Message,
    Summary,
    ToolResult,
    ToolResults,
    UnreadableError,
    User,
    dump,
    is_summary,
    load,
    moment,
    now,
    recent,
    standing,
)
from fleetform_runtime.problems import HttpProblem
from fleetform_runtime.runs.pending import digest, items, made, shown_pending
from fleetform_runtime.runs.turn import Turn
from fleetform_runtime.store import (
    ConflictError,
    FullError,
    Pause,
    Session,
    StoreError,
    UnreadableRecordError,
)
from fleetform_runtime.store.parts import Conversations, Pauses
from fleetform_runtime.tools import ToolError
from fleetform_runtime.tools.mcp import schemas
from fleetform_runtime.tools.schema import Arguments

log = logging.getLogger(__name__)
MERGES = 12
"""Attempts to append a turn after concurrent writes before it fails."""
LARGE_BYTES = 1024 * 1024
MOST_ROWS = 10_000
"""Rows that are read at most to find the newest summary."""
CLAIM_SECONDS = 60
"""Seconds that a run which carries out decisions has to be stored, besides those that it may take."""


LISTED = 200
MOST_LISTED = 2_000
"""Sessions, the latest of a user, that are looked through for runs that wait, or for a title."""


class Sessions:
    """Reads and writes sessions, one turn at a time."""

    def __init__(
        self,
        store: Conversations,
        pauses: Pauses,
        history: int,
        answers: dict[str, dict[str, Any]] | None = None,
        clock: Callable[[], float] = time.time,
        run_seconds: float = 0,
        *,
        compacts: bool = False,
        is_running: Callable[[str], Awaitable[bool]] | None = None,
    ) -> None:
        self.store = store
        self._pauses = pauses
        self._claim_seconds = run_seconds + CLAIM_SECONDS
        self._history = history
        self._compacts = compacts
        self._clock = clock
        self._locks: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()
        self._answers = {name: Arguments(schema) for name, schema in (answers or {}).items()}
        self._goes_on = is_running

    async def begin(
        self,
        user: str,
        name: str,
        decisions: dict[str, dict[str, Any]] | None,
        paused: str | None,
    ) -> tuple[Session, list[Message], dict[str, Any] | None]:
        """Load a session for a turn; with decisions, claim its pending calls.

        Of turns that broke off, the history has what was done; `opened` lets it join the conversation.

        Raises:
            HttpProblem: it does not exist, cannot be read, waits for approval, or no longer does.
        """
        if decisions is not None:
            return await self._claim(user, name, decisions, paused)
        session, rows = await self._loaded(user, name)
        session, history = await self._without_ended(session, standing(await self._read(rows)))
        if not session.waiting:
            over = [turn for turn in session.turns if not await self._is_open(turn)]
            done = [row for turn in over for row in _done(turn)]
            session, history = _marked(session, over), [*history, *await self._read(done)]
            return session, history, None
        pause = session.waiting[0]
        raise HttpProblem(
            "approval_pending",
            "first decide on the session's pending calls: POST /runs/{id}/approvals",
            extra={"pending": shown_pending(pause)},
            run_id=str(pause.get("run_id")),
        )

    async def asked(self, user: str, name: str, run: str) -> User:
        """Return what was asked in a run that broke off, and has not been followed by another turn.

        Raises:
            HttpProblem: it did not break off, or others came after it.
        """
        session = await self.get(user, name)
        turn = next((turn for turn in session.turns if turn["run_id"] == run), None)
        if turn is not None and await self._is_open(turn):
            raise HttpProblem("not_retryable", "the run goes on", run_id=run)
        if turn is None or turn is not session.turns[-1]:
            raise _not_retryable(run)
        (message,) = _parsed([turn["rows"][0].encode()]) if turn["rows"] else (None,)
        if not isinstance(message, User):
            raise _not_retryable(run)
        return message

    async def opened(
        self, session: Session, run: str, message: User | None, retry: str | None = None
    ) -> Session:
        """Store that a run has begun in a session, and what was asked; return the session.

        What was done in turns that broke off joins the conversation first, but for the one that is tried again.

        Raises:
            HttpProblem: the session is gone or too large, or others tried the same again.
        """
        asked = [] if message is None else [dump(message).decode()]
        title = _title_of(message) if message is not None else ""
        lost = {turn["run_id"] for turn in session.turns if turn.get("ended")}

        def is_over(turn: dict[str, Any]) -> bool:
            return bool(turn.get("ended")) or turn["run_id"] in lost

        def begin(current: Session) -> tuple[Session, list[bytes]]:
            over = [turn for turn in current.turns if is_over(turn)]
            if retry is not None and not any(turn["run_id"] == retry for turn in over):
                raise _not_retryable(retry)
            rows = [row for turn in over if turn["run_id"] != retry for row in _done(turn)]
            going = [turn for turn in current.turns if not is_over(turn)]
            turns = [*going, {"run_id": run, "rows": asked}]
            changed = replace(current, turns=turns, title=current.title or title)
            chosen = {name: getattr(session, name) for name in ("model", "variant", "temperature")}
            return replace(changed, **chosen), rows

        return await self._change(session, begin)

    async def running(self, session: Session) -> str | None:
        """Return the newest run of a session that goes on."""
        for turn in reversed(session.turns):
            if await self._is_open(turn):
                return str(turn["run_id"])
        return None

    async def _is_open(self, turn: dict[str, Any]) -> bool:
        """Whether the run of a turn goes on: it has not told of its end, nor died without telling."""
        if turn.get("ended") or self._goes_on is None:
            return False
        return await self._goes_on(turn["run_id"])

    def parked(self, pause: dict[str, Any] | None) -> list[Message]:
        """Return what a paused run had said so far."""
        return _parsed([row.encode() for row in pause.get("rows", ())]) if pause else []

    async def end(
        self,
        session: Session,
        turn: Turn,
        waiting: dict[str, Any] | None,
        resumed: dict[str, Any] | None = None,
    ) -> None:
        """Append a turn to what is stored, or keep it aside while it waits for a decision.

        Raises:
            HttpProblem: the session is gone, or too large.
        """
        if waiting is not None:
            # First, so that none waits unlisted: of what is listed, the session knows.
            await self._pauses.put(
                Pause(
                    run=waiting["run_id"],
                    user=session.user,
                    session=session.id,
                    since=waiting["since"],
                    expires=waiting["expires"],
                )
            )
        rows = [] if waiting else [dump(message) for message in turn.fresh]
        more = [] if waiting is None else [waiting]

        def end(current: Session) -> tuple[Session, list[bytes]]:
            pending = [item for item in current.pending if not resumed or not _is_of(item, resumed)]
            return _without(replace(current, pending=[*pending, *more]), turn.run), rows

        await self._ended(session, end, resumed)

    async def end_broken(self, session: Session, turn: Turn, pause: dict[str, Any] | None) -> None:
        """Keep what a failed turn has asked and done, until another one begins."""
        fresh = list(turn.fresh)
        if pause is not None and len(fresh) == len(pause.get("rows", ())):
            fresh.append(_undecided(pause, "The run ended before this call was made."))
        if turn.spoken:
            fresh.append(Assistant(text="".join(turn.spoken), finish="cancelled", at=now()))
        rows = [dump(message).decode() for message in fresh]

        def end(current: Session) -> tuple[Session, list[bytes]]:
            pending = [item for item in current.pending if not pause or not _is_of(item, pause)]
            left = _without(replace(current, pending=pending), turn.run)
            over = {"run_id": turn.run, "rows": rows, "ended": True}
            return replace(left, turns=[*left.turns, over]), []

        await self._ended(session, end, pause)

    async def _ended(
        self,
        session: Session,
        change: Callable[[Session], tuple[Session, list[bytes]]],
        resumed: dict[str, Any] | None,
    ) -> None:
        await self._change(session, change)
        if resumed is not None:
            await self._forget(resumed["run_id"])

    async def drop_pending(self, user: str, name: str, run: str) -> dict[str, Any]:
        """Deny all pending calls of a run, and return them."""
        for _ in range(MERGES):
            session, _rows = await self._loaded(user, name, limit=0)
            pause = _of(session.waiting, run)
            if pause is None:
                raise HttpProblem("run_ended", "the run is no longer waiting")
            refused = dump(_undecided(pause, "The user cancelled this call.")).decode()
            over = {"run_id": run, "rows": [*pause.get("rows", ()), refused], "ended": True}
            pending = [item for item in session.pending if item is not pause]
            changed = replace(session, pending=pending, turns=[*session.turns, over])
            try:
                await self.store.append(changed, [], session.revision)
            except ConflictError:
                continue
            await self._forget(run)
            return pause
        raise HttpProblem("conflict", "the session is changing too fast")

    def recent(self, history: list[Message]) -> list[Message]:
        """Cut a history to the configured number of messages, unless it will be compacted."""
        return history if self._compacts else recent(history, self._history)

    async def summarised(self, session: Session, summary: Summary) -> Session | None:
        """Store a summary of a session; None if others have added to it, for whom it would not be in its place."""
        lock = self._locks.setdefault((session.user, session.id), asyncio.Lock())
        try:
            async with lock:
                return await self.store.append(session, [dump(summary)], session.revision)
        except ConflictError:
            return None
        except (FullError, StoreError) as error:
            log.warning("a summary was not stored: %s", error)
            return None

    # -- the sessions API ------------------------------------------------------------------------

    async def get(self, user: str, name: str) -> Session:
        """Return a session.

        Raises:
            HttpProblem: there is no such session.
        """
        return (await self._loaded(user, name, limit=0))[0]

    async def waiting(self, user: str) -> list[dict[str, Any]]:
        """Return the user's runs that wait for a decision, those of the latest sessions first."""
        found: list[dict[str, Any]] = []
        for start in range(0, MOST_LISTED, LISTED):
            sessions, total = await self.store.recent(user, start, LISTED)
            found += [
                {"session_id": session.id, "title": session.title, **shown_pending(pause)}
                for session in sessions
                for pause in session.waiting
                if pause["expires"] > self._clock()
            ]
            if start + LISTED >= total:
                break
        return found

    async def found(
        self, user: str, text: str, start: int, count: int
    ) -> tuple[list[Session], int]:
        """Return the user's sessions whose title has a text, whatever its case, and how many there are.

        Looked through are the latest MOST_LISTED of the user.
        """
        wanted = text.casefold()
        found: dict[str, Session] = {}
        for place in range(0, MOST_LISTED, LISTED):
            sessions, total = await self.store.recent(user, place, LISTED)
            found |= {one.id: one for one in sessions if wanted in one.title.casefold()}
            if place + LISTED >= total:
                break
        return list(found.values())[start : start + count], len(found)

    async def paused(self) -> list[dict[str, Any]]:
        """Return everybody's runs that wait for a decision, those that wait longest first.

        What an approver needs is in them, and nothing else of the conversation.
        """
        found: list[dict[str, Any]] = []
        for start in range(0, MOST_LISTED, LISTED):
            page = await self._pauses.page(start, LISTED)
            shown = [await self._shown(item) for item in page if item.expires > self._clock()]
            found += [item for item in shown if item is not None]
            if len(page) < LISTED or len(found) >= LISTED:
                break
        return found[:LISTED]

    async def untold(self, before: float) -> list[tuple[Pause, dict[str, Any]]]:
        """Return the runs that wait since before a time without anybody having been told, and for what they do."""
        page = await self._pauses.page(0, LISTED)
        old = [item for item in page if not item.told and item.since < before]
        shown = [(item, await self._shown(item)) for item in old if item.expires > self._clock()]
        return [(item, found) for item, found in shown if found is not None]

    async def was_told(self, pause: Pause) -> None:
        """Remember that somebody was told that a run waits; nothing if it does no longer."""
        if await self._shown(pause) is not None:
            await self._pauses.put(replace(pause, told=True))

    async def _shown(self, listed: Pause) -> dict[str, Any] | None:
        """Return a pause as its session has it; None if it is decided, or the session gone."""
        try:
            loaded = await self.store.load(listed.user, listed.session, 0)
        except UnreadableRecordError:
            return None
        pause = _of(loaded[0].waiting, listed.run) if loaded else None
        if pause is None:
            return None
        since = {"asked_by": listed.user, "since": moment(listed.since)}
        return {**since, **shown_pending(pause)}

    async def expire(self, ended: Callable[[dict[str, Any]], Awaitable[None]]) -> int:
        """Close what nobody has decided in time, also where nothing happens in the session; return how much.

        `ended` is told of each pause that was closed.
        """
        closed = start = 0
        while page := await self._pauses.page(start, LISTED):
            over = [item for item in page if item.expires <= self._clock()]
            gone = sum([await self._expire(item, ended) for item in over])
            closed, start = closed + gone, start + len(page) - gone
        return closed

    async def _expire(
        self, listed: Pause, ended: Callable[[dict[str, Any]], Awaitable[None]]
    ) -> bool:
        """Close one pause, unless a run carries out its decisions; return whether it is listed no more."""
        try:
            loaded = await self.store.load(listed.user, listed.session, 0)
            pause = (
                next((p for p in loaded[0].pending if p["run_id"] == listed.run), None)
                if loaded
                else None
            )
            if loaded and pause is not None:
                if not self._expired(pause):
                    return False
                await self._close(loaded[0], [(pause, _why(pause))])
                await ended(pause)
        except (ConflictError, FullError):
            return False
        except UnreadableRecordError:
            log.warning("run %s waits in a session that cannot be read", listed.run)
        await self._pauses.remove(listed.run)
        return True

    async def _forget(self, run: str) -> None:
        """Take a run off the list; what stays there for a store's failure is found out when it expires."""
        try:
            await self._pauses.remove(run)
        except StoreError as error:
            log.warning("run %s is still listed as waiting: %s", run, error)

    async def pause(
        self, user: str, name: str, run: str, decisions: dict[str, dict[str, Any]]
    ) -> dict[str, Any]:
        """Return what a run waits for, if it can be decided so.

        Raises:
            HttpProblem: it waits no more, or the decisions do not match its calls.
        """
        return self._open(await self.get(user, name), run, decisions)

    def _open(
        self, session: Session, run: str | None, decisions: dict[str, dict[str, Any]]
    ) -> dict[str, Any]:
        pause = _of(session.waiting, run)
        if pause is None or self._expired(pause):
            raise HttpProblem("approval_used", "the calls were decided, or have expired")
        self._check(pause, decisions)
        return pause

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
        given: dict[str, Any],
        expected: int | None,
    ) -> Session:
        """Change title, model or temperature, whichever is given.

        Raises:
            HttpProblem: it does not exist, or has another revision.
        """
        for _ in range(MERGES):
            session = await self.get(user, name)
            if expected is not None and session.revision != expected:
                raise HttpProblem("conflict", f"the session's revision is {session.revision}")
            try:
                return await self.store.update(replace(session, **given), session.revision)
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
        rows = await self.store.page(user, name, start, count)
        rows += session.parked[max(0, start - session.messages) :]
        return session, await self._read(rows[:count])

    async def delete(self, user: str, name: str) -> tuple[list[dict[str, Any]], list[str]]:
        """Delete a session; return what waited in it, and which runs go on.

        Raises:
            HttpProblem: there is no such session.
        """
        try:
            found = await self.get(user, name)
            waiting = found.waiting
            running = [turn["run_id"] for turn in found.turns if await self._is_open(turn)]
        except HttpProblem as problem:
            if problem.code != "unreadable":
                raise
            waiting, running = [], []
        if not await self.store.delete(user, name):
            raise HttpProblem("session_not_found", "it never existed, is not yours, or has expired")
        for pause in waiting:
            await self._forget(pause["run_id"])
        return waiting, running

    # -- inside ----------------------------------------------------------------------------------

    async def _loaded(
        self, user: str, name: str, limit: int | None = None
    ) -> tuple[Session, list[bytes]]:
        try:
            loaded = await self.store.load(user, name, self._history if limit is None else limit)
            if loaded and limit is None and not self._reaches_back(loaded[1], self._history):
                loaded = await self._further(user, name)
        except UnreadableRecordError as error:
            raise HttpProblem("unreadable", str(error)) from None
        if loaded is None:
            raise HttpProblem("session_not_found", "it never existed, is not yours, or has expired")
        return loaded

    async def _further(self, user: str, name: str) -> tuple[Session, list[bytes]] | None:
        """Load as many of the newest rows as a history needs."""
        count = self._history
        while count < MOST_ROWS:
            count = min(MOST_ROWS, count * 8)
            loaded = await self.store.load(user, name, count)
            if loaded is None or self._reaches_back(loaded[1], count):
                break
        return loaded

    def _reaches_back(self, rows: list[bytes], count: int) -> bool:
        """Whether the newest rows are enough: all that the newest summary keeps, or without one a question."""
        if len(rows) < count:
            return True
        place = max((n for n, row in enumerate(rows) if is_summary(row)), default=-1)
        if place < 0:
            return not self._compacts and any(b'"role":"user"' in row for row in rows)
        (summary,) = _parsed(rows[place : place + 1])
        keeps = summary.keeps if isinstance(summary, Summary) else 0
        return sum(not is_summary(row) for row in rows[:place]) >= keeps

    async def _read(self, rows: Sequence[bytes]) -> list[Message]:
        """Parse rows, in a thread if they are so large that everybody else would wait for it."""
        if sum(map(len, rows)) > LARGE_BYTES:
            return await asyncio.to_thread(_parsed, rows)
        return _parsed(rows)

    async def _change(
        self, session: Session, change: Callable[[Session], tuple[Session, list[bytes]]]
    ) -> Session:
        """Change a session, and add whole turns to it in any order; `change` returns both, given what is stored."""
        # Writers of this replica take turns; only those of other replicas can conflict.
        lock = self._locks.setdefault((session.user, session.id), asyncio.Lock())
        async with lock:
            for attempt in range(MERGES):
                changed, rows = change(session)
                try:
                    return await self.store.append(changed, rows, session.revision or None)
                except ConflictError:
                    await asyncio.sleep(random.uniform(0, 0.01) * attempt)  # noqa: S311
                    session = await self.get(session.user, session.id)
                except FullError as error:
                    detail = f"it would exceed {error}; continue in a new session"
                    raise HttpProblem("session_too_large", detail) from None
        raise HttpProblem("conflict", "the session is changing too fast")

    async def _claim(
        self, user: str, name: str, decisions: dict[str, dict[str, Any]], paused: str | None
    ) -> tuple[Session, list[Message], dict[str, Any]]:
        """Claim the pending calls of a run, once: a second caller finds them claimed."""
        for _ in range(MERGES):
            session, rows = await self._loaded(user, name)
            pause = self._open(session, paused, decisions)
            history = standing(await self._read(rows))
            claimed = pause | {"claimed": self._clock() + self._claim_seconds}
            pending = [claimed if item is pause else item for item in session.pending]
            try:
                session = await self.store.update(
                    replace(session, pending=pending), session.revision
                )
            except ConflictError:
                continue
            return session, history, pause
        raise HttpProblem("conflict", "the session is changing too fast")

    async def release(self, user: str, name: str, pause: dict[str, Any]) -> None:
        """Give a claim back.

        Raises:
            HttpProblem: the session is gone, or keeps changing.
        """
        for _ in range(MERGES):
            session = await self.get(user, name)
            pending = [pause if _is_of(item, pause) else item for item in session.pending]
            try:
                await self.store.update(replace(session, pending=pending), session.revision)
            except ConflictError:
                continue
            return
        raise HttpProblem("conflict", "the session is changing too fast")

    def _check(self, pending: dict[str, Any], decisions: dict[str, dict[str, Any]]) -> None:
        listed = list(items(pending))
        calls = {call["id"]: call for call in listed}
        if len(calls) < len(listed):  # which one was meant, nobody could tell
            raise HttpProblem("invalid_fields", "two calls have the same id: cancel the run")
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
        if "agent" in call:
            return []  # it checks the answer itself
        check = self._answers.get(call["name"])
        if "needed" in call:
            check = form(call["needed"]["schema"])
        if check is not None:
            try:
                check.check(decision["raw_answer"])
            except ToolError as error:
                return [str(error)]
        return []

    async def _without_ended(
        self, session: Session, history: list[Message]
    ) -> tuple[Session, list[Message]]:
        """Close what nobody has decided in time, and what was decided by a run that died before its end."""
        ended = [(pause, _why(pause)) for pause in session.pending if self._expired(pause)]
        if not ended:
            return session, history
        try:
            closed, rows = await self._close(session, ended)
        except ConflictError:
            raise HttpProblem("conflict", "someone else decided at the same time") from None
        return closed, [*history, *await self._read(rows)]

    async def _close(
        self, session: Session, ended: list[tuple[dict[str, Any], str]]
    ) -> tuple[Session, list[bytes]]:
        """Let turns join the conversation whose calls will not be decided.

        Raises:
            ConflictError: the session has changed.
        """
        rows: list[bytes] = []
        for pause, why in ended:
            rows += [row.encode() for row in pause.get("rows", ())]
            rows.append(dump(_undecided(pause, why)))
        left = [item for item in session.pending if not any(item is pause for pause, _ in ended)]
        closed = await self.store.append(replace(session, pending=left), rows, session.revision)
        for pause, _ in ended:
            await self._forget(pause["run_id"])
        return closed, rows

    def _expired(self, pending: dict[str, Any]) -> bool:
        return float(pending.get("claimed") or pending.get("expires", 0)) <= self._clock()


def _why(pause: dict[str, Any]) -> str:
    """Return what has become of calls that have expired."""
    if pause.get("claimed"):
        return "The run was interrupted; the call may have been made."
    return "Nobody answered in time."


def _of(pauses: list[dict[str, Any]], run: str | None) -> dict[str, Any] | None:
    return next((pause for pause in pauses if pause["run_id"] == run), None)


def _done(turn: dict[str, Any]) -> list[bytes]:
    """Return the rows of a turn that broke off, if anything was done but asked."""
    rows = turn["rows"]
    return [row.encode() for row in rows] if len(rows) > 1 else []


def _marked(session: Session, over: list[dict[str, Any]]) -> Session:
    """Return a session in which turns have ended that could not tell."""
    turns = [turn | {"ended": True} if turn in over else turn for turn in session.turns]
    return replace(session, turns=turns)


def _without(session: Session, run: str) -> Session:
    """Return a session without the open turn of a run."""
    return replace(session, turns=[turn for turn in session.turns if turn["run_id"] != run])


def _not_retryable(run: str) -> HttpProblem:
    detail = "it did not fail, was tried again, or others came after it"
    return HttpProblem("not_retryable", detail, run_id=run)


def _is_of(pause: dict[str, Any], other: dict[str, Any]) -> bool:
    return bool(pause["run_id"] == other["run_id"])


def _parsed(rows: Sequence[bytes]) -> list[Message]:
    try:
        return [load(row) for row in rows]
    except UnreadableError as error:
        raise HttpProblem("unreadable", str(error)) from None


def form(schema: dict[str, Any]) -> Arguments | None:
    """Return what checks the answer to a server's form; None if the server alone can."""
    try:
        schemas.check(schema)
    except ValueError:
        return None
    return Arguments(schema)


def _undecided(pending: dict[str, Any], why: str) -> ToolResults:
    """Give every call of a pause a result: existing ones, and a refusal for the others."""
    results = made(pending)
    for call in pending["calls"]:
        results[call["id"]] = ToolResult(call["id"], call["name"], why, "denied")
    return ToolResults([results[name] for name in pending["order"]], now())


def _title_of(message: User) -> str:
    """Return the first words of a conversation, for lists."""
    line = " ".join(message.text().split())
    return line if len(line) <= 80 else line[:79].rstrip() + "…"
