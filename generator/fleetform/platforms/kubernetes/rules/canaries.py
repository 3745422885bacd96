"""Canaries of Argo Rollouts: shares that no replicas make, steps that nobody judges, pods that it cannot replace."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from fleetform import kinds
from fleetform.plan.scaling import scale
from fleetform.problems import Problem
from fleetform.resolve import Fleet, Resolved
from fleetform.tree import TreePath

if TYPE_CHECKING:
    from fleetform.models.agent import AgentSpec
    from fleetform.models.delivery import Canary, CanaryAnalysis

PATH: TreePath = ("spec", "delivery", "canary")
LONGEST = 46
"""Characters of a name with which the names of pods have the whole hash: they are cut after 58, and it has up to 10."""


def rules(fleet: Fleet) -> Iterator[Problem]:
    """Yield what keeps a canary from being one."""
    for agent in fleet.of(kinds.AGENT):
        canary = agent.spec.delivery.canary
        if canary is not None:
            yield from _pods(agent)
            yield from _weights(agent, canary)
            if canary.analysis is not None:
                yield from _analysis(fleet, agent, canary.analysis)
            elif all(step.pause is not None for step in canary.steps):
                yield agent.problem(
                    (*PATH, "steps"),
                    "unjudged-canary",
                    "time alone takes every step: neither a person nor an analysis looks at the new pods",
                    hint="add `analysis`, or remove `pause` of a step, which then waits for a person",
                    key=True,
                )


def _pods(agent: Resolved[AgentSpec]) -> Iterator[Problem]:
    """Yield pods that a Rollout cannot replace share by share."""
    if agent.spec.canary_of:
        yield agent.problem(
            PATH,
            "bad-canary",
            f"`{agent.name}` is itself a canary of `{agent.spec.canary_of}`, by a share of its route",
            hint="keep one of the two: steps for pods, or `canaryOf` for a route",
            key=True,
        )
    if agent.spec.stateful:
        yield agent.problem(
            PATH,
            "bad-canary",
            "Argo Rollouts replaces the pods of a Deployment, and `stateful: true` makes a StatefulSet",
            hint="remove one of the two",
            key=True,
        )
    for number, metric in enumerate(agent.spec.scaling.metrics or ()):
        if metric.resource is not None and metric.resource.name == "memory":
            yield agent.problem(
                ("spec", "scaling", "metrics", number),
                "bad-canary",
                "memory of old and new pods together adds replicas without end while both are there",
                hint="scale a canary on requests, runs in flight or cpu",
            )


def _weights(agent: Resolved[AgentSpec], canary: Canary) -> Iterator[Problem]:
    least, before = scale(agent.spec.scaling).least, 0
    for number, step in enumerate(canary.steps):
        place: TreePath = (*PATH, "steps", number, "weight")
        if step.weight * least < 100:
            yield agent.problem(
                place,
                "bad-weights",
                f"{step.weight} percent of {least} replica{'' if least == 1 else 's'} is less than one pod",
                hint=f"raise it, or `scaling.minReplicas` to {-(-100 // step.weight)}",
            )
        if step.weight <= before:
            yield agent.problem(
                place,
                "bad-weights",
                f"{step.weight} percent after {before} percent is no step forward",
                hint="let each step have a larger share than the one before",
            )
        before = step.weight


def _analysis(
    fleet: Fleet, agent: Resolved[AgentSpec], analysis: CanaryAnalysis
) -> Iterator[Problem]:
    place: TreePath = (*PATH, "analysis")
    if fleet.environment.monitoring.prometheus_url is None:
        yield agent.problem(
            place,
            "no-prometheus",
            "the environment does not say which Prometheus is asked about new pods",
            hint="set its `monitoring.prometheusUrl`, such as http://prometheus.monitoring.svc:9090",
            key=True,
        )
    metrics, has_own_image = agent.spec.observability.metrics, agent.spec.container is not None
    if metrics.enabled is False or (has_own_image and not metrics.enabled):
        yield agent.problem(
            place,
            "cannot-judge",
            "the new pods have no metrics: every step would wait for a person",
            hint="enable `observability.metrics`; an image of your own needs agent_request_total and agent_request_errors_total",
            key=True,
        )
    if len(agent.name) > LONGEST:
        yield agent.problem(
            ("metadata", "name"),
            "name-too-long",
            f"the analysis would not find the new pods: Kubernetes cuts their names, and `{agent.name}` leaves no room for the hash of their revision",
            hint=f"at most {LONGEST} characters with `delivery.canary.analysis`",
        )
