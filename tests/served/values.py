"""Another value for every leaf: one that its type allows, or one of this table where a type says too little."""

import re
from collections.abc import Callable
from typing import Any

from fleetform import patterns

Json = Any
Rule = dict[str, Any]

KEYS = {
    ("Environment", "spec.secrets.items"): "s",
    ("Environment", "spec.secrets.items.{}.keys"): "key",
    ("Environment", "spec.secrets.store.identities"): "ns",
    ("Environment", "spec.images.pins"): "docker.io/library/own",
    ("Environment", "spec.providers"): "openai",
    ("Environment", "spec.tenants"): "ns",
    ("Environment", "spec.monitoring.collector.exporters[].secretHeaders"): "Authorization",
}
"""A key of each map that has none yet."""

DIGEST = "sha256:" + "a" * 64
NAMED: dict[str, tuple[Json, ...]] = {
    # What refers to something names what the fleets have.
    "Agent:spec.extends": (["other-base"], "base"),
    "Agent:spec.modelConfig": ("second", "third"),
    "Agent:spec.models": (["third"], ["second"]),
    "Agent:spec.fallbacks": (["third"], ["second"]),
    "Agent:spec.canaryOf": ("neighbour",),
    "Agent:spec.delivery.canary.steps[].weight": (30, 80),
    "Agent:spec.delivery.canary.steps[].pause": ("7m", "1h"),
    "Agent:spec.delivery.canary.analysis.window": ("7m", "1h"),
    "Agent:spec.delivery.canary.analysis.maxErrorRate": (0.25,),
    "Agent:spec.variants[].modelConfig": ("second", "third"),
    "Agent:spec.tools[].variants": (["base"], ["brief"]),
    "approvals.approvers.keys": (["two"], ["one", "two"]),
    "approvals.approvers.roles": (["dev"],),
    "Agent:spec.peers": (["neighbour"],),
    "longTermMemory.model": ("gpt-4o",),
    "embedding.project": ("acme-test", "acme-prod"),
    "Agent:spec.memory.store": ("other-store",),
    "Agent:spec.tools[].name": ("spare",),
    "Agent:spec.knowledge.tool": ("others",),
    "knowledge.schedule": ("0 3 * * *", "@daily"),
    "backup.schedule": ("0 3 * * *", "@daily"),
    "backup.drill.schedule": ("0 3 * * *", "@daily"),
    "backup.timeZone": ("Europe/Berlin",),
    "backup.image.digest": (f"sha256:{'1' * 64}",),
    "knowledge.sources[].name": ("three", "four"),
    "Tool:spec.retrieval.vectorStore.path": ("/var/lib/fleetform-knowledge/own",),
    "Tool:spec.retrieval.search.filter": ('kind == "faq"', "year > 2000"),
    "MCPServer:spec.transport": ("sse", "streamable-http", "stdio"),
    "Agent:spec.tools[].kind": ("Tool", "MCPServer"),
    "Agent:spec.tools[].namespace": ("elsewhere",),
    "Tool:spec.code.memory": ("64Mi", "256Mi"),
    "Tool:spec.code.output": ("32Ki", "128Ki"),
    "Workflow:spec.steps[].agent": ("next-door",),
    "Workflow:spec.memory.store": ("other-store",),
    "Workflow:spec.schedule.input": ({"topic": "x"},),
    "Workflow:spec.schedule.cron": ("0 3 * * *", "@hourly"),
    "Workflow:spec.schedule.timeZone": ("Asia/Seoul",),
    "Workflow:spec.errorHandling.onWorkflowFailure": ("notify", "none"),
    "Workflow:spec.steps[].dependsOn": (["first"], []),
    "WorkflowRun:spec.workflowRef.name": ("other-flow",),
    "WorkflowRun:spec.input": ({"topic": "x"},),
    "allowFrom[].agent": ("neighbour",),
    "allowTo[].agent": ("neighbour",),
    "volumeMounts[].name": ("scratch", "tmp"),
    "Agent:spec.model.provider": ("anthropic", "openai"),
    "ModelConfig:spec.provider": ("anthropic", "openai"),
    "filesystem.path": ("/var/lib/fleetform/below", "/elsewhere"),
    "MCPServer:spec.observability.metrics.port": (3000, 9100),
    # What a rule reads.
    "rbac.allowDangerous": (["secrets"],),
    "rbac.rules[].apiGroups": (["apps"], [""]),
    "rbac.rules[].resources": (["pods"], ["services"]),
    "rbac.rules[].verbs": (["get"], ["list"]),
    "rbac.rules[].resourceNames": (["one"],),
    "triggers[].type": ("cron", "prometheus"),
    "triggers[].metadata": (
        {"timezone": "UTC", "start": "0 8 * * *", "end": "0 18 * * *", "desiredReplicas": "3"},
    ),
    "triggers[].authentication[].parameter": ("password", "username"),
    "Agent:spec.env[].name": ("SSL_CERT_FILE", "OTHER"),
    "env[].valueFrom.fieldRef": ("metadata.name",),
    "configFiles": ({"other.conf": "x"},),
    "affinity.nodeAffinity": (
        {
            "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{"matchExpressions": [{"key": "disk", "operator": "Exists"}]}]
            }
        },
    ),
    "affinity.podAffinity": ({"preferredDuringSchedulingIgnoredDuringExecution": []},),
    "affinity.podAntiAffinity": ({"preferredDuringSchedulingIgnoredDuringExecution": []},),
    "objectPatches[].merge": ({"metadata": {"labels": {"example.com/a": "b"}}},),
    "json6902[].path": ("/metadata/annotations/example.com~1other", "/metadata/labels/other"),
    "json6902[].from": ("/metadata/labels/team", "/metadata/labels/app.kubernetes.io~1name"),
    "json6902[].op": ("add", "test"),
    "json6902[].value": ("2",),
    "objectPatches[].target.kind": ("Deployment", "Service"),
    "objectPatches[].target.name": ("subject", "nobody"),
    "objectPatches[].target.namespace": ("ns", "nowhere"),
    "selector": ({"matchLabels": {"a": "b"}},),
    "parameters[].pattern": ("^[a-z]+$",),
    "parameters[].enum": (["a", "b"],),
    "input[].enum": (["a", "b"],),
    "Agent:spec.outputSchema": ({"type": "object", "properties": {"a": {"type": "string"}}},),
    "extraBody": ({"top_k": 5}, {"top_k": 6}),
    "reasoningEffort": ("low", "high"),
    "parameters[].items": ({"type": "string"},),
    "parameters[].properties": ({"a": {"type": "string"}},),
    "input[].items": ({"type": "string"},),
    "input[].properties": ({"a": {"type": "string"}},),
    "Tool:spec.output": ({"type": "object", "properties": {"a": {"type": "string"}}},),
    "Tool:spec.parameters[].default": ("a",),
    "Workflow:spec.input[].default": ("a",),
    "Workflow:spec.steps[].output[].path": (".result.b", ".result"),
    "Workflow:spec.output": ({"a": "b"},),
    "Workflow:spec.steps[].input": ({"a": "b"},),
    "logging.loggers": ({"uvicorn": "debug"},),
    "expose.port": ("metrics", "http"),
    "identity.gcpServiceAccount": ("a@b.iam.gserviceaccount.com",),
    "identity.awsRoleArn": ("arn:aws:iam::123456789012:role/x",),
    "vectorStore.collection": ("things", "others"),
    "existingClaim.name": ("models", "others"),
    "exec.command": (["true"], ["ls", "/"]),
    "hostAliases[].ip": ("10.1.2.3", "10.1.2.4"),
    "terminationGracePeriodSeconds": (400,),
    "Agent:spec.limits.turnTimeoutSeconds": (60,),
    "MemoryStore:spec.provision.resources.limits.memory": ("3Gi", "4Gi"),
    "ModelConfig:spec.project": ("acme-prod", "acme-dev"),
    "Agent:spec.model.project": ("acme-prod", "acme-dev"),
    "Tool:spec.retrieval.embedding.project": ("acme-prod", "acme-dev"),
    "Agent:spec.limits.queueTimeoutSeconds": (60,),
    "slo.availability": (99.5, 99.9),
    "slo.latency.seconds": (20, 10),
    "slo.latency.percent": (96, 97),
    "slo.window": ("31d", "29d"),
    "Agent:spec.scaling.minReplicas": (1, 2),
    "scaling.maxReplicas": (4, 5),
    "scaling.keda.fallbackReplicas": (2,),
    "target.averageUtilization": (50, 60),
    "podTemplate.priorityClassName": ("important",),
    # Environments.
    "Environment:spec.extends": ("other-root",),
    "Environment:spec.capabilities": (
        ["keda", "prometheus-operator", "external-secrets", "gateway-api"],
        ["keda", "prometheus-operator", "external-secrets", "gateway-api", "cert-manager"],
    ),
    "Environment:spec.targets": (["manifests"], ["manifests", "helm"]),
    "namespaces.map": ({"ns": "ns-mapped"},),
    "namespaces.suffix": ("-x",),
    "images.registry": ("ghcr.io/acme",),
    "secrets.remoteKey": ("{environment}-{namespace}-{name}", "x-{namespace}-{name}"),
    "secrets.modelKeys.name": ("{provider}-key",),
    "secrets.items.{}.remoteKey": ("shared/openai", "other/openai"),
    "secrets.items.{}.version": ("AWSCURRENT", "AWSPREVIOUS"),
    "secrets.items.{}.keys.{}.remoteKey": ("shared/openai", "other/openai"),
    "secrets.items.{}.keys.{}.version": ("AWSCURRENT", "AWSPREVIOUS"),
    "secrets.store.aws.role": ("arn:aws:iam::123456789012:role/reader",),
    "awsRoleArn": ("arn:aws:iam::123456789012:role/x", "arn:aws:iam::123456789012:role/y"),
    "gcpServiceAccount": ("x@acme.iam.gserviceaccount.com", "y@acme.iam.gserviceaccount.com"),
    "azureClientId": (
        "12345678-1234-1234-1234-123456789012",
        "22345678-1234-1234-1234-123456789012",
    ),
    "secrets.store.aws.region": ("eu-west-1", "eu-west-2"),
    "secrets.store.gcp.projectId": ("acme", "acme-two"),
    "secrets.store.azure.vaultUrl": ("https://a.vault.example", "https://b.vault.example"),
    "secrets.store.azure.tenantId": ("12345678-1234-1234-1234-123456789012",),
    "secrets.store.vault.server": ("https://a.example", "https://b.example"),
    "monitoring.severities.page": ("p1", "p2"),
    "monitoring.severities.ticket": ("p3", "p4"),
    "monitoring.runbooks": ("https://runbooks.example/alerts.md",),
    "network.apiServer": (["10.1.0.0/16"],),
    "network.privateRanges": (["10.0.0.0/8"],),
    "network.gatewayRanges": (["35.0.0.0/8"],),
    "network.nodeRanges": (["10.5.0.0/16"],),
    "network.services": ({"cache.data.svc": 6380},),
    "tenants.{}.hard": ({"requests.cpu": "8"},),
    "helm.charts": ("oci://ghcr.io/other/charts", "own/charts"),
    "helm.version": ("1.2.3",),
    "helm.digests": ({"agent": DIGEST, "namespace": DIGEST},),
    "gitops.source.url": ("https://git.example/a.git", "oci://ghcr.io/acme/fleet"),
    "gitops.source.branch": ("release",),
    "gitops.path": ("clusters/a",),
    "gitops.argocd.server": ("https://kubernetes.example",),
    "defaults.Agent": (
        {
            "podTemplate": {"annotations": {"example.com/a": "b"}},
            "resources": {"limits": {"memory": "3Gi"}},
        },
    ),
    "defaults.MCPServer": ({"podTemplate": {"annotations": {"example.com/a": "b"}}},),
    "defaults.MemoryStore": ({"policy": {"maxSessionsPerUser": 7}},),
    "defaults.ModelConfig": ({"maxTokens": 77},),
    "patches[].spec": (
        {
            "podTemplate": {"annotations": {"example.com/a": "b"}},
            "resources": {"limits": {"memory": "3Gi"}},
        },
    ),
    "patches[].target.kind": (["Agent"], "Agent", ["Agent", "MCPServer"]),
    "patches[].target.name": ("subject", "nobody"),
    "Environment:spec.images.runtime": ("example/runtime",),
    "patches[].target.namespace": ("ns", "nowhere"),
    "patches[].target.labels": ({"team": "a"}, {"team": "nobody"}),
    "objectPatches[].target.labels": ({"team": "a"}, {"team": "nobody"}),
    "compose.ports": ({"ns/subject": 8082},),
    "Environment:metadata.name": ("other",),
}
"""Values of leaves by the end of their name, the kind before it where it matters; the first that is another one."""

