"""Who may decide on the calls of a run that needs approval."""

from dataclasses import dataclass
from typing import Any

from fleetform_runtime.access.identity import Identity
from fleetform_runtime.sections.access import Approvals, Approvers


@dataclass(frozen=True, slots=True)
class Approving:
    """The rule of an agent; without any, those who asked decide."""

    approvals: Approvals | None = None

    @property
    def approvers(self) -> Approvers | None:
        """Return who decides, if that is said."""
        return self.approvals.approvers if self.approvals else None

    @property
    def is_by_others(self) -> bool:
        """Whether the specification says who decides."""
        return self.approvers is not None

    def knows(self, identity: Identity) -> bool:
        """Whether a caller is an approver."""
        named = self.approvers
        if named is None:
            return False
        return identity.user in named.keys or not identity.roles.isdisjoint(named.roles)

    def may_decide(self, identity: Identity, asker: str, result: dict[str, Any]) -> bool:
        """Whether a caller may decide on what an asker's run waits for.

        Questions are the asker's to answer; beside a call that needs approval they are the approver's.
        """
        if self.approvals is None or not self.is_by_others or not needs_approval(result):
            return identity.user == asker
        return self.knows(identity) and (identity.user != asker or self.approvals.self_)

    def may_see(self, identity: Identity, asker: str, result: dict[str, Any]) -> bool:
        """Whether a caller may see that an asker's run waits, or waited, and for what."""
        return identity.user == asker or (self.knows(identity) and needs_approval(result))


def needs_approval(result: dict[str, Any]) -> bool:
    """Whether a call of a paused run, whose result this is, needs approval."""
    calls = result.get("pending", {}).get("calls", ())
    return any(call["type"] == "approval" for call in calls)
