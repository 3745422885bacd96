"""Fields that a spec's `podTemplate` hands to the pod as they are: one row each, all else derives.

The name is the same in the spec, in the pod and among the values of the chart.
"""

from __future__ import annotations

from typing import Any, NamedTuple


class PodField(NamedTuple):
    """A plain field of a pod; `schema` is its type among the values of the chart."""

    name: str
    schema: dict[str, Any]


def _kubernetes(kind: str) -> dict[str, Any]:
    return {"$ref": f"io.k8s.api.core.v1.{kind}"}


_NAME = {"type": "string", "maxLength": 253, "pattern": "^([a-z0-9]([-a-z0-9.]*[a-z0-9])?)?$"}

PLAIN = (
    PodField("priorityClassName", _NAME),
    PodField("runtimeClassName", _NAME),
    PodField("nodeSelector", {"type": "object", "additionalProperties": {"type": "string"}}),
    PodField("tolerations", {"type": "array", "items": _kubernetes("Toleration")}),
    PodField("affinity", _kubernetes("Affinity")),
)
"""In the order in which a pod has them."""
