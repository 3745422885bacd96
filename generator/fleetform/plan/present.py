"""Members of `agent.json`: only those that have an effect, and secrets as symbols."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fleetform.plan.model import SecretRef

if TYPE_CHECKING:
    from fleetform.models.base import SecretKey


_NOTHING: tuple[Any, ...] = ([], {})


def present(**members: Any) -> dict[str, Any]:
    """Return the members that are set: empty lists and maps mean the same as absence."""
    return {
        key: value for key, value in members.items() if value is not None and value not in _NOTHING
    }


def secret_of(reference: SecretKey) -> SecretRef:
    """Return the symbol of a secret named in a spec."""
    return SecretRef(reference.name, reference.key)