FORMS: dict[str, tuple[Json, ...]] = {
    patterns.ORIGIN: ("https://one.example", "https://two.example"),
    patterns.URL: ("https://one.example/mcp", "https://two.example/mcp"),
    patterns.OPTIONAL_URL: ("https://one.example/v1", "https://two.example/v1"),
    patterns.REPOSITORY: ("docker.io/library/one", "docker.io/library/two"),
    patterns.ABSOLUTE_PATH: ("/one", "/two"),
    patterns.URL_PATH: ("/one", "/two"),
    patterns.HOST: ("one.example", "two.example"),
    patterns.LABEL_KEY: ("example.com/one", "example.com/two"),
    patterns.DURATION: ("7s", "8s"),
    r"^[0-9a-fA-F.:]+/[0-9]{1,3}$": ("10.1.0.0/16", "10.2.0.0/16"),
    r"^sha256:[a-f0-9]{64}$": (DIGEST, "sha256:" + "b" * 64),
    r"^([0-9]+(\.[0-9]+)?(s|m|h))+$": ("7m", "8m"),
    r"^([0-9]+(s|m|h))+$": ("7m", "8m"),
    r"^/\S*$": ("/one", "/two"),
}
PLAIN = ("one", "two")


def candidates(kind: str, name: str, rule: Rule, current: Json) -> tuple[Json, ...]:
    """Return values of a leaf; none when its type says too little and the table nothing."""
    kind = "Agent" if kind == "AgentTemplate" else kind
    whole = f"{kind}:{name}"
    ends = [
        end
        for end in NAMED
        if whole == end
        or (":" not in end and whole.endswith(f".{end}"))
        or whole.endswith(f":{end}")
    ]
    if ends:
        return NAMED[max(ends, key=len)]
    return _by_type(rule, current)


