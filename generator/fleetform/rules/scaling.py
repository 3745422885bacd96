"""Replicas and autoscaling: bounds, windows, and what KEDA's own schema does not know."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from fleetform.problems import Problem, did_you_mean
from fleetform.resolve import Fleet, Resolved
from fleetform.tree import Path

if TYPE_CHECKING:
    from fleetform.models.workload import Scaling, Trigger
    from fleetform.rules import AgentUses

MAX_WINDOW = 3600
"""Longest stabilisation window in seconds: KEDA takes a longer one and then makes no HPA."""
CANNOT_WAKE = frozenset({"cpu", "memory"})
"""KEDA triggers that see nothing while no pod runs."""


class Fields(NamedTuple):
    """Parameters of a KEDA scaler: all of one group must be set for each `required` group's any."""

    required: tuple[tuple[str, ...], ...]
    optional: tuple[str, ...]


def _fields(required: str, optional: str = "") -> Fields:
    return Fields(
        tuple(tuple(group.split("|")) for group in required.split()), tuple(optional.split())
    )


# Parameters of KEDA 2.x scalers; `a|b` means one of them, possibly through authentication.
KEDA_FIELDS: dict[str, Fields] = {
    "cpu": _fields("value", "containerName"),
    "memory": _fields("value", "containerName"),
    "cron": _fields("timezone start end desiredReplicas"),
    "prometheus": _fields(
        "serverAddress query threshold",
        "activationThreshold namespace customHeaders queryParameters ignoreNullValues unsafeSsl timeout authModes cortexOrgID awsRegion",
    ),
    "redis": _fields(
        "address|host|addressFromEnv|hostFromEnv listName",
        "listLength activationListLength databaseIndex enableTLS unsafeSsl port portFromEnv username usernameFromEnv passwordFromEnv",
    ),
    "redis-streams": _fields(
        "address|host|addressFromEnv|hostFromEnv stream",
        "consumerGroup pendingEntriesCount streamLength lagCount activationLagCount activationValue databaseIndex enableTLS unsafeSsl port portFromEnv usernameFromEnv passwordFromEnv",
    ),
    "kafka": _fields(
        "bootstrapServers|bootstrapServersFromEnv consumerGroup|consumerGroupFromEnv",
        "topic topicFromEnv lagThreshold activationLagThreshold offsetResetPolicy allowIdleConsumers scaleToZeroOnInvalidOffset excludePersistentLag limitToPartitionsWithLag partitionLimitation version sasl tls unsafeSsl ensureEvenDistributionOfPartitions",
    ),
    "rabbitmq": _fields(
        "queueName mode value",
        "host hostFromEnv protocol activationValue vhostName useRegex operation pageSize excludeUnacknowledged unsafeSsl workloadIdentityResource username password usernameFromEnv passwordFromEnv timeout",
    ),
    "aws-sqs-queue": _fields(
        "queueURL|queueURLFromEnv awsRegion",
        "queueLength activationQueueLength scaleOnInFlight scaleOnDelayed awsEndpoint identityOwner",
    ),
    "gcp-pubsub": _fields(
        "subscriptionName|subscriptionNameFromEnv|topicName|topicNameFromEnv",
        "mode value valueIfNull activationValue aggregation timeHorizon credentialsFromEnv",
    ),
    "postgresql": _fields(
        "query targetQueryValue",
        "activationTargetQueryValue host port userName dbName sslmode connection connectionFromEnv passwordFromEnv",
    ),
    "metrics-api": _fields(
        "targetValue url valueLocation",
        "activationTargetValue format unsafeSsl authMode method keyParamName aggregateFromKubeServiceEndpoints aggregationType",
    ),
    "nats-jetstream": _fields(
        "natsServerMonitoringEndpoint account stream consumer",
        "lagThreshold activationLagThreshold useHttps",
    ),
    "kubernetes-workload": _fields("podSelector value", "activationValue"),
}


def rules(fleet: Fleet, uses: AgentUses) -> Iterator[Problem]:
    """Yield what is wrong with the scaling of agents and MCP servers."""
    del uses
    for kind in ("Agent", "MCPServer"):
        for resolved in fleet.of(kind):
            yield from _bounds(resolved, resolved.spec.scaling)
            yield from _windows(resolved, resolved.spec.scaling)
            yield from _metrics(resolved)
            keda = resolved.spec.scaling.keda
            if keda is not None and keda.enabled:
                yield from _keda(fleet, resolved)


