"""What every container of ours has in common."""

from __future__ import annotations

from typing import Any


def security(*, read_only_root: bool) -> dict[str, Any]:
    """Return the container security context that Pod Security `restricted` asks for, and a little more."""
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": read_only_root,
        "capabilities": {"drop": ["ALL"]},
    }
