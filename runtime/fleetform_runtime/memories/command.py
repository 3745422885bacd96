"""`fleetform-runtime forget`: deletes a user, whatever goes on."""

import argparse
import asyncio
import sys

from fleetform_runtime import check
from fleetform_runtime.access import build as access
from fleetform_runtime.forms import redactor
from fleetform_runtime.runs.erasing import DELETED, WAIT_SECONDS, RefusedError, erased
from fleetform_runtime.secrets import SecretMissingError, Secrets, references
from fleetform_runtime.sections.memory import InMemory, NoMemory
from fleetform_runtime.settings import Settings
from fleetform_runtime.store import StoreError, UnreadableRecordError
from fleetform_runtime.store.build import build
from fleetform_runtime.store.filesystem import errands
from fleetform_runtime.store.filesystem.backend import FilesystemBackend
from fleetform_runtime.store.parts import Surroundings

MORE_SECONDS = 10.0
"""What an agent may take to notice, and to delete, besides waiting for runs."""


def forget(options: argparse.Namespace) -> int:
    """Delete a user; return 0 if nothing is left, 1 if something may be, 2 for a usage error."""
    if not options.user.strip():
        return _refused("--user: say whom", 2)
    settings, problems = check.load(options.config, Settings)
    if settings is None:
        return _refused("\n".join(problems), 1)
    if isinstance(settings.memory, NoMemory | InMemory):
        what = f"memory of type {settings.memory.type} is kept by the agent's process alone"
        return _refused(f"{what}: nothing is left of anybody once it has restarted", 1)
    secrets = Secrets()
    try:
        for _, reference in references(settings.memory):
            secrets.value(reference)
        done = asyncio.run(_run(settings, secrets, options.user))
    except (SecretMissingError, StoreError, RefusedError, UnreadableRecordError) as error:
        return _refused(redactor(secrets.known)(str(error)), 1)
    sys.stdout.write(f"{options.user}: {done}\n")
    return 0


def _refused(why: str, code: int) -> int:
    for line in why.splitlines():
        sys.stderr.write(f"error: {line}\n")
    return code


async def _run(settings: Settings, secrets: Secrets, user: str) -> str:
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
        # Before it is opened: opening a folder mends what is in it, under the feet of who uses it.
        if isinstance(store.backend, FilesystemBackend) and await store.backend.is_used():
            return await _asked(store.backend, user)
        await store.backend.open()
        gone = await erased(store, user)
        await counters.forget(user)
        return gone.line()
    finally:
        await counters.close()
        await store.backend.close()


async def _asked(backend: FilesystemBackend, user: str) -> str:
    """Have the process do it that has the folder open: it holds what is in it in memory, too."""
    done = await errands.asked(backend, user, WAIT_SECONDS + MORE_SECONDS)
    if done is None:
        raise RefusedError(
            "the agent has its folder open and does not answer: stop it, and try again"
        )
    if not done.startswith(DELETED):
        raise RefusedError(done)
    return done
