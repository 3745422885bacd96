"""The few requests that are made to the API server; the only module that uses the Kubernetes client."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import Any

from fleetform.problems import Problem, SpecError
from fleetform.records import NamedTuple

Object = dict[str, Any]
NAME_ONE = "set --kubeconfig or --context"
SECONDS = 30
"""How long one request may take."""


UNKNOWN_KIND = 0
"""Code of a refusal without an answer: the cluster lacks the definition of a custom resource."""


class Refusal(NamedTuple):
    """Why the API server refuses an object: its status code and message."""

    code: int
    message: str


class Api:
    """A cluster, through the dynamic client."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def get(self, manifest: Object) -> Object | None:
        """Return an object from the cluster, None if it does not exist or its kind is unknown."""
        from kubernetes.dynamic.exceptions import (  # noqa: PLC0415
            NotFoundError,
            ResourceNotFoundError,
        )

        metadata = manifest["metadata"]
        place = {"name": metadata["name"], "namespace": metadata.get("namespace")}
        try:
            found: Object = (
                self._resource(manifest).get(**place, _request_timeout=SECONDS).to_dict()
            )
        except (NotFoundError, ResourceNotFoundError):
            return None
        return found

    def dry_run(self, manifest: Object, field_manager: str) -> Object | Refusal:
        """Return the result of a server-side apply of an object, or why it would be refused.

        Fields that this manager once set and the object no longer has are gone from the result.
        """
        from kubernetes.dynamic.exceptions import (  # noqa: PLC0415
            DynamicApiError,
            ResourceNotFoundError,
        )

        try:
            found: Object = (
                self._resource(manifest)
                .server_side_apply(
                    body=manifest,
                    namespace=manifest["metadata"].get("namespace"),
                    field_manager=field_manager,
                    force_conflicts=True,
                    dry_run="All",
                    _request_timeout=SECONDS,
                )
                .to_dict()
            )
        except ResourceNotFoundError:
            version, kind = manifest["apiVersion"], manifest["kind"]
            return Refusal(UNKNOWN_KIND, f"the cluster does not serve the kind {kind} of {version}")
        except DynamicApiError as error:
            return _refusal(error)
        return found

    def all(self, api_version: str, kind: str, namespace: str, labels: str = "") -> list[Object]:
        """Return the objects of a kind in a namespace, or in the whole cluster for an empty one."""
        from kubernetes.dynamic.exceptions import (  # noqa: PLC0415
            NotFoundError,
            ResourceNotFoundError,
        )

        try:
            resource = self._client.resources.get(api_version=api_version, kind=kind)
            found = resource.get(
                namespace=namespace or None, label_selector=labels, _request_timeout=SECONDS
            ).to_dict()
        except (NotFoundError, ResourceNotFoundError):
            return []
        # A list omits the apiVersion and kind that all of its items share.
        return [{"apiVersion": api_version, "kind": kind, **item} for item in found["items"]]

    def delete(self, manifest: Object) -> None:
        """Delete an object as it was seen: one that was recreated since then stays."""
        metadata = manifest["metadata"]
        self._resource(manifest).delete(
            name=metadata["name"],
            namespace=metadata.get("namespace"),
            body={"preconditions": {"uid": metadata["uid"]}},
            _request_timeout=SECONDS,
        )

    def _resource(self, manifest: Object) -> Any:
        return self._client.resources.get(api_version=manifest["apiVersion"], kind=manifest["kind"])


def _refusal(error: Any) -> Refusal:
    import json  # noqa: PLC0415

    try:
        body = json.loads(error.body)
    except (TypeError, ValueError):
        return Refusal(error.status, str(error.reason))
    return Refusal(error.status, body.get("message") or str(error.reason))


@contextmanager
def connected(kubeconfig: str | None, context: str | None) -> Iterator[Api]:
    """Connect as kubectl would. Raises SpecError if there is no cluster to talk to."""
    try:
        from kubernetes import client, config  # noqa: PLC0415
        from kubernetes.dynamic import DynamicClient  # noqa: PLC0415
    except ImportError:
        raise _no_cluster(
            "the Kubernetes client is not installed",
            "in a clone of Fleetform: `make .venv/.dev`, or `pip install '.[cluster]'`",
        ) from None
    from urllib3.exceptions import HTTPError  # noqa: PLC0415
    from urllib3.util import Retry  # noqa: PLC0415
    from yaml import YAMLError  # noqa: PLC0415

    # Only partly typed.
    loading: Any = config
    dynamic: Any = DynamicClient
    settings = client.Configuration()
    try:
        if kubeconfig or context or not os.environ.get("KUBERNETES_SERVICE_HOST"):
            loading.load_kube_config(
                config_file=kubeconfig, context=context, client_configuration=settings
            )
        else:
            loading.load_incluster_config(client_configuration=settings)
    except OSError as error:
        raise _no_cluster(f"the kubeconfig cannot be read: {error}", NAME_ONE) from None
    # The client assumes that the file contains a mapping.
    except (YAMLError, AttributeError, LookupError, TypeError, ValueError):
        file = kubeconfig or os.environ.get("KUBECONFIG") or "~/.kube/config"
        raise _no_cluster(f"{file} is not a kubeconfig", NAME_ONE) from None
    except config.ConfigException as error:
        raise _no_cluster(str(error), NAME_ONE) from None
    # A busy or starting server says so, and for how long.
    settings.retries = Retry(
        total=6,
        connect=0,
        read=0,
        backoff_factor=0.2,
        status_forcelist=(429, 503),
        allowed_methods=None,
        raise_on_status=False,
    )
    # The cluster's API resources are discovered again in each run, and cached nowhere.
    with client.ApiClient(settings) as connection, TemporaryDirectory() as folder:
        try:
            yield Api(_discovered(dynamic, connection, f"{folder}/served", settings.host))
        except HTTPError as error:
            raise _no_cluster(
                f"{settings.host} cannot be reached: {error}",
                "check the address in the kubeconfig, and the network",
            ) from None
        except client.ApiException as error:
            raise _no_cluster(
                f"{settings.host} refuses: {error.status} {error.reason}",
                "the account needs the permissions listed in docs/cluster.md",
            ) from None


def _discovered(dynamic: Any, connection: Any, file: str, host: str) -> Any:
    """Return a client that knows the cluster's API resources."""
    try:
        return dynamic(connection, cache_file=file)
    except (AttributeError, LookupError, TypeError, ValueError):
        raise _no_cluster(
            f"{host} does not answer like an API server",
            "check the address in the kubeconfig, and any proxy in front of it",
        ) from None


def _no_cluster(message: str, hint: str) -> SpecError:
    return SpecError([Problem("error", "no-cluster", message, hint=hint)])
