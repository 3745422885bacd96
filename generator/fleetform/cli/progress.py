"""A progress line for long operations: only on a terminal, and only once they take a while."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from fleetform.cli.report import is_fancy

if TYPE_CHECKING:
    import threading

PATIENCE = 0.5
"""Seconds before progress is shown."""


@contextmanager
def bar(label: str) -> Iterator[None]:
    """Show a moving line on stderr until the block ends; does nothing off a terminal or under NO_COLOR."""
    if not is_fancy():
        yield
        return
    import threading  # noqa: PLC0415 - for terminals only

    done = threading.Event()
    thread = threading.Thread(target=_draw, args=(label, done), daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _draw(label: str, done: threading.Event) -> None:
    if done.wait(PATIENCE):
        return
    for step in itertools.count():
        place = step % 20
        sys.stderr.write(f"\r{label} [{' ' * place}==={' ' * (19 - place)}]")
        sys.stderr.flush()
        if done.wait(0.1):
            break
    sys.stderr.write(f"\r{' ' * (len(label) + 26)}\r")
    sys.stderr.flush()
