"""The types of the charts' values, by path; descriptions and defaults stand in values.yaml.

A value that is a filled map in values.yaml is closed: nothing but what stands there may be set.
"""

from typing import Any

from fleetform.patterns import DATA_KEY
from fleetform.platforms.kubernetes import podfields

Schema = dict[str, Any]


def kubernetes(group: str, kind: str) -> Schema:
    """Return a reference to one of Kubernetes' own types, such as core.v1 Volume."""
    return {"$ref": f"io.k8s.api.{group}.{kind}"}


def many(item: Schema, **rules: Any) -> Schema:
    """Return a list."""
    return {"type": "array", "items": item, **rules}


def closed(required: tuple[str, ...] = (), **properties: Schema) -> Schema:
    """Return an object of these fields only."""
    body: Schema = {"type": "object", "additionalProperties": False, "properties": properties}
    return {**body, "required": list(required)} if required else body


def one_of(*words: str) -> Schema:
    """Return a choice of words."""
    return {"type": "string", "enum": list(words)}


TEXT: Schema = {"type": "string"}
FLAG: Schema = {"type": "boolean"}
MAP: Schema = {"type": "object"}
COUNT: Schema = {"type": "integer", "minimum": 0}
SECONDS = COUNT
SOME: Schema = {"type": "integer", "minimum": 1}
PORT: Schema = {"type": "integer", "minimum": 1, "maximum": 65535}
TEXTS = many(TEXT)
TEXT_MAP: Schema = {"type": "object", "additionalProperties": TEXT}
NAME: Schema = {**TEXT, "maxLength": 253, "pattern": "^([a-z0-9]([-a-z0-9.]*[a-z0-9])?)?$"}
LABEL: Schema = {
    **TEXT,
    "maxLength": 63,
    "pattern": "^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$",
}
# Not by propertyNames: Helm's validator then names another path than the one at fault.
LABELS: Schema = {
    "type": "object",
    "additionalProperties": LABEL,
    "patternProperties": {"^app\\.kubernetes\\.io/": False},
}
QUANTITY: Schema = {
    "type": ["string", "number"],
    "pattern": r"^([0-9]+(\.[0-9]*)?|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?$",
}
QUANTITIES: Schema = {"type": "object", "additionalProperties": QUANTITY}
DURATION: Schema = {**TEXT, "pattern": r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"}
DIGEST: Schema = {**TEXT, "pattern": "^(sha256:[a-f0-9]{64})?$"}
TAG: Schema = {**TEXT, "pattern": "^([A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?$"}
REPOSITORY: Schema = {
    **TEXT,
    "minLength": 1,
    "maxLength": 255,
    "pattern": "^[a-z0-9][-a-z0-9._/:]*$",
}
PATH: Schema = {**TEXT, "pattern": "^/"}
PORT_NAME: Schema = {**TEXT, "maxLength": 15, "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"}
SECRET_KEY: Schema = {**TEXT, "minLength": 1, "maxLength": 253, "pattern": DATA_KEY}
CLAIM = closed(
    ("name", "size"),
    name=NAME,
    size=QUANTITY,
    accessMode=one_of("ReadWriteOnce", "ReadWriteOncePod", "ReadWriteMany", "ReadOnlyMany"),
    storageClassName=NAME,
)
PROBE: dict[str, Schema] = {
    "enabled": FLAG,
    "path": {**TEXT, "pattern": "^(/.*)?$"},
    "port": {"type": ["integer", "string"]},
    "initialDelaySeconds": SECONDS,
    "periodSeconds": SOME,
    "timeoutSeconds": SOME,
    "failureThreshold": SOME,
}
BEHAVIOR = kubernetes("autoscaling.v2", "HorizontalPodAutoscalerBehavior")
CONTAINERS = many(kubernetes("core.v1", "Container"))


def _below(prefix: str, types: dict[str, Schema]) -> dict[str, Schema]:
    return {f"{prefix}.{name}": schema for name, schema in types.items()}


AGENT: dict[str, Schema] = {
    "fullnameOverride": {**NAME, "maxLength": 53},
    "component": {**LABEL, "minLength": 1, "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"},
    "version": LABEL,
    "commonLabels": LABELS,
    "kind": one_of("Deployment", "StatefulSet"),
    "workloadAnnotations": TEXT_MAP,
    "textAnnotations": TEXT_MAP,
    "retainedAnnotations": TEXT_MAP,
    "image.repository": REPOSITORY,
    "image.tag": TAG,
    "image.digest": DIGEST,
    "image.pullPolicy": one_of("", "Always", "IfNotPresent", "Never"),
    "imagePullSecrets": many(kubernetes("core.v1", "LocalObjectReference")),
    "command": TEXTS,
    "args": TEXTS,
    "workingDir": TEXT,
    "config": {"type": "object", "if": {"minProperties": 1}, "then": {"$ref": "agent.json"}},
    "prompt": TEXT,
    "configFiles": {
        "type": "object",
        "additionalProperties": False,
        "patternProperties": {"^[-._a-zA-Z0-9]{1,253}$": TEXT},
    },
    "configDir": PATH,
    "secretFiles": many(
        closed(("name", "keys"), name={**NAME, "minLength": 1}, keys=many(SECRET_KEY, minItems=1))
    ),
    "extraEnv": many(kubernetes("core.v1", "EnvVar")),
    "ports": many(
        closed(
            ("name", "containerPort"),
            name=PORT_NAME,
            containerPort=PORT,
            servicePort=PORT,
            protocol=one_of("TCP", "UDP", "SCTP"),
            appProtocol=TEXT,
        )
    ),
    **_below("startupProbe", PROBE),
    **_below("readinessProbe", PROBE),
    **_below("livenessProbe", PROBE),
    "preStopSleepSeconds": SECONDS,
    "terminationGracePeriodSeconds": SECONDS,
    "resources.requests": QUANTITIES,
    "resources.limits": QUANTITIES,
    "podSecurityContext": kubernetes("core.v1", "PodSecurityContext"),
    "securityContext": kubernetes("core.v1", "SecurityContext"),
    "tmp.sizeLimit": QUANTITY,
    "extraVolumes": many(kubernetes("core.v1", "Volume")),
    "extraVolumeMounts": many(kubernetes("core.v1", "VolumeMount")),
    "volumeClaimTemplates": many(CLAIM),
    "sidecars": CONTAINERS,
    "initContainers": CONTAINERS,
    "podLabels": LABELS,
    "podAnnotations": TEXT_MAP,
    **{field.name: field.schema for field in podfields.PLAIN},
    "topologySpreadConstraints": many(kubernetes("core.v1", "TopologySpreadConstraint")),
    "replicaCount": COUNT,
    "revisionHistoryLimit": COUNT,
    "strategy": kubernetes("apps.v1", "DeploymentStrategy"),
    "autoscaling.enabled": FLAG,
    "autoscaling.minReplicas": COUNT,
    "autoscaling.maxReplicas": SOME,
    "autoscaling.targetCPUUtilizationPercentage": SOME,
    "autoscaling.metrics": many(kubernetes("autoscaling.v2", "MetricSpec")),
    "autoscaling.behavior": BEHAVIOR,
    "keda.enabled": FLAG,
    "keda.minReplicas": COUNT,
    "keda.maxReplicas": SOME,
    "keda.triggers": many(
        closed(
            ("type", "metadata"),
            type={**TEXT, "minLength": 1},
            name=TEXT,
            metricType=one_of("AverageValue", "Value", "Utilization"),
            metadata=TEXT_MAP,
            secretTargetRef=many(
                closed(("parameter", "name", "key"), parameter=TEXT, name=NAME, key=SECRET_KEY)
            ),
        )
    ),
    "keda.behavior": BEHAVIOR,
    "keda.pollingInterval": SOME,
    "keda.cooldownPeriod": SECONDS,
    "keda.fallbackReplicas": COUNT,
    "podDisruptionBudget.enabled": FLAG,
    "podDisruptionBudget.maxUnavailable": {"type": ["integer", "string"]},
    "serviceAccount.create": FLAG,
    "serviceAccount.name": NAME,
    "serviceAccount.annotations": TEXT_MAP,
    "rbac.clusterWide": FLAG,
    "rbac.rules": many(kubernetes("rbac.v1", "PolicyRule")),
    "service.type": one_of("ClusterIP", "NodePort", "LoadBalancer"),
    "service.annotations": TEXT_MAP,
    "service.headless": FLAG,
    "networkPolicy.enabled": FLAG,
    "networkPolicy.dns": FLAG,
    "networkPolicy.ingress": many(kubernetes("networking.v1", "NetworkPolicyIngressRule")),
    "networkPolicy.egress": many(kubernetes("networking.v1", "NetworkPolicyEgressRule")),
    "serviceMonitor.enabled": FLAG,
    "serviceMonitor.port": PORT_NAME,
    "serviceMonitor.path": PATH,
    "serviceMonitor.interval": DURATION,
    "serviceMonitor.labels": {"type": "object", "additionalProperties": LABEL},
    "httpRoute.enabled": FLAG,
    "httpRoute.annotations": TEXT_MAP,
    "httpRoute.parentRefs": many(
        closed(
            ("name",), group=TEXT, kind=TEXT, name=NAME, namespace=NAME, sectionName=NAME, port=PORT
        )
    ),
    "httpRoute.hostnames": TEXTS,
    "httpRoute.path": PATH,
    "httpRoute.port": {"type": "integer", "minimum": 0, "maximum": 65535},
    "httpRoute.requestTimeout": DURATION,
    "ingress.enabled": FLAG,
    "ingress.className": NAME,
    "ingress.annotations": TEXT_MAP,
    "ingress.hosts": many(
        closed(
            ("host", "paths"),
            host=TEXT,
            paths=many(
                closed(
                    ("path",),
                    path=PATH,
                    pathType=one_of("Prefix", "Exact", "ImplementationSpecific"),
                ),
                minItems=1,
            ),
        )
    ),
    "ingress.port": {"type": "integer", "minimum": 0, "maximum": 65535},
    "ingress.tls": many(kubernetes("networking.v1", "IngressTLS")),
    "certificate.enabled": FLAG,
    "certificate.secretName": NAME,
    "certificate.dnsNames": TEXTS,
    "certificate.issuerRef": closed(group=TEXT, kind=TEXT, name=NAME),
    "tests.enabled": FLAG,
    "tests.image.repository": REPOSITORY,
    "tests.image.tag": TAG,
    "tests.image.digest": DIGEST,
}

NAMESPACE: dict[str, Schema] = {
    "commonLabels": LABELS,
    "textAnnotations": TEXT_MAP,
    "retainedAnnotations": TEXT_MAP,
    "networkPolicy.defaultDeny": FLAG,
    "quota.hard": QUANTITIES,
    "limits.default": QUANTITIES,
    "limits.defaultRequest": QUANTITIES,
    "limits.max": QUANTITIES,
    "secretStore.name": {**NAME, "minLength": 1},
    "secretStore.kind": one_of("SecretStore", "ClusterSecretStore"),
    "secretStore.provider": MAP,
    "refreshInterval": DURATION,
    "externalSecrets": many(
        closed(
            ("name", "remoteKey"),
            name={**NAME, "minLength": 1},
            remoteKey=TEXT,
            keys=many(SECRET_KEY),
        )
    ),
    "claims": many(CLAIM),
    "alerts.enabled": FLAG,
    "alerts.labels": {"type": "object", "additionalProperties": LABEL},
    "alerts.groups": many(
        {
            "type": "object",
            "required": ["name", "rules"],
            "properties": {"name": TEXT, "rules": many({"type": "object", "required": ["expr"]})},
        }
    ),
}
