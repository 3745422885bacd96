"""A store of workflows in SQL, which PostgreSQL and SQLite share: same tables, same statements, one transaction each."""

# ruff: noqa: S608 - statements are joined from constants of this module

from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from fleetform_runtime.store import UnreadableRecordError
from fleetform_runtime.workflows.records import (
    Event,
    StepState,
    WorkflowRun,
    listed_run,
    read_run,
    read_step,
    run_json,
    step_json,
)
from fleetform_runtime.workflows.store import (
    ASIDE_SECONDS,
    MOST_OPEN,
    PORTION,
    AsideError,
    Claim,
    Counts,
    Found,
    LostError,
    Policy,
    RejectedError,
    StoppedError,
)

T = TypeVar("T")
NAMES = ("workflow_runs", "workflow_steps", "workflow_events")
TABLES = """
CREATE TABLE IF NOT EXISTS {schema}workflow_runs (
  workflow text NOT NULL, name text NOT NULL, created {real} NOT NULL, body text NOT NULL,
  phase text NOT NULL, ended {real}, epoch bigint NOT NULL DEFAULT 0, owner text NOT NULL DEFAULT '',
  lease {real}, stop text NOT NULL DEFAULT '',
  PRIMARY KEY (workflow, name));
CREATE INDEX IF NOT EXISTS workflow_runs_open ON {schema}workflow_runs (workflow, created) WHERE ended IS NULL;
CREATE INDEX IF NOT EXISTS workflow_runs_ended ON {schema}workflow_runs (workflow, ended);
CREATE TABLE IF NOT EXISTS {schema}workflow_steps (
  workflow text NOT NULL, run text NOT NULL, name text NOT NULL, body text NOT NULL,
  PRIMARY KEY (workflow, run, name),
  FOREIGN KEY (workflow, run) REFERENCES {schema}workflow_runs ON DELETE CASCADE);
CREATE TABLE IF NOT EXISTS {schema}workflow_events (
  workflow text NOT NULL, run text NOT NULL, number bigint NOT NULL, kind text NOT NULL, data text NOT NULL,
  PRIMARY KEY (workflow, run, number),
  FOREIGN KEY (workflow, run) REFERENCES {schema}workflow_runs ON DELETE CASCADE);
"""
"""Times are seconds since 1970. A run that is held has a lease; it is silent once that has passed."""

_OPEN = "workflow = $1 AND ended IS NULL"
_ASIDE = "owner = '-'"
"""Of a run that could not be read; its lease is until when nobody looks at it again."""
_GOING = f"{_OPEN} AND stop = '' AND NOT {_ASIDE}"
_HELD_OR_SILENT = f"(lease IS NOT NULL AND NOT {_ASIDE})"
_RUNS = "SELECT name, created, body, stop, epoch, phase FROM {schema}workflow_runs WHERE "
_ONE = _RUNS + "workflow = $1 AND name = $2"
_HELD = "workflow = $1 AND name = $2 AND epoch = $3 AND ended IS NULL"


class Transaction(Protocol):
    """A transaction that no other one of the same workflow runs beside."""

    async def now(self) -> float:
        """Return the store's clock."""

    async def rows(self, text: str, *values: Any) -> list[tuple[Any, ...]]:
        """Run a statement with `$1`, `$2`, …; return its rows."""


