"""What we refuse in tolerations, affinity and spread constraints is what Kubernetes refuses, no more and no less."""

import random
from typing import Any

import pytest

from fleetform.platforms.kubernetes import scheduling
from tests.conformance import apiserver

pytestmark = pytest.mark.proof

Json = Any
PODS = 600
NEVER_MET = "no node meets it"
KEYS = ("disk", "example.com/disk", "a key", "", "a/b/c", "A.b/c", "x" * 64, "d" * 254 + "/x")
VALUES = ("ssd", "", "very fast", "x" * 64, "-a", "1", "naïve")
OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt", "Inn")
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


class Chance(random.Random):
    """Mostly what is right, which comes first, so that each wrong part is seen alone too."""

    def one(self, options: tuple[Json, ...]) -> Json:
        return options[0] if self.random() < 0.85 else self.choice(options)

    def some(self, make: Any, most: int = 2) -> list[Json]:
        return [make() for _ in range(self.randint(0, most))]

    def maybe(self, **fields: Any) -> Json:
        return {name: make() for name, make in fields.items() if self.random() < 0.5}


def pod(chance: Chance) -> Json:
    """Return the fields of a pod, which are all known and of the right types."""

    def toleration() -> Json:
        return chance.maybe(
            key=lambda: chance.one(KEYS),
            operator=lambda: chance.choice(("Equal", "Exists")),
            value=lambda: chance.one(VALUES),
            effect=lambda: chance.choice(("NoSchedule", "NoExecute")),
            tolerationSeconds=lambda: 5,
        )

    def expression() -> Json:
        operator = chance.one(OPERATORS)
        count = chance.one((1 if operator in ("In", "NotIn", "Gt", "Lt") else 0, 0, 1, 2))
        values = [chance.one(VALUES) for _ in range(count)]
        found = {"key": chance.one(KEYS), "operator": operator}
        return found | ({"values": values} if values else {})

    def field() -> Json:
        names = [chance.one(("node-1", "Node", "a" * 254)) for _ in range(chance.one((1, 0, 2)))]
        key = chance.one(("metadata.name", "metadata.uid"))
        return {"key": key, "operator": chance.one(OPERATORS), "values": names}

    def node_term() -> Json:
        return chance.maybe(
            matchExpressions=lambda: chance.some(expression), matchFields=lambda: [field()]
        )

    def selector() -> Json:
        return chance.maybe(
            matchLabels=lambda: {chance.one(KEYS): chance.one(VALUES)},
            matchExpressions=lambda: chance.some(expression),
        )

    def pod_term() -> Json:
        found = {"topologyKey": chance.one(KEYS)}
        return found | chance.maybe(
            labelSelector=selector,
            namespaceSelector=selector,
            namespaces=lambda: [chance.one(("team-a", "Team_A", "a" * 64, "a.b"))],
            matchLabelKeys=lambda: [chance.one(("hash", *KEYS))],
            mismatchLabelKeys=lambda: [chance.one(("tenant", "hash", *KEYS))],
        )

    def weight() -> int:
        return int(chance.one((1, 100, 0, 101, -1)))

    def node() -> Json:
        return chance.maybe(
            **{
                REQUIRED: lambda: {"nodeSelectorTerms": chance.some(node_term)},
                PREFERRED: lambda: chance.some(
                    lambda: {"weight": weight(), "preference": node_term()}
                ),
            }
        )

    def pods() -> Json:
        return chance.maybe(
            **{
                REQUIRED: lambda: chance.some(pod_term),
                PREFERRED: lambda: [{"weight": weight(), "podAffinityTerm": pod_term()}],
            }
        )

    def constraint() -> Json:
        rule = chance.choice(("DoNotSchedule", "ScheduleAnyway"))
        return {"topologyKey": chance.one(KEYS[:3]), "whenUnsatisfiable": rule, "maxSkew": 1}

    part = chance.choice(("tolerations", "node", "pods", "spread"))
    if part == "tolerations":
        return {"tolerations": [toleration()]}
    if part == "spread":
        return {"topologySpreadConstraints": chance.some(constraint, 3)}
    kinds = {"node": {"nodeAffinity": node}, "pods": {"podAffinity": pods, "podAntiAffinity": pods}}
    return {"affinity": chance.maybe(**kinds[part])}


def deployment(fields: Json) -> Json:
    container = {"name": "a", "image": "a:1"}
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [container], **fields}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "a"},
        "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": template},
    }


def test_we_refuse_what_kubernetes_refuses():
    chance = Chance(7)
    pods = [pod(chance) for _ in range(PODS)]
    verdicts = apiserver.judge_objects(deployment(fields) for fields in pods)
    refused = 0
    for fields, verdict in zip(pods, verdicts, strict=True):
        # What no node can meet waits for ever: that is refused here, and not by Kubernetes.
        faults = [f for f in scheduling.faults(fields) if not f.message.endswith(NEVER_MET)]
        assert bool(faults) == bool(verdict.errors), (fields, faults, verdict.errors)
        refused += bool(faults)
    assert PODS // 4 < refused < PODS * 3 // 4
