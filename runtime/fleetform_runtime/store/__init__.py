"""What stores keep: records, how they are written, and the errors that reading and writing may raise.

A session belongs to a user: every operation takes both, so that another user's session does not
exist for it. Messages are appended and never rewritten, so two writers cannot lose each other's;
fields that are rewritten (title, model, open turns) are checked against a revision.
"""

import binascii
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import orjson


class StoreError(Exception):
    """The store does not answer, or refuses; the detail is for the log."""


class UnsuitableStoreError(StoreError):
    """The store is of a kind that is not supported; the detail is our own and may be shown."""


class ConflictError(Exception):
    """The session is not in the expected state: changed, gone, or already there."""


class FullError(Exception):
    """A session would exceed a limit of the store, which the text names."""


class UnreadableRecordError(Exception):
    """A stored record is not in our format; it is left as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A conversation without its messages; times are seconds since 1970."""

    id: str
    user: str
    title: str = ""
    model: str = ""
    revision: int = 0
    created: float = 0.0
    updated: float = 0.0
    messages: int = 0
    pending: list[dict[str, Any]] = field(default_factory=list)
    """Runs that wait for a human: {run_id, expires, calls, done, order, rows, claimed?}.

    `rows` are the messages of the run's turn. They join the conversation with the results of the calls, as one whole
    turn, so that other turns may end in the meantime. `claimed`, in seconds since 1970, is until when the run that
    carries out the decisions may take.
    """
    mark: str = ""
    """Random for every write, so that of two writers with the same content only one succeeds."""
    variant: str = ""
    """The agent's variant that it began with; empty if the agent had none then, or nothing has been said yet."""
    turns: list[dict[str, Any]] = field(default_factory=list)
    """Turns that have begun and are not in the conversation yet: {run_id, rows, ended?}.

    `rows` are what was asked, and once the run has broken off (`ended`) also what was done by then. A turn that broke
    off joins the conversation when another one begins, unless that one asks the same again.
    """
    temperature: float | None = None
    """What models that take one are asked with; None for their own."""

    @property
    def waiting(self) -> list[dict[str, Any]]:
        """Return what nobody has decided on yet."""
        return [pause for pause in self.pending if not pause.get("claimed")]

    @property
    def parked(self) -> list[bytes]:
        """Return the rows of turns that are not over, or have broken off."""
        open_turns = (*self.pending, *self.turns)
        return [row.encode() for turn in open_turns for row in turn.get("rows", ())]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One answer of the agent, or the attempt at one."""

    id: str
    user: str
    session: str
    status: str = "running"
    created: float = 0.0
    ended: float | None = None
    result: dict[str, Any] = field(default_factory=dict)
    replica: str = ""
    """The process that executes it, or has executed it."""
    origin: dict[str, Any] = field(default_factory=dict)
    """What an A2A client knows it by: the task that it is of, and the message that it answers; empty for others."""

    @property
    def is_task(self) -> bool:
        """Whether an A2A client knows a task by it: it is the task's first run."""
        return self.origin.get("task") == self.id

    @property
    def touched(self) -> float:
        """Return when it changed last, or its task did, in seconds since 1970."""
        return float(self.origin.get("updated") or self.ended or self.created)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """That a run waits for people, and where: what it waits for is in its session."""

    run: str
    user: str
    session: str
    since: float
    expires: float
    told: bool = False
    """Whether the webhook has taken it, where there is one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What an agent remembers of a user, beyond the conversation in which it was said."""

    id: str
    text: str
    kind: str = "semantic"
    vector: bytes = b""
    """A signed byte for each dimension; empty if it has none yet."""
    model: str = ""
    """What made the vector: vectors of different models are never compared."""
    created: float = 0.0
    used: float = 0.0
    hits: int = 0
    """How often it was shown to a model."""
    session: str = ""
    run: str = ""


