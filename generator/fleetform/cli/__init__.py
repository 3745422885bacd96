"""The command line: one module per command, imported only when the command is called."""

from __future__ import annotations

import os
import sys
from gc import disable as stop_collecting
from typing import NoReturn

COMMANDS = (
    "init",
    "validate",
    "render",
    "explain",
    "diff",
    "plan",
    "gc",
    "list",
    "graph",
    "policy",
    "usage",
    "estimate",
    "releases",
    "rollback",
    "restore",
    "charts",
    "pin",
    "secrets",
    "schema",
    "migrate",
    "run",
    "chat",
    "workflow",
)


def main() -> NoReturn:
    """Run the command line; raises SystemExit."""
    # A run is short and creates few cycles: collecting them takes a fifth of its time and frees
    # nothing.
    stop_collecting()
    only, words = "".join(sys.argv[1:2]), sys.argv[2:]
    if only == "render" and _renders(words):
        raise SystemExit(0)
    from fleetform.cli.application import app  # noqa: PLC0415

    app(only)()
    raise SystemExit(0)


def _renders(words: list[str]) -> bool:
    """Render without Typer if the options are plain; for one agent, that takes less than half the time."""
    from fleetform.cli import plain, rendering  # noqa: PLC0415

    options = plain.read(words, os.environ)
    if options is None:
        return False
    try:
        rendering.run(**options)
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    return True


def script() -> NoReturn:
    """Run the command line and end the process; the console script calls it."""
    try:
        main()
    except SystemExit as done:
        if sys.argv[1:2] != ["render"] or not isinstance(done.code, int):
            raise
        code = done.code
    # Nothing is left to do, and taking a thousand agents' trees apart costs a thirtieth of a run.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