class SqlStore(ABC):
    """A store whose operations are one transaction each; how one is run is another matter."""

    def __init__(self, workflow: str) -> None:
        self._workflow = workflow

    @abstractmethod
    async def _do(self, work: Callable[[Any], Coroutine[Any, Any, T]], *, alone: bool = False) -> T:
        """Run a transaction; `alone`: beside no other one of the workflow that asks for it."""

    async def submit(self, run: WorkflowRun, most: int, policy: Policy) -> Found:
        """Keep a new run."""
        return await self._do(lambda tx: self._submit(tx, run, most, policy), alone=True)

    async def claim(self, owner: str, seconds: float, most: int, name: str = "") -> Claim | None:
        """Take a run."""
        found = await self._do(lambda tx: self._claim(tx, owner, seconds, most, name), alone=True)
        if isinstance(found, AsideError):
            raise found
        return found

    async def renew(self, claim: Claim, seconds: float) -> str:
        """Hold a run for longer."""
        return await self._do(lambda tx: self._renew(tx, claim, seconds))

    async def write(
        self,
        claim: Claim,
        run: WorkflowRun,
        steps: Mapping[str, StepState],
        events: Sequence[Event],
        *,
        ends: bool = False,
        goes_on: bool = False,
    ) -> None:
        """Keep a run that is held."""
        await self._do(
            lambda tx: self._write(tx, claim, run, steps, events, ends=ends, goes_on=goes_on)
        )

    async def release(self, claim: Claim) -> None:
        """Let others take a run."""
        await self._do(lambda tx: self._release(tx, claim))

    async def get(self, name: str) -> Found | None:
        """Return a run."""
        return await self._do(lambda tx: self._get(tx, name))

    async def page(self, phase: str, before: tuple[float, str] | None, count: int) -> list[Found]:
        """Return runs, newest first."""
        return await self._do(lambda tx: self._page(tx, phase, before, count))

    async def events(self, name: str, after: int) -> list[Event]:
        """Return the events of a run."""
        return await self._do(lambda tx: self._events(tx, name, after))

    async def stop(self, name: str, reason: str) -> bool:
        """Ask that a run ends."""
        return await self._do(lambda tx: self._stop(tx, name, reason))

    async def reopen(
        self, found: Found, run: WorkflowRun, steps: Mapping[str, StepState], event: Event
    ) -> bool:
        """Let a run begin again."""
        return await self._do(lambda tx: self._reopen(tx, found, run, steps, event))

    async def counts(self) -> Counts:
        """Count what is open."""
        return await self._do(self._counts)

    async def expire(self, seconds: float) -> int:
        """Delete what is no longer kept."""
        return await self._do(lambda tx: self._expire(tx, seconds))

    # -- transactions ----------------------------------------------------------------------------

    async def _submit(self, tx: Transaction, run: WorkflowRun, most: int, policy: Policy) -> Found:
        """Keep a new run."""
        if (kept := await self._get(tx, run.name)) is not None:
            return kept
        count = "SELECT count(*) FROM {schema}workflow_runs WHERE " + _GOING
        ((number,),) = await tx.rows(count, self._workflow)
        if number >= MOST_OPEN or (policy == "reject" and number >= most):
            raise RejectedError
        if policy == "replace" and number >= most:
            await tx.rows(
                "UPDATE {schema}workflow_runs SET stop = 'Replaced' WHERE workflow = $1 AND name IN ("
                "SELECT name FROM {schema}workflow_runs WHERE " + _GOING + " ORDER BY created, name LIMIT $2)",
                self._workflow, number - most + 1,
            )  # fmt: skip
        now = await tx.now()
        await tx.rows(
            "INSERT INTO {schema}workflow_runs (workflow, name, created, body, phase)"
            " VALUES ($1, $2, $3, $4, 'Pending')",
            self._workflow, run.name, now, run_json(run).decode(),
        )  # fmt: skip
        found = await self._get(tx, run.name)
        assert found is not None
        return found

    async def _claim(
        self, tx: Transaction, owner: str, seconds: float, most: int, name: str
    ) -> Claim | AsideError | None:
        """Take a run, or set it aside if it cannot be read."""
        now = await tx.now()
        rows = await tx.rows(_RUNS + _OPEN + " AND owner = $2", self._workflow, owner)
        if not rows:
            rows = await self._free(tx, now, most, name)
            if not rows:
                return None
            await tx.rows(
                "UPDATE {schema}workflow_runs SET epoch = epoch + 1, owner = $3, lease = $4"
                " WHERE workflow = $1 AND name = $2",
                self._workflow, rows[0][0], owner, now + seconds,
            )  # fmt: skip
            rows = await tx.rows(_ONE, self._workflow, rows[0][0])
        try:
            return Claim(await self._found(tx, rows[0]), rows[0][4], now)
        except UnreadableRecordError as error:
            await tx.rows(
                "UPDATE {schema}workflow_runs SET owner = '-', lease = $3 WHERE workflow = $1 AND name = $2",
                self._workflow, rows[0][0], now + ASIDE_SECONDS,
            )  # fmt: skip
            return AsideError(rows[0][0], error)

    async def _free(
        self, tx: Transaction, now: float, most: int, name: str
    ) -> list[tuple[Any, ...]]:
        runs = _RUNS + _OPEN + " AND ($2 = '' OR name = $2) AND "
        first = " ORDER BY created, name LIMIT 1"
        silent = f"lease <= $3 AND NOT {_ASIDE}"
        rows = await tx.rows(runs + silent + first, self._workflow, name, now)
        rows = rows or await tx.rows(
            runs + "lease IS NULL AND stop <> ''" + first, self._workflow, name
        )
        if rows:
            return rows
        held = f"SELECT count(*) FROM {{schema}}workflow_runs WHERE {_OPEN} AND {_HELD_OR_SILENT}"
        ((number,),) = await tx.rows(held, self._workflow)
        if number >= most:
            return []
        waiting = f"(lease IS NULL OR lease <= $3 AND {_ASIDE})"
        return await tx.rows(runs + waiting + first, self._workflow, name, now)

    async def _renew(self, tx: Transaction, claim: Claim, seconds: float) -> str:
        """Hold a run for longer."""
        now = await tx.now()
        rows = await tx.rows(
            "UPDATE {schema}workflow_runs SET lease = $4 WHERE " + _HELD + " RETURNING stop",
            self._workflow, claim.name, claim.epoch, now + seconds,
        )  # fmt: skip
        if not rows:
            raise LostError
        return str(rows[0][0])

    async def _write(
        self,
        tx: Transaction,
        claim: Claim,
        run: WorkflowRun,
        steps: Mapping[str, StepState],
        events: Sequence[Event],
        *,
        ends: bool,
        goes_on: bool,
    ) -> None:
        """Keep a run that is held; what this very write has ended or let go on is not refused when it is repeated."""
        body, now = run_json(run).decode(), await tx.now()
        rows = await tx.rows(
            "UPDATE {schema}workflow_runs SET body = $4, phase = $5, ended = CAST($6 AS {real}) WHERE " + _HELD
            + " AND (stop = '' OR body = $4 OR NOT $7) RETURNING name",
            self._workflow, claim.name, claim.epoch, body, run.phase, now if ends else None, goes_on,
        )  # fmt: skip
        if not rows:
            held = "SELECT stop FROM {schema}workflow_runs WHERE " + _HELD
            if stops := await tx.rows(held, self._workflow, claim.name, claim.epoch):
                raise StoppedError(stops[0][0])
            same = await tx.rows(
                _ONE + " AND epoch = $3 AND body = $4",
                self._workflow, claim.name, claim.epoch, body,
            )  # fmt: skip
            if not (ends and same):
                raise LostError
            return
        await self._put(tx, run.name, steps, events)

    async def _put(
        self, tx: Transaction, run: str, steps: Mapping[str, StepState], events: Sequence[Event]
    ) -> None:
        for name, step in steps.items():
            await tx.rows(
                "INSERT INTO {schema}workflow_steps VALUES ($1, $2, $3, $4)"
                " ON CONFLICT (workflow, run, name) DO UPDATE SET body = excluded.body",
                self._workflow, run, name, step_json(step).decode(),
            )  # fmt: skip
        for event in events:
            await tx.rows(
                "INSERT INTO {schema}workflow_events VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
                self._workflow, run, event.number, event.kind, event.data.decode(),
            )  # fmt: skip

    async def _release(self, tx: Transaction, claim: Claim) -> None:
        """Let others take a run."""
        await tx.rows(
            "UPDATE {schema}workflow_runs SET lease = 0, owner = '' WHERE " + _HELD,
            self._workflow, claim.name, claim.epoch,
        )  # fmt: skip

    async def _get(self, tx: Transaction, name: str) -> Found | None:
        """Return a run."""
        rows = await tx.rows(_ONE, self._workflow, name)
        return await self._found(tx, rows[0]) if rows else None

    async def _found(self, tx: Transaction, row: tuple[Any, ...]) -> Found:
        steps = await tx.rows(
            "SELECT name, body FROM {schema}workflow_steps WHERE workflow = $1 AND run = $2",
            self._workflow, row[0],
        )  # fmt: skip
        run = read_run(row[2], row[1])
        return Found(run, {name: read_step(body) for name, body in steps}, row[3])

    async def _page(
        self, tx: Transaction, phase: str, before: tuple[float, str] | None, count: int
    ) -> list[Found]:
        """Return runs, newest first."""
        time, name = before or (float(2**62), "")
        rows = await tx.rows(
            _RUNS + "workflow = $1 AND ($2 = '' OR phase = $2) AND"
            " (created < $3 OR (created = $3 AND name < $4)) ORDER BY created DESC, name DESC LIMIT $5",
            self._workflow, phase, time, name, count,
        )  # fmt: skip
        return [Found(listed_run(row[2], row[1], row[0], row[5]), {}, row[3]) for row in rows]

    async def _events(self, tx: Transaction, name: str, after: int) -> list[Event]:
        """Return the events of a run."""
        rows = await tx.rows(
            "SELECT number, kind, data FROM {schema}workflow_events"
            " WHERE workflow = $1 AND run = $2 AND number > $3 ORDER BY number",
            self._workflow, name, after,
        )  # fmt: skip
        return [Event(number=row[0], kind=row[1], data=row[2].encode()) for row in rows]

    async def _stop(self, tx: Transaction, name: str, reason: str) -> bool:
        """Ask that a run ends; who was first says why."""
        rows = await tx.rows(
            "UPDATE {schema}workflow_runs SET stop = CASE WHEN stop = '' THEN $3 ELSE stop END"
            " WHERE workflow = $1 AND name = $2 AND ended IS NULL RETURNING name",
            self._workflow, name, reason,
        )  # fmt: skip
        return bool(rows)

    async def _reopen(
        self,
        tx: Transaction,
        found: Found,
        run: WorkflowRun,
        steps: Mapping[str, StepState],
        event: Event,
    ) -> bool:
        """Let a run begin again."""
        rows = await tx.rows(
            "UPDATE {schema}workflow_runs SET body = $3, phase = 'Pending', ended = NULL, lease = NULL, owner = '',"
            " stop = '', epoch = epoch + 1 WHERE workflow = $1 AND name = $2 AND body = $4 AND ended IS NOT NULL"
            " RETURNING name",
            self._workflow, run.name, run_json(run).decode(), run_json(found.run).decode(),
        )  # fmt: skip
        if rows:
            await self._put(tx, run.name, steps, [event])
        return bool(rows)

    async def _counts(self, tx: Transaction) -> Counts:
        """Count what is open."""
        now = await tx.now()
        ((number, running, oldest, lease),) = await tx.rows(
            f"SELECT count(*), sum(CASE WHEN {_HELD_OR_SILENT} THEN 1 ELSE 0 END),"
            f" min(CASE WHEN {_HELD_OR_SILENT} THEN NULL ELSE created END),"
            f" min(CASE WHEN {_HELD_OR_SILENT} THEN lease END)"
            " FROM {schema}workflow_runs WHERE " + _OPEN,
            self._workflow,
        )  # fmt: skip
        return Counts(
            pending=number - int(running or 0),
            running=int(running or 0),
            oldest_pending=max(0.0, now - oldest) if oldest is not None else 0.0,
            longest_silent=max(0.0, now - lease) if lease is not None else 0.0,
        )

    async def _expire(self, tx: Transaction, seconds: float) -> int:
        """Delete a portion of what is no longer kept."""
        rows = await tx.rows(
            "DELETE FROM {schema}workflow_runs WHERE workflow = $1 AND name IN ("
            "SELECT name FROM {schema}workflow_runs WHERE workflow = $1 AND ended <= $2 LIMIT $3) RETURNING name",
            self._workflow, await tx.now() - seconds, PORTION,
        )  # fmt: skip
        return len(rows)
