"""Where in its cloud a model is asked: its region, and its project."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fleetform.contract import PROJECTS, REGIONS

if TYPE_CHECKING:
    from fleetform.models.model_config import ModelSettings


def has_project(model: ModelSettings) -> bool:
    """Whether a model is asked through a project of its cloud, with the pod's identity."""
    return bool(model.project) and model.provider in PROJECTS


def has_region(model: ModelSettings) -> bool:
    """Whether the region of a model decides anything."""
    return model.provider in REGIONS and (model.provider not in PROJECTS or has_project(model))
