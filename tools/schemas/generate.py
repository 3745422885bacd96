"""Write one strict JSON schema per kind, from the API descriptions inside pinned Go modules.

The definitions of custom resources stand in FOLDER/crds as they are.

Usage: generate.py GO YAML2JSON CRDS FOLDER. CRDS is a folder of more definitions. Writes FOLDER/<group>/<kind>_<version>.json, the group of
the core kinds being `v1`: what kubeconform calls {{.Group}}, {{.ResourceKind}} and
{{.ResourceAPIVersion}}. Nothing but what an API server would keep is allowed in an object.
"""

import json
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from strict import Schema, convert

PINS = Path(__file__).resolve().parent / "go.sum"

BUILT_IN = "k8s.io/kubernetes"
SWAGGER = "api/openapi-spec/swagger.json"

# The folder of each pinned module that holds its CustomResourceDefinitions.
CUSTOM = {
    "github.com/argoproj/argo-cd/v3": "manifests/crds",
    "github.com/argoproj/argo-rollouts": "manifests/crds",
    "github.com/cert-manager/cert-manager": "deploy/crds",
    "github.com/external-secrets/external-secrets": "config/crds/bases",
    "github.com/fluxcd/flagger": "artifacts/flagger",
    "github.com/fluxcd/kustomize-controller": "config/crd/bases",
    "github.com/grafana/grafana-operator/v5": "config/crd/bases",
    "github.com/kedacore/keda/v2": "config/crd/bases",
    "github.com/prometheus-operator/prometheus-operator": "example/prometheus-operator-crd",
    "sigs.k8s.io/agent-sandbox": "k8s/crds",
    "sigs.k8s.io/gateway-api": "config/crd/standard",
}

# The grammar of resource.Quantity: a decimal number and a suffix or an exponent.
QUANTITY = r"^[+-]?(\d+(\.\d*)?|\.\d+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?\d+)?$"

DEFINITIONS = "#/definitions/"
OBJECT_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"

# Types whose description in OpenAPI says less than, or other than, what the API server accepts.
SPECIAL: dict[str, Schema] = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity": {
        "anyOf": [{"type": "number"}, {"type": "string", "pattern": QUANTITY}]
    },
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": {"type": ["integer", "string"]},
}


@dataclass(frozen=True)
class Kind:
    """One served kind and the schema of its objects, without shared definitions."""

    group: str
    version: str
    name: str
    schema: Schema

    @property
    def path(self) -> str:
        """The file of the kind inside the folder of schemas."""
        return f"{self.group or self.version}/{self.name.lower()}_{self.version}.json"

    @property
    def api_version(self) -> str:
        """The value of the object's field apiVersion."""
        return f"{self.group}/{self.version}" if self.group else self.version


def main() -> None:
    """Write the schemas of the built-in kinds and of the custom resources."""
    go, yaml2json, crds, folder = sys.argv[1:]
    modules = _modules(go)
    described = json.loads((modules[BUILT_IN] / SWAGGER).read_bytes())["definitions"]
    definitions = {
        name: SPECIAL.get(name) or convert(schema, opaque=True)
        for name, schema in described.items()
    }
    documents = [*_documents(sorted(Path(crds).glob("*.yaml")), yaml2json)]
    for path, inside in CUSTOM.items():
        documents += _crds(modules[path], inside, yaml2json)
    custom = [item for item in documents if item and item["kind"] == "CustomResourceDefinition"]
    for kind in (*built_in_kinds(described, definitions), *custom_kinds(custom)):
        _write(Path(folder) / kind.path, kind, definitions)
    _write_crds(Path(folder) / "crds", custom)


def _write_crds(folder: Path, documents: Iterable[Any]) -> None:
    """Write the definitions as they are, for clusters of tests; the same one may come twice."""
    folder.mkdir(parents=True)
    for document in documents:
        text = json.dumps(document, sort_keys=True, separators=(",", ":")) + "\n"
        (folder / f"{document['metadata']['name']}.json").write_text(text)


