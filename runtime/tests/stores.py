"""Stores as tests open them: each type, on real servers, by a clock of the test."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from fleetform_runtime.messages import User, dump
from fleetform_runtime.secrets import Secrets
from fleetform_runtime.store import Session
from fleetform_runtime.store.build import build
from fleetform_runtime.store.parts import Store, Surroundings
from runtime.tests.harness import settings

BACKENDS = ("in-memory", "filesystem", "redis", "postgres")
SHARED = ("redis", "postgres")
POLICY = {"sessionTtlSeconds": 100, "maxSessionsPerUser": 3}
HERE = Session(id="s1", user="ann", title="Hello", model="gpt")


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


class Removed(dict[str, int]):
    """How many sessions were deleted unasked, by reason."""

    def __call__(self, reason: str, count: int) -> None:
        if count:
            self[reason] = self.get(reason, 0) + count


def memory(backend: str, request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    section: dict[str, Any] = {"type": backend, "policy": POLICY}
    if backend == "filesystem":
        section["path"] = str(tmp_path / "sessions")
    elif backend == "redis":
        server = request.getfixturevalue("redis")
        section |= {"host": "127.0.0.1", "port": server.port, "keyPrefix": f"t{tmp_path.name}:"}
    elif backend == "postgres":
        server = request.getfixturevalue("postgres")
        section |= {"host": "127.0.0.1", "port": server.port, "database": "postgres"}
        section |= {
            "username": "agent",
            "schema": "s" + tmp_path.name.replace("-", "_")[-40:].lower(),
        }
    return section


def made(
    section: dict[str, Any],
    clock: Callable[[], float] | None = None,
    removed: Removed | None = None,
    memory_seconds: float | None = None,
) -> Store:
    """Return a store that is not open yet."""
    options: dict[str, Any] = {"clock": clock} if clock else {}
    around = Surroundings(
        secrets=Secrets({}),
        namespace="demo",
        agent="greeter",
        removed=Removed() if removed is None else removed,
        memory_seconds=memory_seconds,
        **options,
    )
    return build(settings(memory=section), around)


@asynccontextmanager
async def opened(
    section: dict[str, Any],
    clock: Callable[[], float] | None = None,
    removed: Removed | None = None,
    memory_seconds: float | None = None,
) -> AsyncIterator[Store]:
    store = made(section, clock, removed, memory_seconds)
    await store.backend.open()
    try:
        yield store
    finally:
        await store.backend.close()


def rows(*texts: str) -> list[bytes]:
    return [dump(User(text)) for text in texts]
