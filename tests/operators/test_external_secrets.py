"""The External Secrets operator makes every Secret, with exactly the keys that are read."""

import base64
import json
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster.plane import Object, Plane
from tests.operators import stores
from tests.operators.conftest import Applied, apply

WHOLE = "*"
"""In place of a key: all of a Secret."""
PULLED = ".dockerconfigjson"
Read = tuple[str, str, str]
"""Namespace, Secret, and key."""


def read(applied: Applied) -> set[Read]:
    """Return what the pods read of Secrets, and what KEDA reads for them."""
    found = set()
    for item in applied.objects:
        space = item["metadata"].get("namespace", "")
        if item["kind"] == "TriggerAuthentication":
            references = item["spec"]["secretTargetRef"]
            found |= {(space, each["name"], each["key"]) for each in references}
        spec = item.get("spec", {})
        spec = spec.get("jobTemplate", {}).get("spec", spec)  # of a CronJob
        template = spec.get("template", {}).get("spec")
        if template:
            found |= {(space, *each) for each in _of_pod(template)}
    return found


def _of_pod(pod: Object) -> Iterator[tuple[str, str]]:
    """Yield Secret and key; what images are pulled with is read by the kubelet."""
    for reference in pod.get("imagePullSecrets", ()):
        yield reference["name"], PULLED
    for container in (*pod["containers"], *pod.get("initContainers", ())):
        for variable in container.get("env", ()):
            if reference := variable.get("valueFrom", {}).get("secretKeyRef"):
                yield reference["name"], reference["key"]
        for source in container.get("envFrom", ()):
            if reference := source.get("secretRef"):
                yield reference["name"], WHOLE
    for volume in pod.get("volumes", ()):
        if secret := volume.get("secret"):
            yield from _of_files(secret["secretName"], secret)
        for source in volume.get("projected", {}).get("sources", ()):
            if secret := source.get("secret"):
                yield from _of_files(secret["name"], secret)


def _of_files(name: str, secret: Object) -> Iterator[tuple[str, str]]:
    for item in secret.get("items", [{"key": WHOLE}]):
        yield name, item["key"]


def ready(plane: Plane, item: Object) -> dict[str, str]:
    """Return whether an ExternalSecret is synced, once the operator has tried."""
    metadata = item["metadata"]
    found: dict[str, str] = {}

    def is_tried() -> bool:
        (live,) = plane.get("externalsecret", metadata["name"], "-n", metadata["namespace"])
        for each in live.get("status", {}).get("conditions", ()):
            found.update(each)
        return bool(found)

    plane.until(is_tried, f"a judgement of ExternalSecret {metadata['name']}")
    return found


def content(plane: Plane, space: str, name: str) -> dict[str, str]:
    (live,) = plane.get("secret", name, "-n", space)
    return {key: base64.b64decode(value).decode() for key, value in live["data"].items()}


def test_every_external_secret_is_synced(plane: Plane, applied: Applied) -> None:
    found = applied.of("ExternalSecret")
    assert bool(found) == (applied.name not in ("dev", "triggers"))
    for item in found:
        said = ready(plane, item)
        assert (said["type"], said["status"], said["reason"]) == ("Ready", "True", "SecretSynced")


def test_its_secret_has_exactly_the_keys_that_are_read(plane: Plane, applied: Applied) -> None:
    wanted: dict[tuple[str, str], set[str]] = defaultdict(set)
    for space, name, key in read(applied):
        wanted[space, name].add(key)
    made = {
        (item["metadata"]["namespace"], item["spec"]["target"]["name"]): item
        for item in applied.of("ExternalSecret")
    }
    if not made:  # then they are made by hand
        return
    assert made.keys() == wanted.keys()
    for (space, name), item in made.items():
        ready(plane, item)
        keys = content(plane, space, name).keys()
        if WHOLE in wanted[space, name]:
            assert keys == {*stores.WHOLE}
        else:
            assert keys == wanted[space, name], name


def test_each_value_is_the_one_that_the_store_holds(plane: Plane, applied: Applied) -> None:
    for item in applied.of("ExternalSecret"):
        ready(plane, item)
        held = applied.values[stores.store_of(item)]
        spec, metadata = item["spec"], item["metadata"]
        expected = {
            entry["secretKey"]: held[remote["key"]][remote.get("property", "")]
            for entry in spec.get("data", ())
            for remote in [entry["remoteRef"]]
        }
        for entry in spec.get("dataFrom", ()):
            expected |= held[entry["extract"]["key"]]
        assert content(plane, metadata["namespace"], spec["target"]["name"]) == expected


def test_what_images_are_pulled_with_has_the_type_that_the_kubelet_takes(
    plane: Plane, applied: Applied
) -> None:
    """Kubernetes itself refuses a Secret of that type whose content is not Docker's configuration."""
    for item in applied.of("ExternalSecret"):
        ready(plane, item)
        (live,) = plane.get(
            "secret", item["spec"]["target"]["name"], "-n", item["metadata"]["namespace"]
        )
        is_pulled = any(entry["secretKey"] == PULLED for entry in item["spec"].get("data", ()))
        assert live["type"] == ("kubernetes.io/dockerconfigjson" if is_pulled else "Opaque")


def test_the_operator_changes_nothing_of_what_was_rendered(plane: Plane, applied: Applied) -> None:
    """Its webhook and its schema fill in no default that we do not write."""
    for item in applied.of("ExternalSecret"):
        ready(plane, item)
        metadata = item["metadata"]
        (live,) = plane.get("externalsecret", metadata["name"], "-n", metadata["namespace"])
        assert live["spec"] == item["spec"]


def test_the_stores_that_were_rendered_are_of_its_form(plane: Plane, applied: Applied) -> None:
    """Its own definitions take them; whether a cloud would let it in cannot be tried here."""
    found = applied.of("SecretStore")
    assert bool(found) == (applied.name not in ("dev", "triggers"))
    for item in found:
        plane.apply("--dry-run=server", "-f", "-", text=json.dumps(item))


@pytest.fixture
def wrong(plane: Plane) -> Iterator[Object]:
    """An ExternalSecret of the form that we write, one of whose keys the store does not hold."""
    space = "wrong-key"
    plane.do("create", "namespace", space)
    key = {"conversionStrategy": "Default", "decodingStrategy": "None", "metadataPolicy": "None"}
    item: dict[str, Any] = {
        "apiVersion": "external-secrets.io/v1",
        "kind": "ExternalSecret",
        "metadata": {"name": "keys", "namespace": space},
        "spec": {
            "refreshInterval": "1h",
            "secretStoreRef": {"name": "store", "kind": "SecretStore"},
            "target": {"name": "keys", "creationPolicy": "Owner", "deletionPolicy": "Retain"},
            "data": [{"secretKey": "a", "remoteRef": {"key": "remote", "property": "a", **key}}],
        },
    }
    held = stores.values([json.loads(json.dumps(item))])
    item["spec"]["data"][0]["remoteRef"]["property"] = "b"
    apply(plane, stores.replaced([item], held))
    yield item
    plane.do("delete", "namespace", space, "--wait=true")


def test_a_key_that_the_store_does_not_hold_is_seen(plane: Plane, wrong: Object) -> None:
    said = ready(plane, wrong)
    assert (said["status"], said["reason"]) == ("False", "SecretSyncedError")
    done = plane.run("get", "secret", "keys", "-n", wrong["metadata"]["namespace"])
    assert "NotFound" in done.stderr
