"""What can run code here: a process of Python that locks itself in, or an interpreter that has nothing to reach."""

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, Protocol

from fleetform_runtime.code import Limits, monty, runner

Engine = Literal["auto", "python", "monty"]


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
    make: Callable[[Limits], Runs]


WAYS: Mapping[str, Way] = {
    "python": Way(runner.obstacle, runner.Runner),
    "monty": Way(monty.obstacle, monty.Monty),
}
"""Every engine, the preferred one first."""


def chosen(engine: Engine) -> str:
    """Return the engine that runs code; `auto` is the first that is possible here, or the first of all."""
    if engine != "auto":
        return engine
    return next((name for name, way in WAYS.items() if not way.obstacle()), next(iter(WAYS)))


def obstacle(engine: Engine) -> str:
    """Return why no code runs with an engine, empty if it does: there is no way without protection."""
    if engine != "auto":
        return WAYS[engine].obstacle()
    reasons = {name: way.obstacle() for name, way in WAYS.items()}
    if not all(reasons.values()):
        return ""
    return "; ".join(f"{name}: {why}" for name, why in reasons.items())
