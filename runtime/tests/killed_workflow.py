"""The runtime, killed at one point of a run of a workflow: `killed_workflow.py POINT ARMED workflow run …`.

It dies by SIGKILL the first time that it comes to the point while the file ARMED is there, which it removes.
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fleetform_runtime import cli
from fleetform_runtime.workflows.calls import A2aCaller
from fleetform_runtime.workflows.execution import Execution
from fleetform_runtime.workflows.notice import Notifier
from fleetform_runtime.workflows.store.sql import SqlStore

POINTS: dict[str, tuple[type, str, bool]] = {
    "after it was submitted": (SqlStore, "submit", False),
    "after it was claimed": (SqlStore, "claim", False),
    "before the step's request": (A2aCaller, "_sent", True),
    "while the agent answers": (A2aCaller, "_sent", False),
    "after the answer, before the write": (Execution, "_over", True),
    "after the write": (Execution, "_over", False),
    "during the notice": (Notifier, "tell", False),
}
"""Where: a method, and whether it is killed before it or after."""


def arm(point: str, armed: Path) -> None:
    """Let the process die there."""
    owner, name, is_before = POINTS[point]
    original: Callable[..., Any] = getattr(owner, name)

    def die() -> None:
        if armed.exists():
            armed.unlink()
            os.kill(os.getpid(), signal.SIGKILL)

    async def dying(*args: Any, **fields: Any) -> Any:
        if is_before:
            die()
        found = await original(*args, **fields)
        die()
        return found

    setattr(owner, name, dying)


if __name__ == "__main__":
    arm(sys.argv[1], Path(sys.argv[2]))
    sys.exit(cli.main(sys.argv[3:]))
