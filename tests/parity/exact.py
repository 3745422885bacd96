"""What a tool made of our output, read as Go does, and held against the plain manifests."""

import os
from collections.abc import Callable, Iterable, Mapping

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conformance import readers
from tests.parity.objects import Key, Object, differences, identified

EXAMPLES = int(os.environ.get("FLEETFORM_PARITY", "20"))
"""How many examples a property is tried with; `make parity` asks for 300."""
PER_RUN = 10
"""Fleets that share one run of another program: starting it costs more than rendering."""
SEEDS = st.integers(0, 2**32)


def by_chance(most: int = EXAMPLES) -> settings:
    """Return how a property of random fleets is tried: the same fleets each time, however slow the machine."""
    return settings(
        max_examples=most,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=[HealthCheck.too_slow],
    )


def many_by_chance(test: Callable[..., None]) -> Callable[..., None]:
    """Try a property of several seeds at once as often as `by_chance` would, PER_RUN of them each time."""
    seeds = st.lists(SEEDS, min_size=PER_RUN, max_size=PER_RUN, unique=True)
    return by_chance(max(1, EXAMPLES // PER_RUN))(given(seeds)(test))


def by_identity(texts: Iterable[str]) -> dict[Key, Object]:
    """Return the objects of some streams by what is unique in a cluster; kustomizations are none."""
    documents = [item for item in readers.go("---\n".join(texts)) if item]
    return identified([item for item in documents if item["kind"] != "Kustomization"])


def assert_same(made: Mapping[Key, Object], plain: Mapping[Key, Object]) -> None:
    """Fail with every leaf that differs; true is not 1, and lists have an order."""
    found = differences(dict(plain), dict(made))
    assert not found, "\n".join(found)
