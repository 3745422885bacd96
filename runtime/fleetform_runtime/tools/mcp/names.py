"""Names of tools as models take them: unique, and never given from one tool to another."""

import hashlib
import re
from collections import Counter
from collections.abc import Collection, Sequence

LONGEST = 64
_STRANGE = re.compile(r"[^A-Za-z0-9_-]")


def clean(name: str) -> str:
    """Return a name in the characters that every provider accepts; cut, and then with a hash, if it is long."""
    plain = _STRANGE.sub("_", name)
    return plain if len(plain) <= LONGEST else _with_hash(plain, name)


def distinct(names: Sequence[str]) -> list[str]:
    """Return a clean name for each of a server's own names, whatever their order.

    One that is clean already keeps itself; others that come to the same get a hash of their own name.
    """
    counts = Counter(map(clean, names))
    return [
        found if found == name or counts[found] == 1 else _with_hash(found, name)
        for name, found in zip(names, map(clean, names), strict=True)
    ]


def apart(named: Sequence[tuple[str, str]], reserved: Collection[str]) -> list[str]:
    """Return names for (server, name) of several servers' tools.

    A name that two servers list, or that the specification has given to a tool of its own, belongs to
    none of them: each is called by its server's name and its own.
    """
    counts = Counter(name for _, name in named)
    kept = {name for name, count in counts.items() if count == 1 and name not in reserved}
    found = []
    for server, name in named:
        full = name if name in kept else clean(f"{server}_{name}")
        if name not in kept and (full in kept or full in reserved or full in found):
            full = _with_hash(full, f"{server}\n{name}")
        found.append(full)
    return found


def _with_hash(name: str, own: str) -> str:
    tail = hashlib.sha256(own.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{name[: LONGEST - 9]}_{tail}"
