"""The Service of a workload, and which ones an environment grants."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from fleetform.models.base import LabelKey, Name, Spec, optional
from fleetform.patterns import CIDR

Cidr = Annotated[str, StringConstraints(pattern=CIDR)]


class Service(Spec):
    """The Service of a workload: its type, and what those who make load balancers read."""

    type: Literal["ClusterIP", "NodePort", "LoadBalancer"] = Field(
        default="ClusterIP",
        description="Type; others than `ClusterIP` must be granted by the environment's `expose.services`.",
    )
    annotations: dict[LabelKey, str] = Field(
        default_factory=dict,
        description="Annotations of the Service; ExternalDNS may publish hosts that the environment grants. Default: none.",
    )
    load_balancer_source_ranges: list[Cidr] = Field(
        default_factory=list,
        description="Address ranges that may call the load balancer; `0.0.0.0/0` is everyone. Needed for LoadBalancer.",
    )
    external_traffic_policy: Literal["Local", "Cluster"] | None = optional(
        "Whether pods see the addresses of callers (`Local`), or of a node that may pass calls on to any pod (`Cluster`). Default: Local, for the two types that have one."
    )


class ServiceGrant(Spec):
    """A type of Service that specs may have."""

    type: Literal["NodePort", "LoadBalancer"] = Field(description="Type.")
    namespaces: list[Name] = Field(
        default_factory=list,
        description="Namespaces as in the specs whose workloads may have it. Default: all.",
        min_length=1,
    )
    annotations: list[LabelKey] = Field(
        default_factory=list,
        description="Keys of annotations that specs may set on it, of those that a controller obeys. Default: none; the environment's own `defaults` and `patches` may set any.",
    )
