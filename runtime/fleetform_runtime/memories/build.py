"""Builds what an agent remembers its users with."""

from collections.abc import Callable, Mapping

from fleetform_runtime.knowledge.build import embedder
from fleetform_runtime.memories.learning import Learning
from fleetform_runtime.memories.remembering import Remembering, Spending, Surrounded
from fleetform_runtime.memories.service import UserMemories
from fleetform_runtime.models import ChatModel
from fleetform_runtime.secrets import Secrets
from fleetform_runtime.sections.long_term import LongTermMemory
from fleetform_runtime.store.parts import Store
from fleetform_runtime.telemetry.metrics import Metrics
from fleetform_runtime.telemetry.traces import Spans
from fleetform_runtime.tools.memories import Forget, Remember


def build(
    settings: LongTermMemory,
    store: Store,
    models: Mapping[str, ChatModel],
    default_model: str,
    secrets: Secrets,
    metrics: Metrics,
    redact: Callable[[str], str],
    quotas: Spending,
    spans: Spans,
) -> Remembering:
    """Return the memories of an agent; nothing is opened yet."""
    name = settings.embedding.name if settings.embedding else ""

    def spent(tokens: int, usd: float | None) -> None:
        metrics.count("agent_embedding_tokens_total", name, by=tokens)
        if usd is not None:
            metrics.count("agent_embedding_cost_usd_total", name, by=usd)

    made = embedder(settings.embedding, secrets, spent)
    memories = UserMemories(store.memories, settings, made, metrics, redact)
    model = models[settings.model or default_model]
    around = Surrounded(model, quotas, store.conversations, spans)
    return Remembering(memories, Learning(memories, around, settings, metrics))


def tools(remembering: Remembering, settings: LongTermMemory) -> list[Remember | Forget]:
    """Return the tools of an agent with memories."""
    given = (remembering.memories, remembering.learning, settings.requires_approval)
    return [Remember(*given), Forget(*given)]
