"""What one user may hold of something that all users share."""

from collections import Counter
from collections.abc import Callable

from fleetform_runtime.problems import HttpProblem
from fleetform_runtime.telemetry.metrics import Metrics


class Shares:
    """Counts what each user holds, and refuses more than a share, if there is one: others find a place then."""

    def __init__(self, each: int | None, what: str, metrics: Metrics) -> None:
        self._each = each
        self._what = what
        self._metrics = metrics
        self._held: Counter[str] = Counter()

    def take(self, user: str) -> Callable[[], None]:
        """Take one; return a function that gives it back, once.

        Raises:
            HttpProblem: the user holds a whole share.
        """
        if self._each is not None and self._held[user] >= self._each:
            self._metrics.refused("share")
            raise HttpProblem("rate_limited", f"at most {self._each} {self._what} of one user", 1)
        self._held[user] += 1

        def give() -> None:
            self._held[user] -= 1
            if not self._held[user]:
                del self._held[user]

        return once(give)


def once(action: Callable[[], None]) -> Callable[[], None]:
    """Return a function that does something the first time it is called, and nothing from then on."""
    done = False

    def first() -> None:
        nonlocal done
        if not done:
            done = True
            action()

    return first
