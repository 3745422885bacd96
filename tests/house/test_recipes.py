"""Recipes: what each new thing needs beside its row or model; a place that is forgotten is named here.

CONTRIBUTING.md has the recipes, and how many files each costs.
"""

import re
from importlib import import_module, resources
from pathlib import Path
from typing import Any, get_args

import pytest

from fleetform import contract, kinds, patterns, targets
from fleetform.models import memory_store, model
from fleetform.models.tool import ToolSpec
from fleetform.models.workload import PodTemplate
from fleetform.plan.stores import STORES
from fleetform.plan.tools import WRITERS
from fleetform.platforms.kubernetes import podfields
from fleetform.platforms.kubernetes.kinds import KINDS, ObjectKind
from fleetform.platforms.kubernetes.objects import modules
from fleetform.platforms.kubernetes.targets import lenses, values
from fleetform.resolve.names import STORE_IMAGES
from tests.parity import plans

ROOT = Path(__file__).parents[2]
CHARTS = {
    chart: "".join(
        path.read_text("utf-8") for path in sorted((ROOT / "charts" / chart).glob("templates/*.*"))
    )
    for chart in ("agent", "namespace")
}

CLUSTER = (ROOT / "tools/cluster.py").read_text("utf-8")

# -- a field that a pod takes as it is -----------------------------------------------------------


@pytest.mark.parametrize("name", podfields.PLAIN)
def test_a_plain_field_of_a_pod_is_everywhere(name):
    aliases = {field.alias for field in PodTemplate.model_fields.values()}
    assert name in aliases, "models/workload.py: PodTemplate has no such field"
    assert name in values.defaults("agent"), "charts/agent/values.yaml has no such value"
    assert f".Values.{name}" in CHARTS["agent"], "charts/agent/templates/_pod.tpl does not use it"
    assert name in plans.POD_FIELDS, "tests/parity/plans.py: POD_FIELDS turns it to nothing"


# -- a kind of object ----------------------------------------------------------------------------

of_each_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
IN_THE_CHART = {"Namespace": "whoever installs a chart makes its namespace"}
"""Kinds that no chart makes, and why."""


@of_each_kind
def test_a_kind_of_object_is_everywhere(kind):
    schema = ROOT / "schemas/objects" / f"{kind.kind.lower()}.json"
    assert schema.is_file(), "run `make charts`"
    assert kind.made_by
    assert kind.when
    if kind.kind not in IN_THE_CHART:
        text = CHARTS["agent"] + CHARTS["namespace"]
        made = rf"kind: ({kind.kind}\b|\{{\{{.*\}}\}})"
        assert re.search(made, text), "no template of charts/ makes it"
    if kind.custom:
        name = f'"{kind.resource}.{kind.group}"'
        assert name in CLUSTER, "tools/cluster.py: DEFINED has no definition of it"


@of_each_kind
def test_what_a_patch_changes_in_a_kind_reaches_helm_or_is_refused(kind):
    known = lenses.of_kinds("workload") | lenses.of_kinds("namespace")
    assert kind.kind in known or kind.kind in NO_LENS, (
        "say in its module's LENSES which values its places are, or here why there are none"
    )
    assert not (kind.kind in known and kind.kind in NO_LENS)


NO_LENS = {
    "Namespace": "no chart makes it",
    "RoleBinding": "patches of bindings are refused",
    "ClusterRoleBinding": "patches of bindings are refused",
    "ConfigMap": "it is immutable, and named by its content",
    "CronJob": "its pods cannot be changed, and it is named by their content",
    "Job": "its pods cannot be changed, and it is named by their content",
    "AnalysisTemplate": "its value is what it asks for, not the query",
    "Rollout": "its values are steps, each of which makes several of its own",
    "TriggerAuthentication": "it follows from the triggers",
    "ExternalSecret": "its values are lists of whole secrets",
    "PersistentVolumeClaim": "its values are lists of whole claims",
}


@pytest.mark.parametrize("owner", ["workload", "namespace"])
def test_every_module_of_a_kind_builds_and_has_values(owner):
    for module in modules(owner):
        assert callable(module.build)
        assert hasattr(module, "values") or module.__name__.endswith("statefulset"), module.__name__


