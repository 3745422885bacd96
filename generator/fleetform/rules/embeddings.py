"""Models that turn texts into vectors: what an agent needs to ask them, and how long their vectors are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fleetform.contract import ENDPOINT_REQUIRED, KEYLESS
from fleetform.problems import Problem

if TYPE_CHECKING:
    from fleetform.models.memory_store import Embedding
    from fleetform.resolve import Resolved
    from fleetform.resolve.searches import Reached
    from fleetform.tree import TreePath

SHORTENED = {
    "openai": {"text-embedding-3-small": 1536, "text-embedding-3-large": 3072},
}
"""Models that make vectors of any length up to this one, by provider: elsewhere a name may mean another model."""
FIXED = {
    "openai": {"text-embedding-ada-002": 1536},
    "ollama": {
        "nomic-embed-text": 768,
        "mxbai-embed-large": 1024,
        "all-minilm": 384,
        "bge-m3": 1024,
    },
}
"""Models of one length, by provider and by their names without a tag."""


def unreachable(
    owner: Resolved[Any], path: TreePath, at: Reached, what: str, where: str, *, key: bool
) -> Iterator[Problem]:
    """Yield what is missing to ask a model: `what` is asked, and a field `where` would say it; `key` as in a Problem."""
    if at.provider in ENDPOINT_REQUIRED and not at.endpoint:
        yield owner.problem(
            path,
            "missing-field",
            f"the embedding of {what} has no `endpoint`, and {at.provider} no public one",
            hint=f"add {where.format('endpoint')}",
            key=key,
        )
    if at.provider not in KEYLESS and not at.secret and not at.project:
        yield owner.problem(
            path,
            "missing-field",
            f"the embedding of {what} has no key for {at.provider}",
            hint=f"add {where.format('secretRef')}",
            key=key,
        )


def dimension(owner: Resolved[Any], path: TreePath, wanted: Embedding | None) -> Iterator[Problem]:
    """Yield a length of vectors that a model is known not to have: each search would fail."""
    if wanted is None or wanted.dimension is None:
        return
    name = wanted.model.partition(":")[0]
    most = SHORTENED.get(wanted.provider, {}).get(name)
    only = FIXED.get(wanted.provider, {}).get(name)
    if (most is None or wanted.dimension <= most) and only in (None, wanted.dimension):
        return
    has = f"{most} dimensions at most" if most else f"{only} dimensions"
    yield owner.problem(
        (*path, "dimension"),
        "bad-dimension",
        f"the vectors of {wanted.model} have {has}, not {wanted.dimension}",
        hint="remove `dimension`, or name another model",
    )
