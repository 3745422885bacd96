"""The models of the official Python client, which forbid every field they do not know."""

import json
from typing import Any

from kubernetes import client
from pydantic import BaseModel

from .rendered import Object

BUILT_IN_GROUPS = {
    "",
    "apps",
    "autoscaling",
    "batch",
    "networking.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
}


def is_built_in(manifest: Object) -> bool:
    """Tell whether a kind belongs to Kubernetes itself and so to the client."""
    group, _, _ = manifest["apiVersion"].rpartition("/")
    return group in BUILT_IN_GROUPS


def model_of(manifest: Object) -> type[BaseModel]:
    """Return the model of a built-in kind: V1 and Deployment make V1Deployment."""
    version = manifest["apiVersion"].rpartition("/")[2]
    model: Any = getattr(client, version.capitalize() + manifest["kind"])
    return model


def load(manifest: Object) -> BaseModel:
    """Load an object; strict, so that no "1" becomes a number. Raises pydantic.ValidationError."""
    return model_of(manifest).model_validate_json(json.dumps(manifest), strict=True)