def built_in_kinds(described: Schema, converted: Schema) -> Iterator[Kind]:
    """Yield the kinds that have objects of their own: no lists, no options of a request."""
    for name, schema in described.items():
        versions = schema.get("x-kubernetes-group-version-kind", [])
        metadata = schema.get("properties", {}).get("metadata", {})
        if len(versions) == 1 and metadata.get("$ref") == DEFINITIONS + OBJECT_META:
            key = versions[0]
            yield Kind(key["group"], key["version"], key["kind"], dict(converted[name]))


def custom_kinds(documents: Iterable[Any]) -> Iterator[Kind]:
    """Yield the served versions of the definitions among the documents."""
    for document in documents:
        spec = document["spec"]
        for version in spec["versions"]:
            if version["served"]:
                schema = convert(version["schema"]["openAPIV3Schema"])
                schema["properties"]["metadata"] = {"$ref": DEFINITIONS + OBJECT_META}
                yield Kind(spec["group"], version["name"], spec["names"]["kind"], schema)


def _write(path: Path, kind: Kind, definitions: Schema) -> None:
    """Write a schema that needs no other file."""
    schema = {"$schema": "http://json-schema.org/draft-04/schema#", **kind.schema}
    identity = {"apiVersion": {"enum": [kind.api_version]}, "kind": {"enum": [kind.name]}}
    schema["properties"] = {**schema["properties"], **identity}
    schema["required"] = sorted({*schema.get("required", []), *identity, "metadata"})
    schema["definitions"] = _reachable(schema, definitions)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        raise SystemExit(f"{path}: two kinds want this file")
    path.write_text(json.dumps(schema, sort_keys=True, separators=(",", ":")) + "\n")


def _reachable(schema: Schema, definitions: Schema) -> Schema:
    """Return the definitions that a schema leads to, which may lead to each other in circles."""
    found: Schema = {}
    waiting = [schema]
    while waiting:
        for name in _references(waiting.pop()):
            if name not in found:
                found[name] = definitions[name]
                waiting.append(definitions[name])
    return found


def _references(node: object) -> Iterator[str]:
    """Yield the definitions that a schema names; a field may be called $ref without being one."""
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    if isinstance(node, dict) and isinstance(node.get("$ref"), str):
        yield node["$ref"].removeprefix(DEFINITIONS)
    for child in children:
        yield from _references(child)


def _modules(go: str) -> dict[str, zipfile.Path]:
    """Download the modules that go.sum pins, a few seconds in all, and let Go verify them."""
    pins = [line.split() for line in PINS.read_text().splitlines() if "/go.mod " not in line]
    command = [go, "mod", "download", "-json", *(f"{path}@{version}" for path, version, _ in pins)]
    modules = {module["Path"]: module for module in _json_stream(_run(command))}
    for path, version, pin in pins:
        if modules[path]["Sum"] != pin:
            raise SystemExit(f"{path}@{version} has the hash {modules[path]['Sum']}, not {pin}")
    return {
        path: zipfile.Path(modules[path]["Zip"], f"{path}@{version}/") for path, version, _ in pins
    }


def _crds(module: zipfile.Path, folder: str, yaml2json: str) -> Iterator[Any]:
    """Yield the documents of a module's folder; Python's own library reads no YAML."""
    files = [file for file in (module / folder).iterdir() if file.suffix == ".yaml"]
    if not files:
        raise SystemExit(f"{module} has no YAML files in {folder}")
    yield from _documents(files, yaml2json)


def _documents(files: Iterable[Path | zipfile.Path], yaml2json: str) -> Iterator[Any]:
    """Yield the documents of some files."""
    for file in files:
        yield from _json_stream(_run([yaml2json], file.read_bytes()))


def _run(command: list[str], text: bytes = b"") -> str:
    """Return what a command prints."""
    done = subprocess.run(command, cwd=PINS.parent, input=text, capture_output=True, check=False)
    if done.returncode:
        raise SystemExit(f"{command[0]} failed:\n{(done.stdout + done.stderr).decode()}")
    return done.stdout.decode()


def _json_stream(text: str) -> Iterator[Any]:
    """Yield the JSON documents that stand one after the other in a text."""
    decoder = json.JSONDecoder()
    while text := text.lstrip():
        value, end = decoder.raw_decode(text)
        yield value
        text = text[end:]


if __name__ == "__main__":
    main()
