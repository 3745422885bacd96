"""`kustomize build` of base and overlay makes exactly the plain manifests, and says nothing."""

import copy
import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given

from fleetform import pipeline
from fleetform.emit import emit_all
from fleetform.platforms.kubernetes.build import Base, Build
from fleetform.platforms.kubernetes.model import FleetPlan
from fleetform.platforms.kubernetes.objects import Unit
from fleetform.platforms.kubernetes.targets import kustomize
from fleetform.problems import SpecError, errors
from tests import generated
from tests.conformance import readers, rendered
from tests.fleet import write
from tests.parity import mutations
from tests.parity.exact import SEEDS, assert_same, by_chance, by_identity
from tests.tools import ROOT, run

seeds = given(SEEDS)
in_each_environment = pytest.mark.parametrize("environment", rendered.ENVIRONMENTS)
KUSTOMIZATIONS = sorted(
    path.parent.relative_to(ROOT).as_posix()
    for path in ROOT.glob("kustomize/**/kustomization.yaml")
)


def build(folder: Path) -> str:
    """Build as a person would: no option lifts the load restrictor."""
    done = run("kustomize", "build", folder)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def plain(folder: Path) -> dict:
    files = rendered.object_files(folder)
    return by_identity(file.read_text("utf-8") for file in files)


# -- the example fleet ---------------------------------------------------------------------------


@in_each_environment
def test_an_environments_overlay_makes_its_plain_manifests(environment):
    made = by_identity([build(ROOT / "kustomize/overlays" / environment)])
    assert_same(made, plain(ROOT / "rendered" / environment))


@pytest.mark.proof
@in_each_environment
def test_kubectl_makes_the_same_of_it(environment):
    done = run("kubectl", "kustomize", ROOT / "kustomize/overlays" / environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert_same(by_identity([done.stdout]), plain(ROOT / "rendered" / environment))


@pytest.mark.parametrize("folder", KUSTOMIZATIONS)
def test_each_kustomization_builds_alone(folder):
    assert by_identity([build(ROOT / folder)])


@in_each_environment
def test_the_workloads_one_by_one_are_the_whole(environment):
    top = ROOT / "kustomize/overlays" / environment
    made = [build(path.parent) for path in sorted(top.glob("*/*/kustomization.yaml"))]
    assert_same(by_identity(made), plain(ROOT / "rendered" / environment))


def test_no_field_is_deprecated():
    known = {"apiVersion", "kind", "resources", "namespace", "labels", "images", "replicas"}
    for folder in KUSTOMIZATIONS:
        (body,) = readers.go((ROOT / folder / "kustomization.yaml").read_text("utf-8"))
        assert body.keys() <= known | {"patches"}, folder


# -- fleets by chance ----------------------------------------------------------------------------


@by_chance()
@seeds
def test_any_fleet_is_the_same_through_its_overlay(seed):
    with TemporaryDirectory() as name:
        root = write(Path(name), generated.layered(seed))
        _render_and_compare(root)


def _render_and_compare(root: Path) -> None:
    try:
        rendering = pipeline.render(
            [root / "agents"], root / "environments", "prod", ["manifests", "kustomize"]
        )
    except SpecError as error:
        raise AssertionError(errors(error.problems)) from None
    for folder, texts in rendering.folders.items():
        write(root / "out" / folder, texts)
    made = build(root / "out/kustomize/overlays/prod")
    assert build(root / "out/kustomize/base")
    assert_same(by_identity([made]), by_identity(_texts(rendering.folders["rendered/prod"])))


def _texts(files: Mapping[str, str]) -> Iterator[str]:
    return (text for path, text in files.items() if not path.endswith("kustomization.yaml"))


BOUND = """\
apiVersion: fleetform.dev/v1alpha1
kind: MCPServer
metadata: {{name: {name}}}
spec:
  rbac: {{scope: {scope}, rules: [{{apiGroups: [""], resources: [services], verbs: [get]}}]}}
  container: {{image: {{repository: example/own, tag: "1"}}, ports: [{{name: http, containerPort: 80}}]}}
"""
ACCOUNTS = {"own": "", "existing": "robot", "ours": "default", "own-in-prod": "other"}


@pytest.mark.parametrize("scope", ["namespace", "cluster"])
def test_bindings_name_accounts_where_they_are_whoever_made_them(scope, tmp_path):
    servers = [BOUND.format(name=name, scope=scope) for name in ACCOUNTS]
    header = "apiVersion: fleetform.dev/v1alpha1\nkind: Environment\nmetadata: "
    named = ", ".join(
        f"{{target: {{kind: MCPServer, name: {name}}}, spec: {{serviceAccount: {account}}}}}"
        for name, account in ACCOUNTS.items()
        if account
    )
    base = header + f"{{name: base}}\nspec: {{abstract: true, patches: [{named}]}}\n"
    prod = """{name: prod}
spec:
  extends: base
  namespaces: {suffix: -prod}
  patches: [{target: {kind: MCPServer, name: own-in-prod}, spec: {serviceAccount: null}}]
"""
    files = {"agents/a.yaml": "---\n".join(servers), "environments/base.yaml": base}
    root = write(tmp_path, {**files, "environments/prod.yaml": header + prod})
    _render_and_compare(root)


@by_chance()
@seeds
def test_any_object_becomes_any_other_of_its_name(seed):
    """More than plans can say: what an object patch may do one day."""
    chance = random.Random(seed)
    base, units, spaces = [], [], {}
    for number, objects in enumerate(chance.sample(POOL, 8)):
        old, new = f"s{number}", f"s{number}{chance.choice(['', '-dev'])}"
        spaces[new] = old
        base.append(Unit(old, "it", "x", _placed(chance, objects, old)))
        wanted = _placed(chance, objects, new)
        changed = (mutations.changed(chance, item, chance.randint(0, 3)) for item in wanted)
        units.append(Unit(new, "it", "x", tuple(changed)))
    plan = FleetPlan("e", (), (), (), (), "charts", "", kustomization=False)
    built = Build(plan, tuple(units), lambda: Base(tuple(base), spaces))
    made = kustomize.folders(built)
    with TemporaryDirectory() as name:
        for folder, files in made.items():
            write(Path(name) / folder, {path: file.text for path, file in files.items()})
        text = build(Path(name) / "kustomize/overlays/e")
    assert_same(
        by_identity([text]), by_identity([emit_all(item for u in units for item in u.objects)])
    )


def _pool() -> Iterator[list]:
    for environment in rendered.ENVIRONMENTS:
        for file in rendered.object_files(ROOT / "rendered" / environment):
            objects = readers.go(file.read_text("utf-8"))
            if objects[0]["kind"] != "Namespace":
                yield [item for item in objects if "namespace" in item["metadata"]]


POOL = [*_pool()]


def _placed(chance: random.Random, objects: list, namespace: str) -> tuple:
    """Return some of the objects, at least one, in a namespace."""
    some = [item for item in objects if chance.random() < 0.9] or objects[:1]
    return tuple(
        {**item, "metadata": {**item["metadata"], "namespace": namespace}}
        for item in copy.deepcopy(some)
    )