@dataclass(frozen=True, slots=True)
class Remembered:
    """What is remembered of a user; `mark` is another one after each deletion."""

    mark: str
    memories: list[Memory]


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a run: `data` is JSON."""

    id: int
    type: str
    data: bytes


def stepped(session: Session, stored: Session | None, rows: int, now: float) -> Session:
    """Return the stored session after appending rows."""
    if stored is None:
        return replace(session, revision=1, messages=rows, created=now, updated=now, mark=drawn())
    return replace(
        stored,
        title=stored.title or session.title,
        model=session.model or stored.model,
        variant=stored.variant or session.variant,
        pending=session.pending,
        turns=session.turns,
        temperature=session.temperature,
        revision=stored.revision + 1,
        messages=stored.messages + rows,
        updated=now,
        mark=drawn(),
    )


def rewritten(session: Session, stored: Session) -> Session:
    """Return the stored session after rewriting what is no message."""
    return replace(
        stored,
        title=session.title,
        model=session.model,
        pending=session.pending,
        turns=session.turns,
        temperature=session.temperature,
        revision=stored.revision + 1,
        mark=drawn(),
    )


def drawn() -> str:
    """Return a unique random mark."""
    return uuid.uuid4().hex


def session_json(session: Session) -> bytes:
    """Serialise a session; that nothing is pending is null, as earlier versions know it."""
    body = {name: getattr(session, name) for name in _SESSION}
    return orjson.dumps(body | {"pending": session.pending or None, "turns": session.turns or None})


def read_session(row: bytes | str) -> Session:
    """Read a session.

    Raises:
        UnreadableRecordError: it is invalid.
    """
    session = Session(**_fields(row, _SESSION, "session", _LATER))
    texts = (
        *(session.id, session.user, session.title, session.model, session.mark),
        session.variant,
    )
    numbers = (
        *(session.revision, session.created, session.updated, session.messages),
        session.temperature or 0,
    )
    if not all(isinstance(text, str) for text in texts) or not all(
        isinstance(number, int | float) and not isinstance(number, bool) for number in numbers
    ):
        raise UnreadableRecordError("a stored session has fields of the wrong type")
    # Earlier versions had one that waited, or none, and its messages in the conversation.
    held: Any = session.pending
    pauses = [held] if isinstance(held, dict) else held or []
    if not isinstance(pauses, list) or not all(map(_is_pending, pauses)):
        raise UnreadableRecordError("a stored session has invalid pending calls")
    turns: Any = session.turns or []
    if not isinstance(turns, list) or not all(map(_is_turn, turns)):
        raise UnreadableRecordError("a stored session has invalid turns")
    return replace(session, pending=pauses, turns=turns)


def _is_pending(pending: Any) -> bool:
    """Whether pending calls are in our format: forged ones are never executed."""
    try:
        calls, done, order = pending["calls"], pending["done"], pending["order"]
        texts = [pending["run_id"], *order, *pending.get("rows", [])]
        texts += [call[name] for call in calls for name in ("id", "name", "arguments", "type")]
        texts += [item[name] for item in done for name in ("id", "name", "content", "outcome")]
        known = {call["id"] for call in calls} | {item["id"] for item in done}
        return (
            all(isinstance(text, str) for text in texts)
            and all(item.keys() - {"images"} == _RESULT for item in done)
            and isinstance(pending.get("took", {}), dict)
            and all(call["type"] in ("approval", "question") for call in calls)
            and isinstance(pending["expires"], int | float)
            and isinstance(pending.get("claimed", 0.0), int | float)
            and known == set(order)
            and all(map(_is_of_agent, (call["waits"] for call in calls if "waits" in call)))
        )
    except (KeyError, TypeError):
        return False


def _is_turn(turn: Any) -> bool:
    """Whether a turn that is not in the conversation yet is in our format."""
    try:
        return all(isinstance(text, str) for text in (turn["run_id"], *turn["rows"]))
    except (KeyError, TypeError):
        return False


def _is_of_agent(waits: Any) -> bool:
    """Whether calls of another agent that waits are in our format."""
    calls = waits["calls"]
    texts = [waits["run"], *(call[name] for call in calls for name in ("id", "name", "digest"))]
    known = all(call["type"] in ("approval", "question") for call in calls)
    return known and all(isinstance(text, str) for text in texts)


def run_json(run: Run) -> bytes:
    """Serialise a run."""
    return orjson.dumps({name: getattr(run, name) for name in _RUN})


def read_run(row: bytes | str) -> Run:
    """Read a run.

    Raises:
        UnreadableRecordError: it is invalid.
    """
    run = Run(**_fields(row, _RUN, "run", {"replica": "", "origin": {}}))
    texts = (run.id, run.user, run.session, run.status, run.replica)
    objects = (run.result, run.origin)
    if not all(isinstance(text, str) for text in texts) or not all(
        isinstance(item, dict) for item in objects
    ):
        raise UnreadableRecordError("a stored run has fields of the wrong type")
    return run


def pause_json(pause: Pause) -> bytes:
    """Serialise that a run waits."""
    return orjson.dumps({name: getattr(pause, name) for name in _PAUSE})


def read_pause(row: bytes | str) -> Pause | None:
    """Read that a run waits; None if it cannot be read: others are listed nevertheless."""
    try:
        pause = Pause(**_fields(row, _PAUSE, "pause", {"told": False}))
    except UnreadableRecordError:
        return None
    texts, numbers = (pause.run, pause.user, pause.session), (pause.since, pause.expires)
    right = all(isinstance(text, str) for text in texts) and all(
        isinstance(number, int | float) and not isinstance(number, bool) for number in numbers
    )
    return pause if right and isinstance(pause.told, bool) else None


def memory_json(memory: Memory) -> bytes:
    """Serialise a memory."""
    body = {name: getattr(memory, name) for name in _MEMORY}
    return orjson.dumps(
        body | {"vector": binascii.b2a_base64(memory.vector, newline=False).decode()}
    )


def read_memory(row: bytes | str, *use: float) -> Memory | None:
    """Read a memory; None if it cannot be read: others are used nevertheless.

    `use`: when it was last used, and how often, where that is kept apart from it. All of a user's are read before
    each answer, hence no more is done here than has to be.
    """
    try:
        body = orjson.loads(row)
        used, hits = use or (body["used"], body["hits"])
        texts = [body[name] for name in _MEMORY_TEXTS]
        created, vector = body["created"], binascii.a2b_base64(body["vector"])
    except (ValueError, KeyError, TypeError):
        return None
    if {*map(type, texts)} != {str} or not {type(created), type(used), type(hits)} <= {int, float}:
        return None
    name, text, kind, model, session, run = texts
    return Memory(
        id=name,
        text=text,
        kind=kind,
        vector=vector,
        model=model,
        created=created,
        used=used,
        hits=int(hits),
        session=session,
        run=run,
    )


def _fields(
    row: bytes | str,
    names: tuple[str, ...],
    kind: str,
    defaults: Mapping[str, Any] = MappingProxyType({}),
) -> dict[str, Any]:
    """Return the named fields of a stored record; those with a default were not always there."""
    try:
        body = {**defaults, **orjson.loads(row)}
        return {name: body[name] for name in names}
    except (ValueError, KeyError, TypeError):
        raise UnreadableRecordError(f"a stored {kind} cannot be read") from None


_RESULT = {"id", "name", "content", "outcome"}
_LATER = {"variant": "", "turns": None, "temperature": None}
"""What sessions of earlier versions do not say."""
_SESSION = tuple(Session.__dataclass_fields__)
_RUN = tuple(Run.__dataclass_fields__)
_PAUSE = tuple(Pause.__dataclass_fields__)
_MEMORY = tuple(Memory.__dataclass_fields__)
_MEMORY_TEXTS = ("id", "text", "kind", "model", "session", "run")
