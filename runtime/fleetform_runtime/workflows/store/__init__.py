"""What a store of workflows does, whatever it is kept in: every step of it is one transaction, by the store's clock."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from fleetform_runtime.store import UnreadableRecordError
from fleetform_runtime.workflows.records import Event, StepState, WorkflowRun

MOST_OPEN = 10_000
"""Runs of a workflow that are not over; further ones are refused."""
ASIDE_SECONDS = 60.0
"""Seconds after which a run that could not be read is looked at again: another version may be here now, and read it."""
PORTION = 200
"""Runs that are deleted in one step."""
Policy = Literal["queue", "reject", "replace"]


class LostError(Exception):
    """The run has been taken over, or is over: whoever held it may not write any more."""


class StoppedError(Exception):
    """Somebody has asked that the run ends: it does not go on."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class AsideError(UnreadableRecordError):
    """The run whose turn it was cannot be read, and was set aside."""

    def __init__(self, name: str, error: UnreadableRecordError) -> None:
        super().__init__(f"run {name}: {error}")


class RejectedError(Exception):
    """As many runs are open as may be."""


@dataclass(frozen=True, slots=True)
class Found:
    """A run with its steps."""

    run: WorkflowRun
    steps: dict[str, StepState]
    stop: str = ""
    """The reason for which somebody has asked it to end."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A run that is held: until when it is, depends on `renew`."""

    found: Found
    epoch: int
    now: float
    """The store's clock."""

    def __post_init__(self) -> None:
        """Read the definition, too: whoever cannot does not hold the run.

        Raises:
            UnreadableRecordError: it is invalid.
        """
        _ = self.found.run.plan

    @property
    def name(self) -> str:
        """Return the run's name."""
        return self.found.run.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How many runs are open, and how long they wait."""

    pending: int = 0
    running: int = 0
    oldest_pending: float = 0.0
    """Seconds since the oldest pending run was asked for."""
    longest_silent: float = 0.0
    """Seconds since the lease of a running one expired, 0 if none has."""


class WorkflowStore(Protocol):
    """The runs of one workflow.

    Every operation may be repeated without doing anything twice, limits its own time, and raises StoreError if the
    store does not answer.
    """

    type: str
    shared: bool
    """Whether processes on other machines may use it as well."""

    async def open(self) -> None:
        """Prepare."""

    async def close(self) -> None:
        """Close connections and files."""

    async def ping(self) -> None:
        """Try a write."""

    async def submit(self, run: WorkflowRun, most: int, policy: Policy) -> Found:
        """Keep a new run, or return the one that has its name already.

        With the policy `replace`, the oldest open runs beyond the others are asked to end.

        Raises:
            RejectedError: with the policy `reject`, `most` runs are open; with any, MOST_OPEN.
        """

    async def claim(self, owner: str, seconds: float, most: int, name: str = "") -> Claim | None:
        """Take a run that nobody holds: one whose holder is silent, one to end, or the oldest that waits.

        No more than `most` runs are held or silent at a time. With a name it is that run or none. Asked again by the
        same owner, who must be another one for each claim, it returns the same run.

        Raises:
            AsideError: the run that it would be cannot be read. It stays as it is, counts as one that waits, takes
                nobody's place, and is not looked at again for a while.
        """

    async def renew(self, claim: Claim, seconds: float) -> str:
        """Hold a run for longer; return the reason for which it shall end, if anybody asked for that.

        Raises:
            LostError: it is not held any more.
        """

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
        """Keep a run, those of its steps that changed, and further events; `ends`: nobody holds it any more.

        Raises:
            LostError: it is not held any more.
            StoppedError: it `goes_on`, and somebody has asked that it ends.
        """

    async def release(self, claim: Claim) -> None:
        """Let others take a run at once, if it is held."""

    async def get(self, name: str) -> Found | None:
        """Return a run.

        Raises:
            UnreadableRecordError: it cannot be read.
        """

    async def page(self, phase: str, before: tuple[float, str] | None, count: int) -> list[Found]:
        """Return runs, newest first, without their steps; `before`: after the one of that time and name.

        Of one that cannot be read there is its name, with `Unreadable` as the reason.
        """

    async def events(self, name: str, after: int) -> list[Event]:
        """Return the events of a run after one."""

    async def stop(self, name: str, reason: str) -> bool:
        """Ask that a run ends; return whether it is open."""

    async def reopen(
        self, found: Found, run: WorkflowRun, steps: Mapping[str, StepState], event: Event
    ) -> bool:
        """Let a run that is over begin again; return whether it was still as found."""

    async def counts(self) -> Counts:
        """Return how many runs are open."""

    async def expire(self, seconds: float) -> int:
        """Delete runs that ended so many seconds ago; return how many."""
