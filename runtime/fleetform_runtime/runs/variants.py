"""Which variant of the agent a session has: drawn once by its name, and kept with it."""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from fleetform_runtime.messages import User
from fleetform_runtime.runs.live import Order
from fleetform_runtime.settings import BASE, Prompts, Settings
from fleetform_runtime.store import Session

log = logging.getLogger(__name__)
PARTS = 10_000
"""Parts that sessions are shared out in: a hundredth of a percent each."""


@dataclass(frozen=True, slots=True)
class Variant:
    """What a session runs with; the name is empty for an agent that has no variants."""

    name: str
    system: str
    model: str
    """Key of the model of sessions that do not choose one."""
    without: frozenset[str] = frozenset()
    """Names of tools, and of MCP servers, that it does not have."""


@dataclass(frozen=True, slots=True)
class Variants:
    """The agent itself, and its variants."""

    agent: str
    base: Variant
    others: Mapping[str, Variant] = field(default_factory=dict)
    weights: Sequence[tuple[float, str]] = ()
    """Percent of new sessions, and who gets them; the rest is the agent's own."""
    _unknown: set[str] = field(default_factory=set)

    @property
    def names(self) -> tuple[str, ...]:
        """Return all names, the agent's own first; nothing if it has no variants."""
        return (self.base.name, *self.others) if self.others else ()

    def of(self, session: Session, key: str) -> tuple[Variant, Session]:
        """Return the variant of a session, and the session as it will be kept.

        A new session draws; one that was there before the agent had variants is the agent's own. Whose variant is no
        longer there goes on with the agent itself, and gets it back if it returns.

        Args:
            session: as it is stored, or new.
            key: what a new one draws by.
        """
        if not self.others:
            return self.base, session
        name = session.variant
        if not name:
            is_new = not (session.messages or session.pending or session.turns)
            found = self.drawn(key) if is_new else self.base
            return found, replace(session, variant=found.name)
        found = self.base if name == BASE else self.others.get(name, self.base)
        if found is self.base and name != BASE and name not in self._unknown:
            self._unknown.add(name)
            log.warning("sessions of the variant %s go on without: it is no longer there", name)
        return found, session

    def drawn(self, key: str) -> Variant:
        """Return the variant that a key draws, the same on every replica and at any time."""
        digest = hashlib.sha256(f"{self.agent}\0{key}".encode()).digest()
        part = int.from_bytes(digest[:8]) % PARTS
        upto = 0.0
        for weight, name in self.weights:
            upto += weight * PARTS / 100
            if part < upto:
                return self.others[name]
        return self.base


def variants(settings: Settings, prompts: Prompts) -> Variants:
    """Return the variants of a configuration."""
    default = settings.model.key
    base = Variant(
        BASE if settings.variants else "", prompts.system, default, without(settings, BASE)
    )
    others = {
        item.name: Variant(
            item.name,
            prompts.variants.get(item.name, prompts.system),
            item.model.key if item.model is not None else default,
            without(settings, item.name),
        )
        for item in settings.variants
    }
    weights = [(item.weight, item.name) for item in settings.variants]
    return Variants(settings.agent.name, base, others, weights)


def without(settings: Settings, name: str) -> frozenset[str]:
    """Return the names of tools and MCP servers that a variant, or the agent itself, does not have."""
    tools = (*settings.tools, *settings.mcp_servers)
    return frozenset(tool.name for tool in tools if tool.variants and name not in tool.variants)


def conversation(order: Order) -> str:
    """Return what a conversation is known by that its caller keeps itself: who it is of, and how it began."""
    said = (item for item in (*order.history, order.message) if isinstance(item, User))
    first = next((item.text() for item in said), "")
    return f"{order.user}\0{first}"
