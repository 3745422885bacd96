"""KEDA makes of every ScaledObject the HorizontalPodAutoscaler that it stands for."""

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from fleetform.quantity import parse
from tests.cluster import fleet
from tests.cluster.plane import Object, Plane
from tests.fleet import fleetform
from tests.operators.backends import BROKEN, Backend
from tests.operators.conftest import Applied, apply
from tests.operators.fleets import CRON, render, scaled, trigger
from tests.tools import ROOT

Metadata = dict[str, str]


def _cron(metadata: Metadata) -> str:
    """KEDA spells the times without blanks and stars."""
    times = [metadata[key].replace(" ", "").replace("*", "x") for key in ("start", "end")]
    return "-".join(["cron", metadata["timezone"], *times])


# What a trigger's metric is called after its number, and which parameter is its target.
EXTERNAL: dict[str, tuple[Callable[[Metadata], str], str]] = {
    "prometheus": (lambda _: "prometheus", "threshold"),
    "redis": (lambda own: f"redis-{own['listName']}", "listLength"),
    "redis-streams": (lambda own: f"redis-streams-{own['stream']}", "streamLength"),
    "rabbitmq": (lambda own: f"rabbitmq-{own['queueName']}", "value"),
    "aws-sqs-queue": (lambda own: "aws-sqs-" + own["queueURL"].rpartition("/")[2], "queueLength"),
    "gcp-pubsub": (lambda own: f"gcp-ps-{own['subscriptionName']}", "value"),
    "postgresql": (lambda _: "postgresql", "targetQueryValue"),
    "metrics-api": (
        lambda own: "metric-api-" + own["valueLocation"].replace(".", "-"),
        "targetValue",
    ),
    "nats-jetstream": (lambda own: f"nats-jetstream-{own['stream']}", "lagThreshold"),
}


def expected_metrics(item: Object) -> list[Object]:
    """Return what an HPA must be told for the triggers of a ScaledObject."""
    triggers = item["spec"]["triggers"]
    return [_metric(item, number, each) for number, each in enumerate(triggers)]


def _metric(item: Object, number: int, each: Object) -> Object:
    own = each["metadata"]
    if each["type"] in ("cpu", "memory"):
        return _resource(each["type"], each["metricType"], own)
    if each["type"] == "cron":
        name, target = _cron(own), "1"
    elif each["type"] == "kubernetes-workload":
        name, target = f"workload-{item['metadata']['namespace']}", own["value"]
    else:
        called, parameter = EXTERNAL[each["type"]]
        name, target = called(own), own[parameter]
    kind = each.get("metricType", "AverageValue")
    field = "averageValue" if kind == "AverageValue" else "value"
    selector = {"matchLabels": {"scaledobject.keda.sh/name": item["metadata"]["name"]}}
    return {
        "type": "External",
        "external": {
            "metric": {"name": f"s{number}-{name}", "selector": selector},
            "target": {"type": kind, field: parse(target)},
        },
    }


def _resource(name: str, kind: str, own: Metadata) -> Object:
    target: Object = {"type": kind}
    if kind == "AverageValue":
        target["averageValue"] = parse(own["value"])
    else:
        target["averageUtilization"] = int(own["value"])
    body: Object = {"name": name, "target": target}
    if "containerName" in own:
        body["container"] = own["containerName"]
        return {"type": "ContainerResource", "containerResource": body}
    return {"type": "Resource", "resource": body}


def exact(tree: Any) -> Any:
    """Return a part of an HPA with quantities as numbers."""
    return json.loads(json.dumps(tree), object_hook=_numbers)


def _numbers(found: Object) -> Object:
    quantities = {"averageValue", "value", "tolerance"}
    return {
        key: parse(value) if key in quantities and isinstance(value, str) else value
        for key, value in found.items()
    }


def order(metrics: list[Object]) -> list[Object]:
    return sorted(metrics, key=lambda each: json.dumps(each, sort_keys=True, default=str))


def condition(plane: Plane, item: Object, kind: str) -> dict[str, str]:
    metadata = item["metadata"]
    (live,) = plane.get("scaledobject", metadata["name"], "-n", metadata["namespace"])
    found = live.get("status", {}).get("conditions", ())
    return next((each for each in found if each["type"] == kind), {"status": "Unknown"})


class Verdict(NamedTuple):
    """What KEDA says of a ScaledObject."""

    status: str
    reason: str
    message: str = ""


READY = Verdict("True", "ScaledObjectReady")
# Clouds and brokers that cannot be had on one machine: how far KEDA gets, and what it says.
WITHOUT_BACKEND = {
    # It asks the brokers before it makes an HPA.
    "kafka": Verdict("False", "ScaledObjectCheckFailed", "run out of available brokers"),
    # The HPA is made, its metric cannot be read.
    "pubsub": Verdict("False", "TriggerError"),
}


def expected_verdict(applied: Applied, item: Object) -> Verdict:
    missing = WITHOUT_BACKEND if applied.name == "triggers" else {}
    return missing.get(item["metadata"]["name"], READY)


