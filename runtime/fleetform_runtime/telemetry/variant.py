"""The variant of the agent that what happens belongs to, for the metrics that tell variants apart.

A request does not know its variant before its run has begun, and a run may outlive its request: each opens a place of
its own, and whoever finds out fills the one at hand.
"""

from contextvars import ContextVar

_place: ContextVar[list[str] | None] = ContextVar("variant", default=None)


def opened(name: str = "") -> None:
    """Begin a request or a run; what it calls belongs to the same variant."""
    _place.set([name])


def told(name: str) -> None:
    """Say which variant the request at hand belongs to, if there is a request."""
    place = _place.get()
    if place is not None:
        place[0] = name


def current() -> str:
    """Return the name of the variant; empty where there is none."""
    place = _place.get()
    return place[0] if place is not None else ""
