"""`fleetform-runtime forget`: deletes a user, whatever goes on."""

import argparse
import asyncio
import sys
import time
from dataclasses import dataclass

from fleetform_runtime import check
from fleetform_runtime.access import build as access
from fleetform_runtime.forms import redactor
from fleetform_runtime.runs.registry import lease
from fleetform_runtime.secrets import SecretMissingError, Secrets, references
from fleetform_runtime.sections.memory import InMemory, NoMemory
from fleetform_runtime.settings import Settings
from fleetform_runtime.store import Run, StoreError, UnreadableRecordError
from fleetform_runtime.store.build import build
from fleetform_runtime.store.filesystem.backend import FilesystemBackend
from fleetform_runtime.store.parts import Store, Surroundings

WAIT_SECONDS = 20.0
"""How long runs of the user have to end, which are cancelled first: what they do would be stored afterwards."""
LOOK_SECONDS = 0.25
CANCEL_SECONDS = 60.0
LISTED = 200


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
        return f"deleted: {self.sessions} sessions, {self.memories} memories, {self.runs} runs"


def forget(options: argparse.Namespace) -> int:
    """Delete a user; return 0 if nothing is left, 1 if something may be, 2 for a usage error."""
    if not options.user.strip():
        return _refused("--user: say whom", 2)
    settings, problems = check.load(options.config)
    if settings is None:
        return _refused("\n".join(problems), 1)
    if isinstance(settings.memory, NoMemory | InMemory):
        what = f"memory of type {settings.memory.type} is kept by the agent's process alone"
        return _refused(f"{what}: nothing is left of anybody once it has restarted", 1)
    secrets = Secrets()
    try:
        for _, reference in references(settings.memory):
            secrets.value(reference)
        gone = asyncio.run(_run(settings, secrets, options.user))
    except (SecretMissingError, StoreError, RefusedError, UnreadableRecordError) as error:
        return _refused(redactor(secrets.known)(str(error)), 1)
    sys.stdout.write(f"{options.user}: {gone.line()}\n")
    return 0


def _refused(why: str, code: int) -> int:
    for line in why.splitlines():
        sys.stderr.write(f"error: {line}\n")
    return code


async def _run(settings: Settings, secrets: Secrets, user: str) -> Gone:
    agent, remembers = settings.agent, settings.long_term_memory
    around = Surroundings(
        secrets=secrets,
        namespace=agent.namespace,
        agent=agent.name,
        memory_seconds=remembers.ttl_seconds if remembers else None,
    )
    store = build(settings, around)
    counters = access.counters(settings, secrets)
    try:
        await store.backend.open()
        if isinstance(store.backend, FilesystemBackend) and await store.backend.is_used():
            raise RefusedError(
                "the agent runs, and holds what is in its folder in memory too: stop it first, or let the user delete "
                "sessions and memories by the API"
            )
        gone = await erased(store, user)
        await counters.forget(user)
        return gone
    finally:
        await counters.close()
        await store.backend.close()


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
