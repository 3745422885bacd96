"""One forking helper for each process that runs these tests."""

from collections.abc import Iterator

import pytest

from tests.hostile.forked import Runner, runner


@pytest.fixture(scope="session")
def command() -> Iterator[Runner]:
    """The real command line, measured."""
    with runner() as made:
        yield made
