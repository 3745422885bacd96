"""KEDA makes of every ScaledObject the HorizontalPodAutoscaler that it stands for."""

import json
from collections.abc import Callable

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
# Clouds and brokers that cannot be had on one machine: how far KEDA gets, and what it says.
WITHOUT_BACKEND = {
    "kafka": (
        "ScaledObjectCheckFailed",
        "client has run out of available brokers",
    ),  # it asks the brokers before it makes an HPA
    "pubsub": (
        "TriggerError",
        "not working correctly",
    ),  # the HPA is made, its metric cannot be read
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


def sent(metrics: list[Object]) -> list[Object]:
    """Return an HPA's metrics with quantities as numbers."""
    text = json.dumps(metrics)
    return json.loads(text, object_hook=_numbers)


def _numbers(found: Object) -> Object:
    names = ("averageValue", "value")
    return {key: parse(value) if key in names else value for key, value in found.items()}


def order(metrics: list[Object]) -> list[Object]:
    return sorted(metrics, key=lambda each: json.dumps(each, sort_keys=True, default=str))


def condition(plane: Plane, item: Object, kind: str) -> dict[str, str]:
    metadata = item["metadata"]
    (live,) = plane.get("scaledobject", metadata["name"], "-n", metadata["namespace"])
    found = live.get("status", {}).get("conditions", ())
    return next((each for each in found if each["type"] == kind), {"status": "Unknown"})


def judged(plane: Plane, item: Object) -> tuple[str, str, str]:
    """Return how ready KEDA takes a ScaledObject for, once it has tried its triggers or given up."""

    def is_tried() -> bool:
        ready, active = (condition(plane, item, kind) for kind in ("Ready", "Active"))
        return active["status"] != "Unknown" or ready.get("reason") == "ScaledObjectCheckFailed"

    plane.until(is_tried, f"KEDA's judgement of {item['metadata']['name']}", patience=120)
    ready = condition(plane, item, "Ready")
    return ready["status"], ready["reason"], ready["message"]


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
    said = {item["metadata"]["name"]: judged(plane, item) for item in found}
    missing = WITHOUT_BACKEND if applied.name == "triggers" else {}
    assert said.keys() >= missing.keys()
    for name, (status, reason, message) in said.items():
        wanted, part = missing.get(name, ("ScaledObjectReady", ""))
        assert (status, reason) == (str(name not in missing), wanted), (name, message)
        assert part in message


def test_its_autoscaler_is_what_it_says(plane: Plane, applied: Applied) -> None:
    for item in applied.of("ScaledObject"):
        name, spec = item["metadata"]["name"], item["spec"]
        judged(plane, item)
        if applied.name == "triggers" and name == "kafka":
            assert made(plane, item) == []
            continue
        (scaler,) = made(plane, item)
        behavior = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
        assert sent(order(scaler["spec"].pop("metrics"))) == order(expected_metrics(item)), name
        assert scaler["spec"] == {
            "scaleTargetRef": spec["scaleTargetRef"],
            # Zero is KEDA's own business.
            "minReplicas": max(spec["minReplicaCount"], 1),
            "maxReplicas": spec["maxReplicaCount"],
            "behavior": behavior,
        }, name


def test_the_queries_reach_the_server_that_they_name(plane: Plane, applied: Applied) -> None:
    for item in applied.of("ScaledObject"):
        judged(plane, item)
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
    from fleetform.rules.keda import KEDA_FIELDS

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
        judged(plane, item)
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
    said = {name: judged(plane, item)[:2] for name, item in broken.items()}
    assert said == {
        "down": ("False", "TriggerError"),
        "good": ("True", "ScaledObjectReady"),
        "nothing": ("False", "ScaledObjectCheckFailed"),
    }
    assert made(plane, broken["nothing"]) == []
