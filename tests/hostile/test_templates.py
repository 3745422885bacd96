"""Text of users is never run as a template: through every target it arrives byte for byte."""

import json
from pathlib import Path
from typing import Any

import pytest

from fleetform import emit, pipeline
from fleetform.plan.settings import PROMPT
from fleetform.platforms.kubernetes.build import Build
from fleetform.platforms.kubernetes.targets import helm
from fleetform.problems import errors
from tests.conformance import readers
from tests.fleet import API, write
from tests.hostile import hidden
from tests.hostile.templates import PAYLOADS
from tests.parity import charts
from tests.parity.exact import assert_same, by_identity
from tests.parity.objects import differences, of_text
from tests.tools import run

TEMPLATES = [text for group in PAYLOADS.values() for text in group]
# Beside them what hides from a reviewer: one word, one line, and a text of several lines.
HIDING = [
    *hidden.ALL.values(),
    " ".join(hidden.ALL.values()),
    *(f"First line.\n{text}\n  Last line.\n" for text in hidden.ALL.values()),
    *hidden.FINE,
    "First line.\n" + "\n".join(hidden.FINE) + "\n",
]
TEXTS = [*TEMPLATES, *HIDING]
SPACE = "default"
SUBSTITUTE = "kustomize.toolkit.fluxcd.io/substitute"
ENVIRONMENTS = {
    "base": {
        "abstract": True,
        "images": {"pins": {"fleetform/agent-runtime": {"tag": "1.0.0"}}},
    },
    "prod": {
        "extends": "base",
        "targets": ["manifests", "helm", "kustomize", "flux"],
        "gitops": {
            "way": "helm",
            "source": {"name": "f", "url": "https://git.example.com/f", "branch": "main"},
        },
    },
    "argo": {
        "extends": "base",
        "targets": ["manifests", "argocd"],
        "gitops": {
            "tool": "argocd",
            "source": {"url": "https://git.example.com/f", "tag": "v1"},
        },
    },
}


def document(kind: str, name: str, spec: dict[str, Any], text: str = "") -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name}
    if text:
        metadata["annotations"] = {"example.com/text": text}
    return {"apiVersion": API.split()[1], "kind": kind, "metadata": metadata, "spec": spec}


def agent(number: int, text: str) -> list[dict[str, Any]]:
    """Return an agent with the text wherever people may write some, and an image of one's own."""
    everywhere = {
        "description": text,
        "env": [{"name": "TEXT", "value": text}],
        "podTemplate": {"annotations": {"example.com/text": text}},
    }
    model = {"provider": "ollama", "name": "q", "endpoint": "https://models.example/v1"}
    generic = {"systemPrompt": text, "model": model, "auth": {"type": "none"}}
    container = {
        "image": {"repository": "a/b", "tag": "1"},
        "command": ["sh", text],
        "args": [text],
        "configFiles": {"a.txt": text},
    }
    return [
        document("Agent", f"generic-{number}", {**everywhere, **generic}, text),
        document("Agent", f"own-{number}", {**everywhere, "container": container}, text),
    ]


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    documents = [item for number, text in enumerate(TEXTS) for item in agent(number, text)]
    files = {
        f"environments/{name}.yaml": json.dumps(document("Environment", name, spec))
        for name, spec in ENVIRONMENTS.items()
    }
    stream = emit.emit_all(documents)  # what hides is written as escapes
    return write(tmp_path_factory.mktemp("templates"), {"agents/a.yaml": stream, **files})


def build(root: Path, environment: str) -> pipeline.Assembled:
    specs = pipeline.read([root / "agents"])
    made, problems = pipeline.judged(specs, root / "environments", environment)
    assert made is not None
    assert not errors(problems)
    return made


@pytest.fixture(scope="module")
def assembled(root) -> pipeline.Assembled:
    return build(root, "prod")


@pytest.fixture(scope="module")
def built(assembled) -> Build:
    return assembled.kubernetes


@pytest.fixture(scope="module")
def folders(assembled) -> dict[str, dict[str, str]]:
    return pipeline.texts(assembled)


def objects(files: dict[str, str]) -> dict[Any, Any]:
    return by_identity(
        text for path, text in files.items() if not path.endswith("kustomization.yaml")
    )


@pytest.fixture(scope="module")
def plain(folders) -> dict[Any, Any]:
    return objects(folders["rendered/prod"])


def test_the_corpus_is_large_enough():
    assert len(PAYLOADS) == 7
    assert len({*TEMPLATES}) >= 60
    assert len({*HIDING}) >= 80