@pytest.mark.parametrize(
    ("chart", "whole"),
    [
        ("agent", lambda: values.whole_workload(plans.BASE)),
        ("namespace", lambda: values.whole_namespace(plans.SPACE)),
    ],
)
def test_every_value_of_a_chart_comes_from_the_plan(chart, whole):
    wanted = whole()
    assert wanted.keys() == values.defaults(chart).keys()


def test_builders_and_kinds_are_the_same():
    named = {getattr(kind, owner) for kind in KINDS for owner in ("workload", "namespace")} - {""}
    folder = ROOT / "generator/fleetform/platforms/kubernetes/objects"
    others = {
        "__init__",
        "admission",
        "changes",
        "counted",
        "judged",
        "manifest",
        "namespace",
        "operations",
    }
    others |= {"patches", "pod", "pod_security", "provided", "refused"}
    assert {path.stem for path in folder.glob("*.py")} - others == named


# -- a memory store ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", contract.STORES)
def test_a_store_that_the_runtime_has_can_be_asked_for(name):
    assert name in get_args_of(memory_store.MemoryType)
    if name in contract.STORE_PORTS:
        assert name in memory_store.Storage.model_fields, "models/memory_store.py: no section"
        assert name in STORES, "plan/stores.py: no row"
        assert name in STORE_IMAGES, "resolve/names.py: no image"


def test_no_store_is_described_that_the_runtime_does_not_have():
    assert {*STORES} == {*STORE_IMAGES} == {*contract.STORE_PORTS}


# -- a type of tools -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", kinds.TOOL_TYPES)
def test_a_type_of_tools_has_a_section_and_is_written(name):
    assert name in ToolSpec.model_fields, "models/tool.py: no section"
    assert name in WRITERS, "plan/tools.py: no writer"
    assert name in contract.TOOLS, "sections/tools.py of the runtime: no such type"


# -- a model provider ----------------------------------------------------------------------------


def test_every_provider_of_the_runtime_can_be_asked_for():
    field = model("ModelConfig").model_fields["spec"].annotation.model_fields["provider"]
    assert get_args_of(field.annotation) == contract.PROVIDERS


# -- a target ------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", targets.TARGETS, ids=lambda target: target.name)
def test_a_target_is_everywhere(target):
    assert callable(targets.module(target.name).folders)
    assert callable(import_module(f"fleetform.platforms.{target.platform}.build").build)
    pages = "".join(path.read_text("utf-8") for path in (ROOT / "docs").glob("*.md"))
    assert re.search(rf"(target|targets)[^\n]*`?{target.name}`?", pages), (
        "docs/ does not tell of it"
    )
    environments = [
        *(ROOT / "environments").glob("*.yaml"),
        *(ROOT / "tests/golden").glob("*/environments/*.yaml"),
    ]
    assert any(re.search(rf"\b{target.name}\b", file.read_text("utf-8")) for file in environments)


# -- a kind of specs -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", kinds.ALL, ids=lambda kind: kind.name)
def test_a_kind_of_specs_is_what_its_row_says(kind):
    found = model(kind.name)
    assert found.model_fields["spec"].annotation.__name__ == kind.spec
    assert resources.files("fleetform").joinpath(f"schemas/{kind.name.lower()}.json").is_file()
    specs = (ROOT / "docs/specs.md").read_text("utf-8")
    assert kind.name in specs, "docs/specs.md does not tell of it"


def get_args_of(annotated: Any) -> tuple[str, ...]:
    """Return the words of `Annotated[str, OneOf(...)]`, optional or not."""
    for part in get_args(annotated):
        if hasattr(part, "words"):
            return tuple(part.words)
        found = get_args_of(part)
        if found:
            return found
    return ()


def test_a_kind_without_a_row_is_unknown_everywhere():
    """The tests above would not see a list that somebody keeps beside the tables."""
    words = {kind.kind for kind in KINDS if isinstance(kind, ObjectKind)}
    source = ROOT / "generator/fleetform"
    lists = [
        (path.relative_to(ROOT).as_posix(), number)
        for path in source.rglob("*.py")
        if path.name != "kinds.py"
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if sum(f'"{word}"' in line for word in words) > 3
    ]
    assert lists == [], "derive it from platforms/kubernetes/kinds.py"


def test_every_kind_that_patches_change_can_be_their_target():
    assert f"^({'|'.join(sorted(kinds.PATCHED))})$" == patterns.PATCHED
