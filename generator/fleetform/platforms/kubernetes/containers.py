"""What all of our containers have in common."""

from __future__ import annotations

from typing import Any


def security(*, read_only_root: bool) -> dict[str, Any]:
    """Return a container security context that meets Pod Security `restricted`, and a little more."""
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": read_only_root,
        "capabilities": {"drop": ["ALL"]},
    }
