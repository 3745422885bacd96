"""One control plane for all tests of this folder, with the definitions that the output needs."""

import os
from collections.abc import Iterator

import pytest

from tests.cluster import fleet, storage
from tests.cluster.plane import Plane, cluster, running


@pytest.fixture(scope="session")
def plane(tmp_path_factory) -> Iterator[Plane]:
    """A control plane that ends with the tests, also when they fail."""
    os.environ.setdefault("GOGC", cluster.COLLECTED)  # for kubectl and Helm, too
    with running(tmp_path_factory.mktemp("cluster") / "state") as found, storage.driver(found):
        yield found


@pytest.fixture(scope="module", autouse=True)
def _alone(plane: Plane) -> None:
    """Leave nothing of one file's tests to the next one's: which comes first is chance."""
    fleet.cleared(plane)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything in this folder: it runs when it is asked for, a file's tests one after the other."""
    for item in items:
        if "tests/cluster/" in item.path.as_posix():
            item.add_marker(pytest.mark.cluster)
            if item.get_closest_marker("xdist_group") is None:
                item.add_marker(pytest.mark.xdist_group(item.path.stem))
