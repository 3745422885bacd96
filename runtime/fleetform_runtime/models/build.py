"""Chooses the implementation for each model of the specification."""

from collections.abc import Callable

from fleetform_runtime.models import ChatModel
from fleetform_runtime.models.chat_completions import ChatCompletionsModel
from fleetform_runtime.models.upstream import Candidate, Upstream
from fleetform_runtime.secrets import Secrets
from fleetform_runtime.sections.model import Model
from fleetform_runtime.settings import Settings
from fleetform_runtime.telemetry.metrics import Metrics

Build = Callable[[Model, Secrets], ChatModel]


def build(model: Model, secrets: Secrets) -> ChatModel:
    """Return a client for a model; extras are imported only here.

    Raises:
        ImportError: the image lacks the provider's extra.
    """
    if model.facts.module:
        from fleetform_runtime.models.foreign import ForeignModel  # noqa: PLC0415

        return ForeignModel(model, secrets)
    return ChatCompletionsModel(model, secrets)


def upstreams(
    settings: Settings, secrets: Secrets, metrics: Metrics, make: Build = build
) -> dict[str, ChatModel]:
    """Return the models of sessions, each with its fallbacks: those that they choose, and those of variants."""
    fallbacks = [Candidate(model, make(model, secrets)) for model in settings.fallbacks]
    found: dict[str, ChatModel] = {}
    for model in settings.session_models:
        candidates = [Candidate(model, make(model, secrets)), *fallbacks]
        found[model.key] = Upstream(candidates, metrics)
    return found


def summariser(
    settings: Settings, secrets: Secrets, metrics: Metrics, make: Build = build
) -> ChatModel | None:
    """Return the model that writes summaries; None if that is each run's own."""
    compression = settings.memory.policy.compression
    if compression is None or compression.model is None:
        return None
    model = compression.model
    return Upstream([Candidate(model, make(model, secrets))], metrics)
