"""What a spec patches: nothing in any object but the places of the table, whatever its operations are."""

import json
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetform.platforms.kubernetes import obeyed, patchable
from fleetform.platforms.kubernetes.kinds import KINDS
from fleetform.platforms.kubernetes.model import FleetPlan, ObjectPatch
from fleetform.platforms.kubernetes.objects import build, patches, workload_objects
from fleetform.platforms.kubernetes.objects.judged import validator
from fleetform.problems import Mark
from fleetform.tree import leaves
from tests.fleet import AGENT, API, GOOD, fleetform, write
from tests.parity import plans

MARK = Mark("a.yaml", 3, 5, 3, 5)
SIGNED = plans.KEDA.keda._replace(triggers=(plans.SIGNED,))
CLUSTER = plans.BASE.rbac._replace(cluster=True, name="space:base")
PLANS = (
    plans.BASE,
    plans.STATEFUL,
    plans.HPA,
    plans.KEDA._replace(keda=SIGNED),
    plans.ISSUED,
    plans.BASE._replace(rbac=CLUSTER),
    plans.JOB._replace(schedule="0 3 * * *"),
)


@cache
def objects():
    """Return one object of each kind that a workload has, by kind, and the plan that builds it."""
    return {item["kind"]: (plan, item) for plan in PLANS for item in workload_objects(plan)}


def escaped(path):
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)


def patched(kind, operations, merge=None):
    """Return what a spec's patch makes of an object of a kind, and what is said of it."""
    plan, built = objects()[kind]
    name = built["metadata"]["name"]
    patch = ObjectPatch("Agent a", kind, name, "", {}, merge, tuple(operations), MARK, "p")
    fleet = FleetPlan(
        "prod", (plan._replace(patches=(patch,)),), (), (), (), "", "", kustomization=False
    )
    done = patches.apply(fleet, build(fleet))
    (found,) = [
        item
        for unit in done.units
        for item in unit.objects
        if item["kind"] == kind and item["metadata"]["name"] == name
    ]
    return built, found, {problem.code for problem in done.problems}


def test_the_plans_build_every_kind_that_a_workload_has():
    own = {kind.kind for kind in KINDS if kind.workload}
    also = {"RoleBinding", "ClusterRoleBinding", "ClusterRole", "TriggerAuthentication"}
    # Objects that only an environment switches on are nobody's to patch but its own.
    assert objects().keys() >= (own | also) - {"Rollout", "SandboxTemplate"}
    assert objects().keys() >= patchable.PLACES.keys()


def other(value):
    return {str: f"{value}x", int: 7, bool: value is False}.get(type(value), "x")


@pytest.mark.parametrize("kind", [kind.kind for kind in KINDS if kind.kind in objects()])
def test_no_leaf_of_an_object_is_a_specs_but_those_of_the_table(kind):
    _, built = objects()[kind]
    for path, value in leaves(built):
        if patchable.allows(kind, path, added=False):
            continue
        where = escaped(path)
        for operation in (
            {"op": "replace", "path": where, "value": other(value)},
            {"op": "replace", "path": where, "value": {"x": "y"}},
            {"op": "remove", "path": where},
        ):
            _, found, codes = patched(kind, [operation])
            assert codes & {"object-patch-place", "object-patch-identity"}, operation
            assert found == built


@pytest.mark.parametrize("kind", [kind.kind for kind in KINDS if kind.kind in objects()])
def test_nothing_is_added_anywhere_but_at_the_places_of_the_table(kind):
    _, built = objects()[kind]
    inner = {path[:depth] for path, _ in leaves(built) for depth in range(len(path))}
    for path in inner:
        node = built
        for step in path:
            node = node[step]
        values = ({}, None, {"x": 1}, "x")
        for value in values:
            place = (*path, "-" if isinstance(node, list) else "unheard")
            if patchable.allows(kind, place):
                continue
            operation = {"op": "add", "path": escaped(place), "value": value}
            _, found, codes = patched(kind, [operation])
            assert "object-patch-place" in codes, operation
            assert found == built


@pytest.mark.parametrize(
    "key",
    ["sidecar.istio.io/inject", "app.kubernetes.io/name", "k8s.v1.cni.cncf.io/networks", "app"],
)
def test_a_key_that_somebody_obeys_is_not_patched_into_metadata(key):
    for path in (("metadata", "labels"), ("spec", "template", "metadata", "labels")):
        merge = {key: "x"}
        for step in reversed(path):
            merge = {step: merge}
        _, _, codes = patched("Deployment", (), merge)
        assert "object-patch-place" in codes


PLACES = [(kind, place) for kind in patchable.PLACES for place in patchable.PLACES[kind]]
VALUES = {
    "behavior": ("scaleDown", {"stabilizationWindowSeconds": 5}),
    "sessionAffinityConfig": ("clientIP", {"timeoutSeconds": 9}),
    "terminationMessagePath": "/dev/x",
    "terminationMessagePolicy": "FallbackToLogsOnError",
    "sessionAffinity": "ClientIP",
    "internalTrafficPolicy": "Local",
    "interval": "31s",
    "scrapeTimeout": "3s",
}


