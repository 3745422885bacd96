"""One setting of an environment, and whether it is used."""

from __future__ import annotations

from fleetform.problems import Severity
from fleetform.records import NamedTuple
from fleetform.tree import TreePath


class Row(NamedTuple):
    """A field of an environment; `why` says why it has no effect if it is not used."""

    path: TreePath
    used: bool
    why: str
    hint: str
    severity: Severity = "warning"
