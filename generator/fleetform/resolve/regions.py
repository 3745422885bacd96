"""Where in its cloud a model is asked: its region, and its project."""

from __future__ import annotations

from typing import Protocol

from fleetform.contract import PROJECTS, REGIONS


class Asked(Protocol):
    """A model, or how one is reached."""

    @property
    def provider(self) -> str | None:
        """Return the name of its provider."""

    @property
    def project(self) -> str | None:
        """Return the project of the provider's cloud that it is asked through."""


def has_project(model: Asked) -> bool:
    """Whether a model is asked through a project of its cloud, with the pod's identity."""
    return bool(model.project) and model.provider in PROJECTS


def has_region(model: Asked) -> bool:
    """Whether the region of a model decides anything."""
    return model.provider in REGIONS and (model.provider not in PROJECTS or has_project(model))
