"""The runtime, killed at one point of a compaction: `killed.py POINT ARMED serve --config …`.

It dies by SIGKILL the first time that it comes to the point after the file ARMED was made.
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fleetform_runtime import cli
from fleetform_runtime.runs.log import RunLog
from fleetform_runtime.runs.sessions import Sessions
from fleetform_runtime.runs.summaries import Writer
from fleetform_runtime.store.filesystem.conversations import FilesystemConversations

POINTS: dict[str, tuple[type, str, bool]] = {
    "before the request for a summary": (Writer, "written", True),
    "before the summary is stored": (Sessions, "summarised", True),
    "behind the row of the summary": (FilesystemConversations, "_note", True),
    "after the summary is stored": (Sessions, "summarised", False),
    "during the stream": (RunLog, "emit", True),
    "before the turn is stored": (Sessions, "end", True),
    "after the turn is stored": (Sessions, "end", False),
}
"""Where: a method, and whether it is killed before it or after."""


def arm(point: str, armed: Path) -> None:
    """Let the process die there."""
    owner, name, is_before = POINTS[point]
    original: Callable[..., Any] = getattr(owner, name)

    def die(*args: Any) -> None:
        is_there = armed.exists() and (name != "emit" or "token" in args)
        if is_there:
            armed.unlink()
            os.kill(os.getpid(), signal.SIGKILL)

    async def waiting(*args: Any, **fields: Any) -> Any:
        if is_before:
            die()
        found = await original(*args, **fields)
        die()
        return found

    def plain(*args: Any, **fields: Any) -> Any:
        die(*args)
        return original(*args, **fields)

    is_plain = name in ("emit", "_note")
    setattr(owner, name, plain if is_plain else waiting)


if __name__ == "__main__":
    arm(sys.argv[1], Path(sys.argv[2]))
    sys.exit(cli.main(sys.argv[3:]))
