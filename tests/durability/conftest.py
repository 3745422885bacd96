"""The same helper that hostile input is thrown at."""

from tests.hostile.conftest import command

__all__ = ["command"]