def settles(plane: Plane, item: Object, wanted: Verdict) -> None:
    """Wait until KEDA says what it should: it may be of another mind before it has looked at everything.

    Being ready for a moment proves nothing, having read a value does: every server of a trigger holds some.
    """

    def is_so() -> bool:
        ready, active = (condition(plane, item, kind) for kind in ("Ready", "Active"))
        has_read = active["status"] == "True" or wanted != READY or _is_timed(item)
        told = ready["status"], ready.get("reason")
        return has_read and told == wanted[:2] and wanted.message in ready["message"]

    name = item["metadata"]["name"]
    try:
        plane.until(is_so, f"{name} is {wanted}", patience=120)
    except AssertionError as error:
        said = [condition(plane, item, kind) for kind in ("Ready", "Active")]
        raise AssertionError(f"{error}: {said}") from None


def _is_timed(item: Object) -> bool:
    return {each["type"] for each in item["spec"]["triggers"]} == {"cron"}


def made(plane: Plane, item: Object) -> list[Object]:
    """Return the HPAs that a ScaledObject owns."""
    metadata = item["metadata"]
    return [
        each
        for each in plane.get("horizontalpodautoscalers", "-n", metadata["namespace"])
        if {"kind": "ScaledObject", "name": metadata["name"]}.items()
        <= each["metadata"].get("ownerReferences", [{}])[0].items()
    ]


def test_every_scaled_object_is_ready(plane: Plane, applied: Applied) -> None:
    found = applied.of("ScaledObject")
    assert bool(found) == (applied.name not in ("dev", "staging"))
    for item in found:
        settles(plane, item, expected_verdict(applied, item))
    if applied.name == "triggers":
        assert {item["metadata"]["name"] for item in found} > WITHOUT_BACKEND.keys()


def test_its_autoscaler_is_what_it_says(plane: Plane, applied: Applied) -> None:
    for item in applied.of("ScaledObject"):
        name, spec = item["metadata"]["name"], item["spec"]
        settles(plane, item, expected_verdict(applied, item))
        if applied.name == "triggers" and name == "kafka":
            assert made(plane, item) == []
            continue
        (scaler,) = made(plane, item)
        behavior = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
        assert order(exact(scaler["spec"].pop("metrics"))) == order(expected_metrics(item)), name
        assert exact(scaler["spec"]) == {
            "scaleTargetRef": spec["scaleTargetRef"],
            # Zero is KEDA's own business.
            "minReplicas": max(spec["minReplicaCount"], 1),
            "maxReplicas": spec["maxReplicaCount"],
            "behavior": exact(behavior),
        }, name


def test_the_queries_reach_the_server_that_they_name(plane: Plane, applied: Applied) -> None:
    for item in applied.of("ScaledObject"):
        settles(plane, item, expected_verdict(applied, item))
        for each in item["spec"]["triggers"]:
            if each["type"] == "prometheus":
                own = each["metadata"]
                server = own["serverAddress"].removeprefix("http://")
                asked = [ask for ask in Backend.asked if ask[0] == server]
                assert own["query"] in [ask[2]["query"][0] for ask in asked]


def test_a_cloud_is_asked_through_the_proxy_and_so_never(applied: Applied) -> None:
    if applied.name == "triggers":
        tunnels = {place for place, path, _ in Backend.asked if not path}
        assert tunnels == {"monitoring.googleapis.com:443"}


def test_there_is_a_trigger_of_every_kind(applied: Applied) -> None:
    from fleetform.platforms.kubernetes.rules.keda import KEDA_FIELDS

    if applied.name == "triggers":
        used = {
            each["type"] for item in applied.of("ScaledObject") for each in item["spec"]["triggers"]
        }
        assert used == KEDA_FIELDS.keys()


def test_what_the_operators_make_is_nothing_that_plan_would_change(
    plane: Plane, applied: Applied
) -> None:
    """KEDA's autoscalers carry our labels and are not ours; only the stand-ins of the stores differ."""
    if applied.name not in fleet.ENVIRONMENTS:
        return
    for item in applied.of("ScaledObject"):
        settles(plane, item, expected_verdict(applied, item))
    options = ("--env", applied.name, "--kubeconfig", str(plane.kubeconfig), "--format", "json")
    rows = json.loads(fleetform("plan", *options, cwd=ROOT).out)
    assert [row for row in rows if row["kind"] != "SecretStore"] == []


@pytest.fixture
def broken(plane: Plane, tmp_path):
    """Scalers that KEDA must refuse, or cannot serve."""
    url = f"http://{BROKEN}/"
    down = trigger("prometheus", serverAddress=url, query="up", threshold="1")
    agents = {
        "down": scaled(down, pollingInterval=2),
        "good": scaled(CRON),
        "nothing": scaled(CRON),
    }
    items = render(tmp_path, agents, "broken")
    for item in items:
        if item["kind"] == "ScaledObject" and item["metadata"]["name"] == "nothing":
            item["spec"]["triggers"][0]["metadata"]["start"] = "never"
    apply(plane, items)
    yield {item["metadata"]["name"]: item for item in items if item["kind"] == "ScaledObject"}
    plane.do("delete", "namespace", "broken", "--wait=true")


def test_a_broken_trigger_is_seen(plane: Plane, broken: dict[str, Object]) -> None:
    settles(plane, broken["down"], Verdict("False", "TriggerError"))
    settles(plane, broken["good"], READY)
    settles(plane, broken["nothing"], Verdict("False", "ScaledObjectCheckFailed", "cron"))
    assert made(plane, broken["nothing"]) == []