def _bounds(resolved: Resolved, scaling: Scaling) -> Iterator[Problem]:
    low, high = scaling.min_replicas, scaling.max_replicas
    path: Path = ("spec", "scaling", "minReplicas")
    if low is not None and high is not None and low > high:
        yield resolved.problem(
            path,
            "min-above-max",
            f"minReplicas {low} is more than maxReplicas {high}",
            hint="lower the one or raise the other",
        )
    keda = scaling.keda if scaling.keda and scaling.keda.enabled else None
    if low == 0 and keda is None:
        yield resolved.problem(
            path,
            "cannot-wake",
            "nothing wakes it from zero replicas",
            hint="set minReplicas to 1, or enable `keda` with a trigger that sees work while no pod runs",
        )
    elif (
        low == 0
        and keda is not None
        and all(trigger.type in CANNOT_WAKE for trigger in keda.triggers)
    ):
        yield resolved.problem(
            path,
            "cannot-wake",
            "cpu and memory triggers cannot wake it from zero replicas",
            hint="add a trigger such as prometheus, redis or cron, or set minReplicas to 1",
        )
    if resolved.spec.stateful and keda is not None and low == 0:
        yield resolved.problem(
            path,
            "stateful-zero",
            "a StatefulSet scaled to zero loses its peers' names",
            hint="set minReplicas to 1",
            severity="warning",
        )


def _windows(resolved: Resolved, scaling: Scaling) -> Iterator[Problem]:
    if scaling.behavior is None:
        return
    for name, direction in (
        ("scaleUp", scaling.behavior.scale_up),
        ("scaleDown", scaling.behavior.scale_down),
    ):
        window = direction.stabilization_window_seconds if direction else None
        if window is not None and window > MAX_WINDOW:
            yield resolved.problem(
                ("spec", "scaling", "behavior", name, "stabilizationWindowSeconds"),
                "window-too-long",
                f"{window} seconds are more than Kubernetes allows",
                hint=f"at most {MAX_WINDOW}: KEDA would accept it and then never scale",
            )


def _metrics(resolved: Resolved) -> Iterator[Problem]:
    for number, metric in enumerate(resolved.spec.scaling.metrics or []):
        path: Path = ("spec", "scaling", "metrics", number)
        own = getattr(metric, metric.type.lower())
        if own is None:
            yield resolved.problem(
                path,
                "missing-field",
                f"`{metric.type.lower()}` is missing",
                hint=f"add `{metric.type.lower()}:`, as the type says",
                key=True,
            )
            continue
        field = {
            "Utilization": "average_utilization",
            "AverageValue": "average_value",
            "Value": "value",
        }[own.target.type]
        if getattr(own.target, field) is None:
            name = {
                "average_utilization": "averageUtilization",
                "average_value": "averageValue",
                "value": "value",
            }[field]
            yield resolved.problem(
                (*path, metric.type.lower(), "target"),
                "missing-field",
                f"`{name}` is missing",
                hint=f"add `{name}:`, as the target's type says",
                key=True,
            )
        if metric.type != "Resource" and own.target.type == "Utilization":
            yield resolved.problem(
                (*path, metric.type.lower(), "target", "type"),
                "bad-target",
                "Utilization is for resources only",
                hint="use AverageValue or Value",
            )


# -- KEDA ---------------------------------------------------------------------------------------


