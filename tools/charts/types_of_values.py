"""The types of chart values, by the words used in values.yaml.

A comment in values.yaml starts with the type of its value: `# -- (list of core.v1 Toleration) …`.
It is one of the names below, a Kubernetes type (`core.v1 Toleration`), `one of` some words, or a
`list of` any of these. A value that is a non-empty map in values.yaml is closed: only its existing
keys may be set.
"""

from typing import Any

from fleetform.patterns import DATA_KEY
from fleetform.platforms.kubernetes.alerts import THRESHOLDS

Schema = dict[str, Any]


def kubernetes(group: str, kind: str) -> Schema:
    """Return a reference to one of Kubernetes' own types, such as core.v1 Volume."""
    return {"$ref": f"io.k8s.api.{group}.{kind}"}


def many(item: Schema, **rules: Any) -> Schema:
    """Return a list."""
    return {"type": "array", "items": item, **rules}


def closed(required: tuple[str, ...] = (), **properties: Schema) -> Schema:
    """Return an object with only these fields."""
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
# Not with propertyNames: Helm's validator would report another path than the one at fault.
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

PERCENT: Schema = {"type": "number", "minimum": 50, "maximum": 99.999}
FRACTION: Schema = {"type": "number", "minimum": 0.001, "maximum": 0.999}

TYPES: dict[str, Schema] = {
    "string": TEXT,
    "bool": FLAG,
    "fraction": FRACTION,
    "share below 1": {"type": "number", "minimum": 0, "exclusiveMaximum": 1},
    "seconds or 0": {"type": "number", "minimum": 0, "exclusiveMaximum": 300},
    "canary step": closed(
        ("weight",),
        weight={"type": "integer", "minimum": 1, "maximum": 99},
        pause={**TEXT, "pattern": "^[1-9][0-9]{0,4}[smh]$"},
    ),
    "thresholds by name": {
        "type": "object",
        "additionalProperties": closed((), **dict.fromkeys(THRESHOLDS, FRACTION)),
    },
    "objectives by name": {
        "type": "object",
        "additionalProperties": closed(
            ("minRequests", "days"),
            availability=PERCENT,
            latency=PERCENT,
            bucket={**TEXT, "pattern": r"^[0-9]+\.[0-9]+$"},
            minRequests=SOME,
            days={"type": "integer", "minimum": 28, "maximum": 90},
        ),
    },
    "dashboard uid": {**TEXT, "pattern": "^[-_A-Za-z0-9]{0,40}$"},
    "dashboard title": {**TEXT, "pattern": r'^[^"\\@]*$', "maxLength": 253},
    "map": MAP,
    "count": COUNT,
    "count above 0": SOME,
    "map of strings": TEXT_MAP,
    "name": NAME,
    "required name": {**NAME, "minLength": 1},
    "full name": {**NAME, "maxLength": 53},
    "component name": {**LABEL, "minLength": 1, "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"},
    "label value": LABEL,
    "label values": {"type": "object", "additionalProperties": LABEL},
    "labels": LABELS,
    "quantity": QUANTITY,
    "quantities": QUANTITIES,
    "duration": DURATION,
    'duration or ""': {"anyOf": [DURATION, {"const": ""}]},
    "digest": DIGEST,
    "tag": TAG,
    "repository": REPOSITORY,
    "path": PATH,
    'path or ""': {**TEXT, "pattern": "^(/.*)?$"},
    "port": PORT,
    "USD or 0": {"type": "number", "minimum": 0, "maximum": 100000},
    "port or 0": {"type": "integer", "minimum": 0, "maximum": 65535},
    "port name": PORT_NAME,
    "number or name": {"type": ["integer", "string"]},
    "agent settings": {
        "type": "object",
        "if": {"minProperties": 1},
        "then": {"$ref": "agent.json"},
    },
    "files": {
        "type": "object",
        "additionalProperties": False,
        "patternProperties": {"^[-._a-zA-Z0-9]{1,253}$": TEXT},
    },
    "secret keys": closed(
        ("name", "keys"), name={**NAME, "minLength": 1}, keys=many(SECRET_KEY, minItems=1)
    ),
    "container port": closed(
        ("name", "containerPort"),
        name=PORT_NAME,
        containerPort=PORT,
        servicePort=PORT,
        protocol=one_of("TCP", "UDP", "SCTP"),
        appProtocol=TEXT,
    ),
    "claim": CLAIM,
    "trigger": closed(
        ("type", "metadata"),
        type={**TEXT, "minLength": 1},
        name=TEXT,
        metricType=one_of("AverageValue", "Value", "Utilization"),
        metadata=TEXT_MAP,
        secretTargetRef=many(
            closed(("parameter", "name", "key"), parameter=TEXT, name=NAME, key=SECRET_KEY)
        ),
    ),
    "integers": many({"type": "integer"}),
    "route parent": closed(
        ("name",), group=TEXT, kind=TEXT, name=NAME, namespace=NAME, sectionName=NAME, port=PORT
    ),
    "share of a route": closed(
        ("name", "port", "weight"),
        name=NAME,
        port=PORT,
        weight={"type": "integer", "minimum": 0, "maximum": 100},
    ),
    "people": closed(
        ("role", "groups", "rules"),
        role=one_of("edit", "view"),
        groups=many(TEXT, minItems=1),
        rules=many(MAP),
    ),
    "ingress host": closed(
        ("host", "paths"),
        host=TEXT,
        paths=many(
            closed(
                ("path",), path=PATH, pathType=one_of("Prefix", "Exact", "ImplementationSpecific")
            ),
            minItems=1,
        ),
    ),
    "issuer": closed(group=TEXT, kind=TEXT, name=NAME),
    "external secret": {
        **closed(
            ("name",),
            name={**NAME, "minLength": 1},
            type=TEXT,
            remoteKey=TEXT,
            version=TEXT,
            keys=many(
                {
                    "anyOf": [
                        SECRET_KEY,
                        closed(
                            ("key",), key=SECRET_KEY, remoteKey=TEXT, property=TEXT, version=TEXT
                        ),
                    ]
                }
            ),
        ),
        "anyOf": [{"required": ["remoteKey"]}, {"required": ["keys"]}],
    },
    "alert group": {
        "type": "object",
        "required": ["name", "rules"],
        "properties": {"name": TEXT, "rules": many({"type": "object", "required": ["expr"]})},
    },
}


def schema_of(words: str) -> Schema:
    """Return the type with a name. Raises KeyError for an unknown one."""
    if words in TYPES:
        return TYPES[words]
    start, _, rest = words.partition(" of ")
    if start == "list" and rest:
        return many(schema_of(rest))
    if start == "one" and rest:
        return one_of(*(word.strip().strip('"') for word in rest.split(",")))
    group, _, kind = words.partition(" ")
    if "." not in group or not kind:
        raise KeyError(words)
    return kubernetes(group, kind)
