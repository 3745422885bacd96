"""Fields of models that their provider does not have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fleetform import kinds
from fleetform.contract import IGNORED, PROJECTS, REGIONS
from fleetform.resolve import Fleet, Resolved
from fleetform.resolve.regions import has_project, has_region
from fleetform.rules.idle.fields import Field, given
from fleetform.tree import TreePath, at

if TYPE_CHECKING:
    from fleetform.models.model_config import ModelSettings
    from fleetform.rules import AgentUses

_SETTINGS = sorted({name for names in IGNORED.values() for name in names})
"""Settings that some provider does not have."""


def fields(fleet: Fleet, uses: AgentUses) -> Iterator[Field]:
    """Yield what a provider does not use of ModelConfigs, and of the models of agents."""
    for config in fleet.of(kinds.MODEL_CONFIG):
        yield from _places(config, ("spec",), config.spec)
    for agent in fleet.of(kinds.AGENT):
        model = uses[agent.key].model
        if agent.spec.container is None and model is not None:
            yield from _places(agent, ("spec", "model"), model)


def _places(owner: Resolved[Any], base: TreePath, model: ModelSettings) -> Iterator[Field]:
    if model.provider is None or at(owner.tree, base) is None:
        return  # the agent says which, or nothing
    why, hint = "", "set `project`, or remove it"
    if model.provider not in REGIONS:
        why, hint = f"the provider `{model.provider}` has no regions", "remove it"
    elif not has_region(model):
        why = "Google's API is asked in a region only through a project"
    yield from given(owner, base, ("region",), why, hint)
    why = "" if model.provider in PROJECTS else f"the provider `{model.provider}` has no projects"
    yield from given(owner, base, ("project",), why, "remove it")
    ignored = IGNORED[model.provider]
    for name in _SETTINGS:
        why = f"the provider `{model.provider}` has no such setting" if name in ignored else ""
        if name == "promptCaching" and why:
            why = f"the provider `{model.provider}` caches by itself, or not at all"
        yield from given(owner, base, (name,), why, "remove it")
    why = "with `project` the pod's identity is used" if has_project(model) else ""
    yield from given(owner, base, ("apiKeySecretRef",), why, "remove it, or `project`")