def _keda(fleet: Fleet, resolved: Resolved) -> Iterator[Problem]:
    scaling = resolved.spec.scaling
    keda = scaling.keda
    path: Path = ("spec", "scaling", "keda")
    if not keda.triggers and not scaling.metrics:
        yield resolved.problem(
            path,
            "no-trigger",
            "KEDA has nothing to scale by",
            hint="add `triggers`, or cpu/memory metrics",
            key=True,
        )
    for number, metric in enumerate(scaling.metrics or []):
        if metric.type != "Resource":
            yield resolved.problem(
                ("spec", "scaling", "metrics", number, "type"),
                "hpa-and-keda",
                f"a {metric.type} metric cannot stand beside KEDA: two autoscalers would fight over the replicas",
                hint="write it as a KEDA trigger; cpu and memory are turned into triggers by themselves",
            )
    names: set[str] = set()
    for number, trigger in enumerate(keda.triggers):
        place: Path = (*path, "triggers", number)
        if trigger.name and trigger.name in names:
            yield resolved.problem(
                (*place, "name"),
                "duplicate-name",
                f"two triggers are called `{trigger.name}`",
                hint="rename one",
            )
        names.add(trigger.name or "")
        yield from _trigger(resolved, place, trigger)
        yield from _own_labels(fleet, resolved, place, trigger)


def _trigger(resolved: Resolved, path: Path, trigger: Trigger) -> Iterator[Problem]:
    known = KEDA_FIELDS.get(trigger.type)
    if known is None:
        hint = did_you_mean(trigger.type, KEDA_FIELDS, noun="checked types")
        is_slip = hint.startswith("did you mean")
        yield resolved.problem(
            (*path, "type"),
            "unknown-trigger",
            f"KEDA has no trigger `{trigger.type}`"
            if is_slip
            else f"the parameters of KEDA's `{trigger.type}` are not checked",
            hint=hint,
            severity="error" if is_slip else "warning",
        )
        return
    signed_in = {item.parameter for item in trigger.authentication or []}
    given = {*trigger.metadata, *signed_in}
    fields = [name for group in known.required for name in group] + list(known.optional)
    unknown = [name for name in trigger.metadata if name not in fields]
    meant = set()
    for name in unknown:
        hint = did_you_mean(name, fields, noun="parameters")
        meant.add(hint)
        if name == "metricName":
            hint = "remove it: KEDA has ignored it since 2.12"
        yield resolved.problem(
            (*path, "metadata", name),
            "unknown-field",
            f"KEDA's `{trigger.type}` has no parameter `{name}`",
            hint=hint,
            key=True,
        )
    for group in known.required:
        if not given & set(group) and not any(f"did you mean `{name}`?" in meant for name in group):
            yield resolved.problem(
                (*path, "metadata"),
                "missing-field",
                f"KEDA's `{trigger.type}` needs `{'` or `'.join(group)}`",
                hint=f"add `{group[0]}:` to its metadata",
                key=True,
            )
    if trigger.type in CANNOT_WAKE and not trigger.metric_type:
        yield resolved.problem(
            path,
            "missing-field",
            f"KEDA's `{trigger.type}` needs `metricType`",
            hint="add `metricType: Utilization` or `AverageValue`",
            key=True,
        )
    for name in (
        "threshold",
        "targetValue",
        "value",
        "listLength",
        "lagThreshold",
        "targetQueryValue",
        "desiredReplicas",
    ):
        value = trigger.metadata.get(name)
        if value is not None and not re.fullmatch(r"[0-9]+(\.[0-9]+)?", value) and name in fields:
            yield resolved.problem(
                (*path, "metadata", name),
                "not-a-number",
                f"`{value[:40]}` is not a number",
                hint='write a number in quotes, such as "50"',
            )


_METRIC = re.compile(r"\b(agent_[a-z0-9_]+)\s*\{([^}]*)\}")
_LABEL = re.compile(r'\bagent\s*=\s*"([^"]*)"')


def _own_labels(
    fleet: Fleet, resolved: Resolved, path: Path, trigger: Trigger
) -> Iterator[Problem]:
    """Check selectors of our own metrics against the fleet: a wrong name never scales, and never says so."""
    names = {agent.name for agent in fleet.of("Agent")}
    for _, labels in _METRIC.findall(trigger.metadata.get("query", "")):
        for name in _LABEL.findall(labels):
            if name not in names:
                near = resolved.name if resolved.name.startswith(name) or not names else ""
                hint = (
                    f'did you mean agent="{near}"?'
                    if near
                    else did_you_mean(name, names, noun="agents")
                )
                yield resolved.problem(
                    (*path, "metadata", "query"),
                    "unknown-label-value",
                    f'no agent of the fleet is called "{name}": this query finds nothing and never scales',
                    hint=hint,
                    severity="warning",
                )
