"""What every test of the runtime shares."""

import pytest


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
