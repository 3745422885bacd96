"""KEDA's triggers: parameters per scaler, which KEDA's own schema does not cover, and our metrics in queries."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from fleetform import addresses, kinds, quantity, timezones
from fleetform.lazy import regex
from fleetform.problems import Problem, did_you_mean
from fleetform.records import NamedTuple
from fleetform.resolve import Fleet, Resolved
from fleetform.resolve.switches import keda_is_on
from fleetform.rules import urls
from fleetform.tree import TreePath

if TYPE_CHECKING:
    from fleetform.models.scaling import Keda, Scaling, Trigger
    from fleetform.models.workload import Workload

SIGN_IN_ONLY = frozenset({("postgresql", "connection")})
"""Parameters that KEDA reads from `authentication` alone: in the metadata it passes over them."""
CANNOT_WAKE = frozenset({"cpu", "memory"})
"""KEDA triggers that see nothing while no pod runs."""


class Fields(NamedTuple):
    """Parameters of a KEDA scaler; of each group in `required` at least one must be set."""

    required: tuple[tuple[str, ...], ...]
    optional: tuple[str, ...]


_NUMBER = regex(r"(?!0+(\.0+)?\Z)[0-9]+(\.[0-9]+)?")
_WHOLE = regex(r"0*[1-9][0-9]{0,17}")
_CRON = regex(r"([-0-9*/,?A-Za-z]+ +){4}[-0-9*/,?A-Za-z]+")


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
        "activationThreshold namespace customHeaders queryParameters ignoreNullValues unsafeSsl timeout authModes authMode keyParamName method identityOwner awsRegion",
    ),
    "redis": _fields(
        "address|host|addressFromEnv|hostFromEnv port|address|portFromEnv|addressFromEnv listName",
        "listLength activationListLength databaseIndex enableTLS unsafeSsl username usernameFromEnv passwordFromEnv",
    ),
    "redis-streams": _fields(
        "address|host|addressFromEnv|hostFromEnv port|address|portFromEnv|addressFromEnv stream",
        "consumerGroup pendingEntriesCount streamLength lagCount activationLagCount databaseIndex enableTLS unsafeSsl username usernameFromEnv passwordFromEnv",
    ),
    "kafka": _fields(
        "bootstrapServers|bootstrapServersFromEnv consumerGroup|consumerGroupFromEnv",
        "topic topicFromEnv lagThreshold activationLagThreshold offsetResetPolicy allowIdleConsumers scaleToZeroOnInvalidOffset excludePersistentLag limitToPartitionsWithLag partitionLimitation version sasl saslTokenProvider awsRegion tls unsafeSsl ensureEvenDistributionOfPartitions fullMetadata",
    ),
    "rabbitmq": _fields(
        "queueName mode value host|hostFromEnv",
        "protocol activationValue vhostName useRegex operation pageSize excludeUnacknowledged unsafeSsl authModes authMode usernameFromEnv passwordFromEnv timeout",
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
        "query targetQueryValue host|connection|connectionFromEnv port|connection|connectionFromEnv userName|connection|connectionFromEnv dbName|connection|connectionFromEnv sslmode|connection|connectionFromEnv",
        "activationTargetQueryValue passwordFromEnv",
    ),
    "metrics-api": _fields(
        "targetValue url valueLocation",
        "activationTargetValue format unsafeSsl timeout authModes authMode method keyParamName aggregateFromKubeServiceEndpoints aggregationType",
    ),
    "nats-jetstream": _fields(
        "natsServerMonitoringEndpoint account|accountID stream consumer",
        "lagThreshold activationLagThreshold useHttps",
    ),
    "kubernetes-workload": _fields("podSelector value", "activationValue groupByNode"),
}


def rules(fleet: Fleet) -> Iterator[Problem]:
    """Yield what is wrong with the triggers of agents and MCP servers."""
    for kind in kinds.CALLABLE:
        for resolved in fleet.of(kind):
            scaling = resolved.spec.scaling
            if scaling.keda is not None and keda_is_on(scaling):
                yield from _keda(fleet, resolved, scaling.keda)
            if keda_is_on(scaling) or scaling.inflight_runs is not None:
                yield from _mixed(resolved, scaling)


def _keda(fleet: Fleet, resolved: Resolved[Workload], keda: Keda) -> Iterator[Problem]:
    scaling = resolved.spec.scaling
    path: TreePath = ("spec", "scaling", "keda")
    if not (keda.triggers or scaling.metrics or scaling.inflight_runs):
        yield resolved.problem(
            path,
            "no-trigger",
            "KEDA has nothing to scale on",
            hint="add `triggers`, or cpu/memory metrics",
            key=True,
        )
    yield from _together(resolved, keda, path)
    names: set[str] = set()
    for number, trigger in enumerate(keda.triggers):
        place: TreePath = (*path, "triggers", number)
        if trigger.name and trigger.name in names:
            yield resolved.problem(
                (*place, "name"),
                "duplicate-name",
                f"two triggers are named `{trigger.name}`",
                hint="rename one",
            )
        names.add(trigger.name or "")
        yield from _trigger(resolved, place, trigger)
        yield from _hosts(resolved, (*place, "metadata"), trigger)
        yield from _own_labels(fleet, resolved, place, trigger)


def _mixed(resolved: Resolved[Workload], scaling: Scaling) -> Iterator[Problem]:
    for number, metric in enumerate(scaling.metrics or []):
        if metric.type != "Resource":
            yield resolved.problem(
                ("spec", "scaling", "metrics", number, "type"),
                "hpa-and-keda",
                f"a {metric.type} metric cannot be combined with KEDA: two autoscalers would fight over the replicas",
                hint="write it as a KEDA trigger; cpu and memory are converted automatically",
            )


def _together(resolved: Resolved[Workload], keda: Keda, path: TreePath) -> Iterator[Problem]:
    """Yield what is wrong with the triggers together: two of one resource, a fallback that KEDA refuses."""
    scaling = resolved.spec.scaling
    kinds: list[str] = [metric.resource.name for metric in scaling.metrics or [] if metric.resource]
    for number, trigger in enumerate(keda.triggers):
        if trigger.type in CANNOT_WAKE and trigger.type in kinds:
            yield resolved.problem(
                (*path, "triggers", number),
                "duplicate-name",
                f"{trigger.type} is used for scaling twice",
                hint=f"remove this trigger, or the {trigger.type} metric",
            )
        kinds.append(trigger.type)
    if keda.fallback_replicas is None:
        return
    if all(kind in CANNOT_WAKE for kind in kinds):
        yield resolved.problem(
            (*path, "fallbackReplicas"),
            "not-used",
            "KEDA has no fallback for cpu and memory triggers",
            hint="remove it, or add a trigger that can fail",
        )
    if keda.fallback_replicas > (scaling.max_replicas or scaling.min_replicas or 1):
        yield resolved.problem(
            (*path, "fallbackReplicas"),
            "min-above-max",
            f"{keda.fallback_replicas} is greater than maxReplicas",
            hint="lower it",
        )


def _trigger(resolved: Resolved[Workload], path: TreePath, trigger: Trigger) -> Iterator[Problem]:
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
    yield from _parameters(resolved, path, trigger, known)
    yield from _values(resolved, (*path, "metadata"), trigger)
    yield from _metric_type(resolved, path, trigger)
    if (
        trigger.type == "gcp-pubsub"
        and {"subscriptionName", "topicName"} <= trigger.metadata.keys()
    ):
        yield resolved.problem(
            (*path, "metadata", "topicName"),
            "contradiction",
            "KEDA uses a subscription or a topic, not both",
            hint="remove one of them",
            key=True,
        )


def _parameters(
    resolved: Resolved[Workload], path: TreePath, trigger: Trigger, known: Fields
) -> Iterator[Problem]:
    """Yield unknown and missing parameters; a misspelt one is only reported as unknown."""
    given = {*trigger.metadata, *(item.parameter for item in trigger.authentication or [])}
    fields = [*(name for group in known.required for name in group), *known.optional]
    meant = set()
    for name in sorted(name for kind, name in SIGN_IN_ONLY if kind == trigger.type):
        if name in trigger.metadata:
            yield resolved.problem(
                (*path, "metadata", name),
                "unknown-field",
                f"KEDA's `{trigger.type}` accepts `{name}` only through `authentication`",
                hint=f"keep it in a Secret, or name a variable of the container in `{name}FromEnv`",
                key=True,
            )
    for name in (name for name in trigger.metadata if name not in fields):
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


NUMBERS = ("threshold", "targetValue", "value", "targetQueryValue")
"""Parameters that are numbers above zero, written as text."""
WHOLE_NUMBERS = (
    "listLength", "lagThreshold", "queueLength", "desiredReplicas", "pendingEntriesCount", "streamLength", "lagCount",
)  # fmt: skip
"""Parameters that KEDA reads as integers: it refuses a fraction."""
RESOURCE_TYPES = ("Utilization", "AverageValue")
"""How cpu and memory are measured; Utilization is theirs alone."""


def _values(resolved: Resolved[Workload], path: TreePath, trigger: Trigger) -> Iterator[Problem]:
    known = KEDA_FIELDS[trigger.type]
    fields = {*(name for group in known.required for name in group), *known.optional}
    for name, value in trigger.metadata.items():
        if name in fields and (wrong := _wrong_number(trigger, name, value)):
            what, hint = wrong
            text = f"`{value[:40]}` is not {what} above zero"
            yield resolved.problem((*path, name), "not-a-number", text, hint=hint)
        if trigger.type == "cron" and name in ("start", "end") and not _CRON.fullmatch(value):
            yield resolved.problem(
                (*path, name),
                "bad-cron",
                f"`{value[:40]}` is not a cron expression",
                hint='write minute, hour, day, month and weekday, such as "0 8 * * 1-5"',
            )
    if trigger.type == "cron":
        yield from _window(resolved, path, trigger.metadata)


def _window(
    resolved: Resolved[Workload], path: TreePath, metadata: Mapping[str, str]
) -> Iterator[Problem]:
    """Yield a window of a cron trigger that KEDA refuses: it would create no HPA."""
    zone, start = metadata.get("timezone", "UTC"), metadata.get("start")
    if not timezones.is_known(zone):
        yield resolved.problem(
            (*path, "timezone"),
            "bad-cron",
            f"`{zone[:40]}` is not the name of a time zone",
            hint=timezones.hint(zone),
        )
    if start is not None and start == metadata.get("end"):
        yield resolved.problem(
            (*path, "end"),
            "bad-cron",
            f"the window starts and ends at `{start[:40]}`",
            hint="let it end at another time",
        )


def _wrong_number(trigger: Trigger, name: str, value: str) -> tuple[str, str] | None:
    """Return what a parameter should be if it is not, and how to write it."""
    is_resource = trigger.type in CANNOT_WAKE and name == "value"
    if is_resource and trigger.metric_type == "AverageValue":
        hint = "write it as Kubernetes does, such as `500Mi` or `250m`"
        return None if _is_amount(value) else ("a quantity", hint)
    if is_resource or name in WHOLE_NUMBERS:
        hint = 'write a whole number in quotes, such as "50"'
        return None if _WHOLE.fullmatch(value) else ("a whole number", hint)
    if name in NUMBERS and not _NUMBER.fullmatch(value):
        return "a number", 'write a number in quotes, such as "50"'
    return None


def _is_amount(value: str) -> bool:
    try:
        return quantity.parse(value) > 0
    except ValueError:
        return False


def _metric_type(
    resolved: Resolved[Workload], path: TreePath, trigger: Trigger
) -> Iterator[Problem]:
    """Yield a metric type that the scaler does not have: KEDA would create no HPA."""
    is_resource = trigger.type in CANNOT_WAKE
    if is_resource and not trigger.metric_type:
        yield resolved.problem(
            path,
            "missing-field",
            f"KEDA's `{trigger.type}` needs `metricType`",
            hint="add `metricType: Utilization` or `AverageValue`",
            key=True,
        )
    elif trigger.metric_type and is_resource != (trigger.metric_type == "Utilization"):
        if is_resource and trigger.metric_type in RESOURCE_TYPES:
            return
        others = RESOURCE_TYPES if is_resource else ("AverageValue", "Value")
        yield resolved.problem(
            (*path, "metricType"),
            "bad-target",
            f"KEDA's `{trigger.type}` has no metric of type {trigger.metric_type}",
            hint=f"use {' or '.join(others)}",
        )


_ADDRESS = regex(r"address|host|servers?|url|endpoint|uri", re.IGNORECASE)
"""Parameters that hold where the operator connects, by part of their names."""
_QUERIES = frozenset({"query", "podSelector"})


def _hosts(resolved: Resolved[Workload], path: TreePath, trigger: Trigger) -> Iterator[Problem]:
    """Yield what KEDA must not be sent to: its operator has a network policy of its own, and none of ours."""
    for name, value in trigger.metadata.items():
        if name in _QUERIES or not ("://" in value or ":" in value or _ADDRESS.search(name)):
            continue
        for host in addresses.hosts_in(value):
            if addresses.is_self(host):
                yield resolved.problem(
                    (*path, name),
                    "closed-address",
                    f"KEDA's operator connects to this, and `{host[:80]}` is the operator itself",
                    hint="write the host of a Service, such as `prometheus.monitoring.svc`",
                )
            elif "://" in value and name not in urls.KEYS and not urls.is_host(host):
                yield resolved.problem(
                    (*path, name),
                    "bad-url",
                    f"`{host[:80]}` is not a host",
                    hint="write a host name or an address in ASCII, without escapes",
                )
            else:
                yield from urls.closed(resolved.tree, (*path, name), host, short=True)


_METRIC = regex(r"\b(agent_[a-z0-9_]+)\s*\{([^}]*)\}")
_LABEL = regex(r'\bagent\s*=\s*"([^"]*)"')


def _own_labels(
    fleet: Fleet, resolved: Resolved[Workload], path: TreePath, trigger: Trigger
) -> Iterator[Problem]:
    """Check selectors of our own metrics against the fleet: a wrong name would silently never scale."""
    names = {agent.name for agent in fleet.of(kinds.AGENT)}
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
