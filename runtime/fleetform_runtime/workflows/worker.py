"""Takes runs that nobody holds, and executes several of them at a time."""

import asyncio
import logging
import random
import uuid
from collections.abc import Callable

from fleetform_runtime.store import StoreError, UnreadableRecordError
from fleetform_runtime.workflows.execution import Around, Execution
from fleetform_runtime.workflows.records import WorkflowRun
from fleetform_runtime.workflows.store import AsideError, Claim, Counts, LostError

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
"""Seconds between two looks for runs; those that this process is asked for begin at once."""
AWAY_SECONDS = 5.0
SWEEP_SECONDS = 60.0
COUNT_SECONDS = 10.0


class Worker:
    """Executes the runs of one workflow, beside other processes that do so."""

    def __init__(
        self,
        around: Around,
        most: int,
        retention: float,
        counted: Callable[[Counts], None] = lambda _: None,
    ) -> None:
        """Take what all runs share, how many may be executed at a time, and for how long they are kept.

        `counted` is told now and then what is open, of all processes together.
        """
        self._around = around
        self._counted = counted
        self._most = most
        self._retention = retention
        self._tasks: set[asyncio.Task[None]] = set()
        self._hurry: dict[str, asyncio.Event] = {}
        """For each run that is executed here, what makes it look whether it shall end."""
        self._regular: list[asyncio.Task[None]] = []
        self._wake = asyncio.Event()

    def start(self) -> None:
        """Begin to look for runs."""
        self._regular = [
            asyncio.create_task(work()) for work in (self._look, self._sweep, self._count)
        ]

    def wake(self, name: str = "") -> None:
        """Look for runs now; the one of this name, if it is executed here, looks whether it shall end."""
        self._wake.set()
        if name in self._hurry:
            self._hurry[name].set()

    @property
    def active(self) -> int:
        """Return how many runs are executed here."""
        return len(self._tasks)

    async def stop(self) -> None:
        """End; others take what was at work from where it stands, at once."""
        tasks = [*self._regular, *self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _look(self) -> None:
        while True:
            self._wake.clear()
            pause = LOOK_SECONDS * random.uniform(0.8, 1.2)  # noqa: S311 - no secret
            try:
                while (claim := await self._claimed()) is not None:
                    task = asyncio.create_task(self._execute(claim))
                    self._tasks.add(task)
                    task.add_done_callback(self._ended)
            except StoreError as error:
                log.warning("the store of workflows does not answer: %s", error)
                pause = AWAY_SECONDS
            except AsideError as error:
                log.error("a run is set aside: %s", error)  # noqa: TRY400 - nobody's code has failed
                continue
            except UnreadableRecordError as error:
                log.error("a run cannot be executed: %s", error)  # noqa: TRY400 - nobody's code has failed
                pause = AWAY_SECONDS
            try:
                async with asyncio.timeout(pause):
                    await self._wake.wait()
            except TimeoutError:
                pass

    async def _claimed(self) -> Claim | None:
        return await self._around.store.claim(uuid.uuid4().hex, self._around.lease, self._most)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._wake.set()

    async def _execute(self, claim: Claim) -> None:
        hurry = self._hurry[claim.name] = asyncio.Event()
        try:
            await executed(self._around, claim, hurry)
        except LostError:
            log.warning("run %s is held by somebody else now", claim.name)
        except Exception:
            # It is taken again when the lease is over, from where it stands.
            log.exception("run %s broke off", claim.name)
        finally:
            if self._hurry.get(claim.name) is hurry:
                del self._hurry[claim.name]

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS * random.uniform(0.8, 1.2))  # noqa: S311
            try:
                while await self._around.store.expire(self._retention):
                    pass
            except StoreError as error:
                log.warning("ended runs of workflows were not deleted: %s", error)

    async def _count(self) -> None:
        while True:
            try:
                self._counted(await self._around.store.counts())
            except StoreError:
                log.debug("what is open was not counted")
            await asyncio.sleep(COUNT_SECONDS)


async def executed(around: Around, claim: Claim, hurry: asyncio.Event | None = None) -> WorkflowRun:
    """Execute a run that is held; whoever ends this lets others take it at once.

    Who sets `hurry` lets it look at once whether it shall end.

    Raises:
        LostError: somebody else holds it now.
    """
    log.info("run %s is executed", claim.name, extra={"workflow_run": claim.name})
    try:
        run = await Execution(around, claim, hurry or asyncio.Event()).run()
    except asyncio.CancelledError:
        try:
            await around.store.release(claim)
        except StoreError as error:
            log.warning("run %s is free when its lease is over: %s", claim.name, error)
        raise
    log.info(
        "run %s: %s%s", run.name, run.phase, f", {run.reason}" if run.reason else "",
        extra={"workflow_run": run.name},
    )  # fmt: skip
    return run