def test_nothing_hides_in_what_is_rendered_for_any_target(folders):
    assert {name.partition("/")[0] for name in folders} == {
        "charts",
        "flux",
        "kustomize",
        "rendered",
    }
    raw = "".join(text for files in folders.values() for text in files.values())
    for text in (*hidden.HIDDEN.values(), *hidden.DIRECTIONS.values(), *hidden.MISPLACED.values()):
        assert text not in raw, ascii(text)
    for text in hidden.FINE:
        assert text in raw


def expanded(text: str) -> str:
    """Do what the kubelet does with env, command and args, for a container without variables."""
    found, at = "", 0
    while at < len(text):
        if text.startswith("$$", at):
            found, at = found + "$", at + 2
        elif text.startswith("$(", at) and ")" in text[at:]:
            end = text.index(")", at)
            found, at = found + f"<{text[at + 2 : end]}>", end + 1
        else:
            found, at = found + text[at], at + 1
    return found


def test_plain_manifests_carry_each_text_as_it_was_written(plain):
    configs = {}
    for (_, kind, _, name), item in plain.items():
        if kind == "ConfigMap":
            configs[name.rpartition("-config-")[0]] = item["data"]
    for number, text in enumerate(TEXTS):
        assert configs[f"generic-{number}"][PROMPT] == text
        assert configs[f"own-{number}"]["a.txt"] == text
        for name in (f"generic-{number}", f"own-{number}"):
            item = plain["apps/v1", "Deployment", SPACE, name]
            template = item["spec"]["template"]
            assert item["metadata"]["annotations"]["example.com/text"] == text
            assert template["metadata"]["annotations"]["example.com/text"] == text
            container = template["spec"]["containers"][0]
            (variable,) = [each for each in container["env"] if each["name"] == "TEXT"]
            assert expanded(variable["value"]) == text
        assert [expanded(word) for word in container["command"]] == ["sh", text]
        assert [expanded(word) for word in container["args"]] == [text]


def test_flux_is_told_to_substitute_nothing_in_what_holds_such_text(plain):
    for item in plain.values():
        body = json.dumps({key: value for key, value in item.items() if key != "metadata"})
        body += json.dumps(item["metadata"].get("annotations", {}))
        if "$" in body:
            assert item["metadata"]["annotations"][SUBSTITUTE] == "disabled"


@pytest.mark.parametrize("version", charts.EACH_HELM)
def test_helm_makes_the_same_objects(version, built, tmp_path):
    releases = helm.releases(built)
    units = {unit.workload: unit for unit in built.units if unit.namespace}
    documents = readers.go(emit.emit_all([release.document for release in releases]))
    root = charts.umbrella(tmp_path / "umbrella", "agent", documents)
    found = charts.template(version, root, SPACE, len(releases))
    assert len(found) == 2 * len(TEXTS)
    for release, theirs in zip(releases, found, strict=True):
        ours = of_text(emit.emit_all(list(units[release.name].objects)))
        assert differences(ours, theirs) == []


@pytest.mark.proof
def test_kustomize_makes_the_same_objects(folders, plain, tmp_path):
    for folder, files in folders.items():
        write(tmp_path / folder, files)
    for folder in ("kustomize/overlays/prod", "rendered/prod"):
        done = run("kustomize", "build", tmp_path / folder)
        assert (done.returncode, done.stderr) == (0, "")
        assert_same(by_identity([done.stdout]), plain)


def test_the_releases_of_flux_carry_the_values_of_helm(built, folders):
    made = objects(folders["flux/prod"]).values()
    releases = {item["metadata"]["name"]: item for item in made if item["kind"] == "HelmRelease"}
    for release in helm.releases(built):
        found = releases[release.name]
        assert found["metadata"]["annotations"][SUBSTITUTE] == "disabled"
        wanted = readers.go(emit.emit_all([release.document]))[0]
        assert json.dumps(found["spec"]["values"], sort_keys=True) == json.dumps(
            wanted, sort_keys=True
        )


def test_argo_cd_applies_the_same_plain_manifests(root, plain):
    other = build(root, "argo")
    made = pipeline.texts(other)
    for key, item in objects(made["rendered/argo"]).items():
        if key[1] == "ConfigMap":
            assert item["data"] == plain[key]["data"]
        if key[1] == "Deployment":
            assert item["spec"] == plain[key]["spec"]
    applications = "".join(made["argocd/argo"].values())
    assert not any(text in applications for text in TEXTS)
