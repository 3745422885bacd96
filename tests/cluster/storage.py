"""A storage class as managed clusters have it by default: a disk is made once a pod that needs it is scheduled."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.cluster import fleet
from tests.cluster.plane import Object, Plane, listed

DRIVER = "simulated.example.com"
DEFAULT = "simulated"
CHOSEN = "volume.kubernetes.io/selected-node"
"""What the scheduler writes on a claim that waits for its first pod: the node of that pod."""


@contextmanager
def driver(plane: Plane) -> Iterator[None]:
    """Be the driver of the default class, and of those that the fleet names, until the block ends."""
    plane.apply("-f", "-", text=listed(map(_class, sorted({DEFAULT, *_named()}))))
    over = threading.Event()

    def serve() -> None:
        while not over.wait(0.3):
            listed = plane.run("get", "persistentvolumeclaims", "--all-namespaces", "-o", "json")
            claims = json.loads(listed.stdout)["items"] if listed.returncode == 0 else []
            for claim in claims:
                asked = CHOSEN in claim["metadata"].get("annotations", {})
                if asked and claim["status"].get("phase") == "Pending":
                    plane.apply("-f", "-", text=json.dumps(_disk(claim)))

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _named() -> set[str]:
    """Return the classes that the fleet's claims name, in any environment."""
    claims = (
        item["spec"]
        for name in fleet.ENVIRONMENTS
        for item in fleet.objects(name)
        if item["kind"] == "PersistentVolumeClaim"
    )
    return {spec["storageClassName"] for spec in claims if "storageClassName" in spec}


def _class(name: str) -> Object:
    default = {"storageclass.kubernetes.io/is-default-class": str(name == DEFAULT).lower()}
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": name, "annotations": default},
        "provisioner": DRIVER,
        "volumeBindingMode": "WaitForFirstConsumer",
    }


def _disk(claim: Object) -> Object:
    """Return the volume for a claim."""
    metadata, spec = claim["metadata"], claim["spec"]
    names = {key: metadata[key] for key in ("namespace", "name", "uid")}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"disk-{metadata['uid']}"},
        "spec": {
            "capacity": spec["resources"]["requests"],
            "accessModes": spec["accessModes"],
            "storageClassName": spec["storageClassName"],
            "csi": {"driver": DRIVER, "volumeHandle": metadata["uid"]},
            "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", **names},
        },
    }