def _by_type(rule: Rule, current: Json) -> tuple[Json, ...]:
    if "const" in rule or "enum" in rule:
        return (rule["const"],) if "const" in rule else tuple(rule["enum"])
    kind = rule.get("type")
    if kind == ["string", "number"]:
        return ("2", "3") if current != "2" else ("3",)
    if kind == "array" and isinstance(rule.get("items"), dict):
        return tuple([value] for value in _by_type(rule["items"], None))
    if kind == "object":
        names = rule.get("propertyNames", {}).get("enum") or ("one",)
        extra = rule.get("additionalProperties") or {}
        values = _by_type(extra, None) if isinstance(extra, dict) else PLAIN
        return tuple({names[0]: value} for value in values)
    if not isinstance(kind, str):
        return ()
    return _SCALARS.get(kind, lambda rule: ())(rule)


def _numbers(rule: Rule) -> tuple[Json, ...]:
    least = rule.get("minimum", rule.get("exclusiveMinimum", 0))
    most = rule.get("maximum", 1 << 20)
    step = 1 if rule["type"] == "integer" else 0.25
    default = rule.get("default", least)
    return tuple(n for n in (default + step, default - step, least + 2 * step) if least < n <= most)


def _texts(rule: Rule) -> tuple[Json, ...]:
    form = rule.get("pattern")
    if form is None:
        return PLAIN
    if form in FORMS:
        return FORMS[form]
    return tuple(word for word in PLAIN if re.match(form, word))


_SCALARS: dict[str, Callable[[Rule], tuple[Json, ...]]] = {
    "boolean": lambda rule: (True, False),
    "integer": _numbers,
    "number": _numbers,
    "string": _texts,
}
