"""What can run code: a process that locks itself in, an interpreter that has nothing to reach, a pod of its own."""

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, Protocol

from fleetform_runtime.code import Limits, monty, runner, sandbox

Engine = Literal["auto", "python", "monty", "sandbox"]


class Runs(Protocol):
    """Runs code."""

    async def run(self, code: str, inputs: dict[str, Any]) -> str:
        """Return what the code prints; raise CodeError if it does not come to its end."""

    async def close(self) -> None:
        """End what it has started."""


class Way(NamedTuple):
    """One way to run code."""

    obstacle: Callable[[], str]
    """Returns why it is not possible here, empty if it is."""
    make: Callable[[Limits, str], Runs]
    """Takes the limits, and the pool of pods where there is one."""
    asked: bool = False
    """Whether it is taken only where the specification names it."""


WAYS: Mapping[str, Way] = {
    "python": Way(runner.obstacle, lambda limits, _: runner.Runner(limits)),
    "monty": Way(monty.obstacle, lambda limits, _: monty.Monty(limits)),
    "sandbox": Way(sandbox.obstacle, sandbox.Sandboxes, asked=True),
}
"""Every engine, the preferred one first."""


def chosen(engine: Engine) -> str:
    """Return the engine that runs code; `auto` is the first that is possible here, or the first of all."""
    if engine != "auto":
        return engine
    ways = _unasked()
    return next((name for name, way in ways.items() if not way.obstacle()), next(iter(ways)))


def obstacle(engine: Engine) -> str:
    """Return why no code runs with an engine, empty if it does: there is no way without protection."""
    if engine != "auto":
        return WAYS[engine].obstacle()
    reasons = {name: way.obstacle() for name, way in _unasked().items()}
    if not all(reasons.values()):
        return ""
    return "; ".join(f"{name}: {why}" for name, why in reasons.items())


def _unasked() -> dict[str, Way]:
    """Return the ways that may be taken where the specification names none."""
    return {name: way for name, way in WAYS.items() if not way.asked}
