"""Stand-ins for the stores of clouds: what they hold is derived from what the ExternalSecrets ask for."""

import json
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from tests.cluster.plane import Object

Store = tuple[str, str, str]
"""Kind, namespace (empty for a store of the cluster) and name."""
Values = dict[Store, dict[str, dict[str, str]]]
"""What each store holds: values by property, by the name of a secret."""
WHOLE = ("file", "other")
"""What a secret holds that is read as a whole."""


CONFIG = "config"
"""Property that holds Docker's configuration, where a secret has properties."""


def values(found: Iterable[Object]) -> Values:
    """Return what the stores must hold for the ExternalSecrets among some objects."""
    held: Values = defaultdict(lambda: defaultdict(dict))
    for item in found:
        if item["kind"] != "ExternalSecret":
            continue
        holder = held[store_of(item)]
        for entry in item["spec"].get("data", ()):
            reference = entry["remoteRef"]
            name = reference.get("property", "")
            holder[reference["key"]][name] = value(reference["key"], name)
        for entry in item["spec"].get("dataFrom", ()):
            key = entry["extract"]["key"]
            holder[key] |= {name: value(key, name) for name in WHOLE}
    return held


def value(key: str, name: str) -> str:
    """Return a value that tells where it is from; of a secret without properties it is Docker's configuration."""
    return json.dumps({"auths": {key: {}}}) if name in ("", CONFIG) else f"{name} of {key}"


def store_of(item: Object) -> Store:
    """Return the store that an ExternalSecret reads from."""
    reference = item["spec"]["secretStoreRef"]
    is_local = reference["kind"] == "SecretStore"
    space = item["metadata"]["namespace"] if is_local else ""
    return reference["kind"], space, reference["name"]


def replaced(found: Iterable[Object], held: Values) -> list[Object]:
    """Return the objects with a stand-in for every store, rendered or not; all else stays as it is."""
    rest = [item for item in found if item["kind"] != "SecretStore"]
    spaces = [item for item in rest if item["kind"] == "Namespace"]
    stand_ins = [_fake(store, secrets) for store, secrets in held.items()]
    return [*spaces, *stand_ins, *(item for item in rest if item not in spaces)]


def _fake(store: Store, secrets: dict[str, dict[str, str]]) -> Object:
    kind, space, name = store
    data = [{"key": key, "value": _text(own)} for key, own in secrets.items()]
    return {
        "apiVersion": "external-secrets.io/v1",
        "kind": kind,
        "metadata": {"name": name, **({"namespace": space} if space else {})},
        "spec": {"provider": {"fake": {"data": data}}},
    }


def _text(properties: dict[str, str]) -> str:
    """Return what a store holds: plain text, or properties as JSON."""
    return properties.get("") or json.dumps(_nested(properties))


def _nested(properties: dict[str, str]) -> dict[str, Any]:
    """Return properties as the fake provider finds them: unlike the clouds' it takes a dot for a step."""
    found: dict[str, Any] = {}
    for name, content in properties.items():
        *steps, last = name.split(".")
        place = found
        for step in steps:
            place = place.setdefault(step, {})
        place[last] = content
    return found