@pytest.mark.parametrize(("kind", "place"), PLACES, ids=str)
def test_every_place_of_the_table_can_be_patched_and_is_valid_for_its_kind(kind, place):
    steps = [0 if step == patchable.ITEM else step for step in place]
    only_once = steps[-2:] in (
        ["livenessProbe", "successThreshold"],
        ["startupProbe", "successThreshold"],
    )
    value = 1 if only_once else VALUES.get(steps[-1], 9)
    if steps[-1] == patchable.KEY:
        steps[-1], value = "example.com/x", "y"
    if steps[-1] == patchable.REST:
        steps[-1], value = VALUES[steps[-2]]
    _, built = objects()[kind]
    operations, node = [], built
    for depth, step in enumerate(steps[:-1]):  # what leads there may be missing
        known = node[step] if isinstance(node, list) else (node or {}).get(step)
        if known is None:
            operations.append({"op": "add", "path": escaped(steps[: depth + 1]), "value": {}})
        node = known
    last = {"op": "add", "path": escaped(steps), "value": value}
    _, found, codes = patched(kind, [*operations, last])
    assert codes == set()
    assert found != built
    assert validator(kind).is_valid(found)


@st.composite
def operations(draw):
    kind = draw(st.sampled_from(sorted(objects())))
    paths = [path for path, _ in leaves(objects()[kind][1])]
    everywhere = sorted({escaped(path[:depth]) for path in paths for depth in range(len(path) + 1)})
    where = st.sampled_from(everywhere).flatmap(
        lambda path: st.sampled_from([path, f"{path}/-", f"{path}/0", f"{path}/example.com~1k"])
    )
    value = st.sampled_from([None, {}, [], "x", 1, {"a": "b"}, [{}]])
    return kind, draw(
        st.lists(
            st.one_of(
                st.fixed_dictionaries(
                    {"op": st.sampled_from(["add", "replace"]), "path": where, "value": value}
                ),
                st.fixed_dictionaries(
                    {"op": st.sampled_from(["move", "copy"]), "path": where, "from": where}
                ),
                st.fixed_dictionaries({"op": st.just("remove"), "path": where}),
            ),
            min_size=1,
            max_size=5,
        )
    )


@given(operations())
def test_whatever_a_spec_patches_all_else_stays_as_it_was_built(made):
    kind, given_operations = made
    built, found, codes = patched(kind, given_operations)
    allowed = {place for place, _ in leaves(found) if patchable.allows(kind, place, added=True)} | {
        place for place, _ in leaves(built) if patchable.allows(kind, place, added=False)
    }

    def rest(item):
        return {
            place: json.dumps(leaf)
            for place, leaf in leaves(item)
            if place not in allowed and leaf != {}
        }

    assert rest(found) == rest(built)
    if codes & {"object-patch-place", "object-patch-identity"}:
        assert found == built or codes == {"object-patch-identity"}


# -- keys that are obeyed ------------------------------------------------------------------------

OBEYED = (
    "container.apparmor.security.beta.kubernetes.io/agent",
    "seccomp.security.alpha.kubernetes.io/pod",
    "k8s.v1.cni.cncf.io/networks",
    "v1.multus-cni.io/default-network",
    "sidecar.istio.io/inject",
    "linkerd.io/inject",
    "vault.hashicorp.com/agent-inject",
    "azure.workload.identity/use",
    "iam.amazonaws.com/role",
    "io.kubernetes.cri-o.userns-mode",
    "io.katacontainers.config.hypervisor.path",
    "instrumentation.opentelemetry.io/inject-python",
    "ad.datadoghq.com/agent.checks",
    "policies.kyverno.io/exclude",
    "keel.sh/policy",
    "argocd.argoproj.io/sync-options",
    "kustomize.toolkit.fluxcd.io/prune",
    "acme.example/inject-proxy",
    "ISTIO.IO/rev",
)
FREE = (
    "example.com/tier", "team", "prometheus.io/scrape", "acme.com/owner", "kubernetes.io/change-cause",
    "cluster-autoscaler.kubernetes.io/safe-to-evict", "notistio.io.example/x", "mykubernetes.io/x",
)  # fmt: skip


@pytest.mark.parametrize("field", ["metadata.annotations", "podTemplate.annotations"])
@pytest.mark.parametrize("key", OBEYED)
def test_a_spec_sets_no_annotation_that_somebody_obeys(key, field, tmp_path):
    assert obeyed.decides(key)
    text = {
        "metadata.annotations": AGENT.replace(
            "{name: helper}", f'{{name: helper, annotations: {{"{key}": "x"}}}}'
        ),
        "podTemplate.annotations": f'{AGENT}  podTemplate: {{annotations: {{"{key}": "x"}}}}\n',
    }[field]
    done = fleetform("render", cwd=write(tmp_path, {**GOOD, "agents/a.yaml": text}))
    assert done.code == 1
    assert f"`{key}`" in done.err


