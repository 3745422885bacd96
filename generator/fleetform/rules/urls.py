"""URLs that are well-formed but unusable: ports beyond 65535, invalid hosts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from fleetform import kinds
from fleetform.problems import Problem
from fleetform.resolve import Fleet
from fleetform.resolve.hosts import split
from fleetform.tree import entries, leaves

if TYPE_CHECKING:
    from fleetform.rules import AgentUses

KEYS = frozenset({"endpoint", "url", "tokenUrl", "issuer"})


def rules(fleet: Fleet, uses: AgentUses) -> Iterator[Problem]:
    """Yield URLs without a usable host and port."""
    del uses
    for kind in kinds.WITH_URLS:
        for resolved in fleet.of(kind):
            if not any(key in KEYS for key, _ in entries(resolved.tree)):
                continue
            for path, value in leaves(resolved.tree):
                if path[-1] in KEYS and isinstance(value, str) and value and not all(split(value)):
                    yield resolved.problem(
                        path,
                        "bad-url",
                        f"`{value[:80]}` has no usable host or port",
                        hint="write http://host:port/path, the port at most 65535",
                    )
