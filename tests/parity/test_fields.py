"""Each field of a plan changes Helm's output exactly when it changes ours: parity on every turn."""

import pytest

from fleetform import emit
from fleetform.platforms.kubernetes import alerts, podfields
from fleetform.platforms.kubernetes.model import NamespacePlan, WorkloadPlan
from fleetform.platforms.kubernetes.objectives import Objective
from fleetform.platforms.kubernetes.objects import namespace_objects, workload_objects
from fleetform.platforms.kubernetes.targets import values
from tests.conformance import readers
from tests.parity import charts, plans
from tests.parity.objects import differences, of_text

in_both_helms = pytest.mark.parametrize("helm_version", charts.EACH_HELM)
# Fields that follow from others: no plan has another value for them.
DERIVED = {
    "namespace",
    "config.name",
    "config.data",
    "config.digest",
    "config.directory",
    "config.settings",
    "rbac.name",
}


OWN_THRESHOLDS = (
    {"a": {"errorRatio": 0.001}},
    {name: {"errorRatio": 0.375, "readyRatio": 0.9} for name in ("a", "b-1", "c")},
    {"a": dict.fromkeys(alerts.THRESHOLDS, 0.25), "b": {"readyRatio": 0.999}, "c": {}},
)


PROMISED = {
    "c-2": Objective(99.5, None, "", 20, 30),
    "b": Objective(None, 95, "30.0", 1, 28),
    "a": Objective(99, 94.125, "0.25", 1_000_000, 90),
    "d": Objective(99.999, 99.999, "3600.0", 12, 31),
}


def test_every_field_of_a_workload_is_turned():
    assert {*plans.fields(WorkloadPlan)} - plans.INTERNAL <= {*plans.TURNS} | SAME_PARTS
    idle = {path for path, (_, given) in plans.TURNS.items() if not [*given]}
    assert idle == DERIVED


# Readiness and liveness are probes like the first, turned as a whole.
SAME_PARTS = {
    f"{probe}.{part}"
    for probe in ("readiness", "liveness")
    for part in (
        *("path", "port", "period", "timeout", "failures", "initial_delay"),
        *("command", "grpc", "service"),
    )
}


def test_every_plain_field_of_a_pod_is_turned():
    assert [*plans.POD_FIELDS] == [*podfields.PLAIN]


def test_every_field_of_a_namespace_is_turned():
    assert {*plans.fields(NamespacePlan)} == {*plans.SPACE_TURNS}


def test_every_field_shows_in_our_objects():
    shown = {path for path, before, after in plans.turned() if text(before) != text(after)}
    assert shown == {*plans.TURNS} - DERIVED


def text(plan: WorkloadPlan) -> str:
    return emit.emit_all(list(workload_objects(plan)))


@in_both_helms
def test_helm_follows_every_turn_of_a_workload(helm_version, tmp_path):
    turned = [("base", plan) for plan in (plans.BASE, plans.OWN, plans.HPA, plans.KEDA)]
    turned += [("stateful", plans.STATEFUL), ("ingress", plans.ISSUED), ("box", plans.SANDBOXED)]
    turned += [(path, after) for path, _, after in plans.turned()]
    turned += [("config.data", plan) for plan in plans.own_files()]
    turned += [("canary", plan) for plan in plans.stepped()]
    turned += [("job", plan) for plan in plans.jobs()]
    documents = readers.go(emit.emit_all([values.of_workload(plan) for _, plan in turned]))
    root = charts.umbrella(tmp_path, "agent", documents)
    found = charts.template(helm_version, root, "space", len(turned))
    wrong = [
        f"{path}: {line}"
        for (path, plan), theirs in zip(turned, found, strict=True)
        for line in differences(of_text(text(plan)), theirs)
    ]
    assert not wrong, "\n".join(wrong)


@in_both_helms
def test_helm_follows_every_turn_of_a_namespace(helm_version, tmp_path):
    own = plans.SPACE._replace(alerts=tuple(alerts.groups("space")))
    turned = [("base", plans.SPACE), ("alerts", own)]
    for name, value in (*((name, 0.375) for name in alerts.THRESHOLDS), ("errorRatio", 0.001)):
        chosen = {**alerts.THRESHOLDS, name: value}
        found = tuple(alerts.groups("space", thresholds=chosen))
        assert found != own.alerts, name
        turned.append((name, own._replace(alerts=found, alert_thresholds=chosen)))
    for given in OWN_THRESHOLDS:
        found = tuple(alerts.groups("space", own=given))
        assert found != own.alerts, given
        turned.append(("own", own._replace(alerts=found, own_thresholds=given)))
    loud = {"page": "p1", "ticket": "p3"}
    for part in (
        {"severities": loud},
        {"runbooks": "https://x.example/a.md"},
        {"objectives": PROMISED},
        {"budget": 250},
        {"budget": 0.125, "severities": loud},
        {"budget": 100000, "objectives": PROMISED},
        {"objectives": {"a": PROMISED["c-2"]}, "severities": loud, "runbooks": "https://x/{alert}"},
        {"runbooks": "https://x.example/{alert}#{alert}"},
    ):
        keywords = {**part, "promised": part.get("objectives", {})}
        keywords.pop("objectives", None)
        found = tuple(alerts.groups("space", **keywords))
        assert found != own.alerts, part
        turned.append(("own", own._replace(alerts=found, **part)))
    turned += [
        (field, plans._with(plans.SPACE, field, value))
        for field, given in plans.SPACE_TURNS.items()
        for value in given
    ]
    documents = readers.go(emit.emit_all([values.of_namespace(plan) for _, plan in turned]))
    root = charts.umbrella(tmp_path, "namespace", documents)
    found = charts.template(helm_version, root, "space", len(turned))
    wrong = [
        f"{field}: {line}"
        for (field, plan), theirs in zip(turned, found, strict=True)
        for line in differences(of_text(emit.emit_all(list(namespace_objects(plan)))), theirs)
    ]
    assert not wrong, "\n".join(wrong)
