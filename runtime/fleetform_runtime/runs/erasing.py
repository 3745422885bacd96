"""Deletes all that is kept of a user, in an order in which nothing that goes on brings it back."""

import asyncio
import time
from dataclasses import dataclass

from fleetform_runtime.runs.registry import lease
from fleetform_runtime.store import Run
from fleetform_runtime.store.parts import Store

WAIT_SECONDS = 20.0
"""How long runs of the user have to end, which are cancelled first: what they do would be stored afterwards."""
LOOK_SECONDS = 0.25
CANCEL_SECONDS = 60.0
LISTED = 200
DELETED = "deleted: "
"""How the report of a deletion begins."""


class RefusedError(Exception):
    """Nothing was deleted; the message says why."""


@dataclass(slots=True)
class Gone:
    """How much was deleted."""

    sessions: int = 0
    memories: int = 0
    runs: int = 0

    def line(self) -> str:
        """Return one line for people."""
        return f"{DELETED}{self.sessions} sessions, {self.memories} memories, {self.runs} runs"


async def erased(store: Store, user: str, seconds: float = WAIT_SECONDS) -> Gone:
    """Delete all that is kept of a user, in an order in which nothing that goes on brings it back.

    Raises:
        RefusedError: a run of the user does not end.
        StoreError: the store does not answer; some may be deleted by then.
    """
    gone = Gone()
    await _stopped(store, user, seconds)
    gone.memories = await store.memories.remove(user)
    gone.sessions = await store.conversations.clear(user)
    await _unlisted(store, user)
    for run in await store.runs.of(user):
        await store.runs.remove(run.id)
        gone.runs += 1
    return gone


async def _stopped(store: Store, user: str, seconds: float) -> None:
    """Cancel the runs of a user, and wait for their ends."""
    until = time.monotonic() + seconds
    asked: set[str] = set()
    while running := [run for run in await store.runs.of(user) if await _is_running(store, run)]:
        for run in running:
            if run.id not in asked:
                await store.runs.ask_cancel(run.id, CANCEL_SECONDS)
                asked.add(run.id)
        if time.monotonic() > until:
            raise RefusedError(f"a run of {user} goes on: take the access away, and try again")
        await asyncio.sleep(LOOK_SECONDS)


async def _is_running(store: Store, run: Run) -> bool:
    if run.status != "running" or not store.backend.shared:
        return False
    return not run.replica or await store.backend.is_held(lease(run.replica))


async def _unlisted(store: Store, user: str) -> None:
    """Take runs of a user off the list of those that wait for people."""
    start = 0
    while page := await store.pauses.page(start, LISTED):
        mine = [pause for pause in page if pause.user == user]
        for pause in mine:
            await store.pauses.remove(pause.run)
        start += len(page) - len(mine)