@pytest.mark.parametrize("kind", ["Workflow", "WorkflowRun"])
@pytest.mark.parametrize("place", ["labels", "annotations"])
@pytest.mark.parametrize("key", OBEYED)
def test_a_workflow_and_its_runs_set_none_either(key, place, kind, tmp_path):
    """Their pods are pods like all others."""
    own = f", {place}: {{'{key}': x}}"
    names = {"Workflow": "", "WorkflowRun": "", kind: own}
    text = (
        f"{AGENT}---\n{API}\nkind: Workflow\nmetadata: {{name: w{names['Workflow']}}}\n"
        "spec: {steps: [{name: a, agent: helper, input: {message: hi}}]}\n"
        f"---\n{API}\nkind: WorkflowRun\nmetadata: {{name: r{names['WorkflowRun']}}}\nspec: {{workflowRef: {{name: w}}}}\n"
    )
    done = fleetform("render", cwd=write(tmp_path, {**GOOD, "agents/a.yaml": text}))
    assert done.code == 1
    assert f"error: metadata.{place}.{key}" in done.err


@pytest.mark.parametrize(
    "line",
    [
        "podTemplate: {annotations: {k8s.v1.cni.cncf.io/networks: x}}",
        "podTemplate: {priorityClassName: system-node-critical}",
        f"podTemplate: {{annotations: {{example.com/a: {'x' * 262_200}}}}}",
        "env: [{name: CRM_URL, value: 'http://crm.example.com'}, {name: CRM_TOKEN, valueFrom: {secretKeyRef: {name: s, key: k}}}]",
    ],
    ids=["annotation", "class", "long", "unencrypted"],
)
def test_the_pods_of_a_workflow_are_held_to_what_others_are(line, tmp_path):
    steps = "steps: [{name: a, agent: helper, input: {message: hi}}]"
    workflow = f"{API}\nkind: Workflow\nmetadata: {{name: w}}\nspec:\n  {steps}\n  {line}\n"
    done = fleetform(
        "render", cwd=write(tmp_path, {**GOOD, "agents/a.yaml": f"{AGENT}---\n{workflow}"})
    )
    assert done.code == 1
    assert f"error: spec.{line.partition(':')[0]}" in done.err


@pytest.mark.parametrize("key", FREE)
def test_a_key_that_only_describes_is_free(key):
    assert obeyed.decides(key) == ""


def test_the_environment_may_set_what_is_obeyed(tmp_path):
    patch = (
        "  defaults: {Agent: {podTemplate: {annotations: {sidecar.istio.io/inject: 'true'}}}}\n"
        "  patches:\n"
        "    - target: {kind: Agent}\n"
        "      spec: {podTemplate: {labels: {azure.workload.identity/use: 'true'}}}\n"
    )
    files = {**GOOD, "environments/prod.yaml": GOOD["environments/prod.yaml"] + patch}
    done = fleetform("render", cwd=write(tmp_path, files))
    assert done.code == 0, done.err
    rendered = (tmp_path / "rendered/prod/default/helper.yaml").read_text()
    assert "sidecar.istio.io/inject" in rendered
    assert "azure.workload.identity/use" in rendered


def test_a_specs_own_word_over_the_environments_is_the_specs(tmp_path):
    patch = "  defaults: {Agent: {podTemplate: {annotations: {sidecar.istio.io/inject: 'true'}}}}\n"
    own = f"{AGENT}  podTemplate: {{annotations: {{sidecar.istio.io/inject: 'false'}}}}\n"
    files = {"agents/a.yaml": own, "environments/prod.yaml": GOOD["environments/prod.yaml"] + patch}
    done = fleetform("render", cwd=write(tmp_path, files))
    assert done.code == 1
    assert "agents/a.yaml:8:" in done.err


@pytest.mark.parametrize("place", ["defaults", "patches"])
def test_object_patches_of_a_spec_that_the_environment_says_are_the_environments(place, tmp_path):
    body = {
        "objectPatches": [{"target": {"kind": "Service"}, "merge": {"spec": {"type": "NodePort"}}}]
    }
    said = {
        "defaults": {"Agent": body},
        "patches": [{"target": {"kind": "Agent"}, "spec": body}],
    }[place]
    text = f"{GOOD['environments/prod.yaml']}  {place}: {json.dumps(said)}\n"
    done = fleetform("render", cwd=write(tmp_path, {**GOOD, "environments/prod.yaml": text}))
    assert done.code == 0, done.err
    assert "type: NodePort" in (tmp_path / "rendered/prod/default/helper.yaml").read_text()
