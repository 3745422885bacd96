"""The spec kinds as models: the only place where a field, its type, unit and default are defined."""

from __future__ import annotations

from importlib import import_module

from fleetform import kinds
from fleetform.models.base import Spec


def model(kind: str) -> type[Spec]:
    """Return the model class of a kind; models are built on first use, which takes time."""
    found: type[Spec] = getattr(
        import_module(f"fleetform.models.{kinds.BY_NAME[kind].module}"), kind
    )
    return found
