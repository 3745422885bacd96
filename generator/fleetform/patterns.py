"""Formats of text that Kubernetes prescribes, and hints for them."""

from __future__ import annotations

OWN_API = "fleetform.dev/v1alpha1"

QUANTITY = r"^\+?([0-9]+(\.[0-9]*)?|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][-+]?[0-9]{1,2})?$"
"""A Kubernetes quantity as the API conventions define it, without a minus sign."""
DURATION = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"
"""A duration in Go's syntax, without sign, micro- and nanoseconds."""
LABEL_NAME = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
"""An RFC 1123 label: names of namespaces, agents and everything that becomes a Service."""
REFERENCE_NAME = r"^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$"
"""The name of a document that is referred to: a Tool, a ModelConfig."""
QUALIFIED_NAME = r"^([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?/)?" + REFERENCE_NAME.removeprefix("^")
"""The same, of a document of another namespace with that namespace before it."""
OBJECT_NAME = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
"""An RFC 1123 subdomain: the name of a Secret, a ConfigMap, a ServiceAccount or a StorageClass."""
LABEL_KEY = (
    r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?"
    r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"
)
"""A label's or annotation's key: a domain, or none, and at most 63 characters after it."""
FIELD_REF = (
    r"^(metadata\.(name|namespace|uid|(labels|annotations)\['"
    + LABEL_KEY.removeprefix("^").removesuffix("$")
    + r"'\])|spec\.(nodeName|serviceAccountName)|status\.(host|pod)IPs?)$"
)
"""A field of a pod that a variable can take its value from."""
LABEL_VALUE = r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$"
"""A label's value."""

PATH_SEGMENT = r"^(\.{3,}|\.{0,2}[^/%.][^/%]*)$"
"""A name that the API server puts into a URL: any text without `/` and `%` that is not `.` or `..`."""
PATCHED = "^(Agent|MCPServer|MemoryStore|ModelConfig)$"
"""A kind that an environment's patches change; tests compare it with the table of kinds."""
RESOURCE = (
    r"^(cpu|memory|ephemeral-storage|hugepages-[0-9]+[KMG]i|"
    r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/[A-Za-z0-9]([-A-Za-z0-9_.]{0,52}[A-Za-z0-9])?)$"
)
"""What containers can ask for: also huge pages of a size, and what a device plugin offers."""
PORT_NAME = r"^([0-9]+-?)*[a-z](-?[a-z0-9])*$"
"""The name of a port: at least one letter, no two dashes in a row."""
REPOSITORY = r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?(:[0-9]{1,5})?/)?[a-z0-9]+([._-]+[a-z0-9]+)*(/[a-z0-9]+([._-]+[a-z0-9]+)*)*$"
"""An image's repository, with or without a registry."""
HOST = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*$"
"""A host name in lower case; none of its parts has more than 63 characters."""
HOST_OR_SUFFIX = HOST.replace("^", r"^(\*\.)?", 1)
"""A host name, or all below a domain."""
URL = r"^https?://[^\s/@?#{}]+(/[^\s?#]*)?(\?[^\s#]*)?$"
"""A URL without user and password, as the runtime's contract requires."""
OPTIONAL_URL = URL.replace("^", "^(", 1).replace("$", ")?$")
"""The same, or nothing."""
EFFORT = r"^[a-z]{1,16}$"
GCP_PROJECT = r"^([a-z0-9.-]+:)?[a-z][-a-z0-9]{4,28}[a-z0-9]$"
"""The ID of a Google Cloud project, with the domain of an old one before it."""
ORIGIN = HOST.replace("^", "^https?://", 1).replace("$", "(:[0-9]{1,5})?$")
"""The origin of a web page as browsers send it: scheme, host, and a port unless it is the scheme's own."""
URL_PATH = r"^(/|(/\.{0,2}[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+/?)$"
"""The path of a URL, without empty and dotted segments, which gateways refuse or resolve."""
CIDR = r"^[0-9a-fA-F.:]+/[0-9]{1,3}$"
"""An IPv4 or IPv6 address range; rules check the rest."""
ABSOLUTE_PATH = r"^(/|(/\.{0,2}[^\s/.:\\][^\s/:\\]*)+/?)$"
"""An absolute file system path without `.`, `..`, `//`, colons or backslashes."""
DATA_KEY = r"^\.?[-_a-zA-Z0-9][-._a-zA-Z0-9]*$"
"""A key of a ConfigMap or Secret; it becomes a file name, so `.` and names that start with `..` are not valid."""

WORDS = {
    QUANTITY: "write a quantity such as `250m`, `1.5`, `512Mi` or `10Gi` (`k` is small, `Ki` is not)",
    DURATION: "write a duration such as `30s`, `5m` or `1h30m`",
    LABEL_NAME: "use lower-case letters, digits and dashes, with a letter or digit at both ends",
    LABEL_VALUE: "use letters, digits, dashes, dots and underscores, with a letter or digit at both ends",
    REFERENCE_NAME: "use letters, digits, dashes, dots and underscores, with a letter or digit at both ends",
    QUALIFIED_NAME: "write a name such as `gpt`, or `team-a/gpt` for that of another namespace",
    OBJECT_NAME: "use lower-case letters, digits, dashes and dots, with a letter or digit at both ends of each part: Kubernetes takes no other name",
    FIELD_REF: "known: metadata.name, metadata.namespace, metadata.uid, metadata.labels['KEY'], metadata.annotations['KEY'], spec.nodeName, spec.serviceAccountName, status.hostIP, status.hostIPs, status.podIP, status.podIPs",
    PATH_SEGMENT: "write a name without `/` and `%`",
    LABEL_KEY: "write a key such as `team` or `example.com/team`",
    PATCHED: "write Agent, MCPServer, MemoryStore or ModelConfig, or a list of them",
    RESOURCE: "write `cpu`, `memory`, `ephemeral-storage`, `hugepages-2Mi`, or a device with its domain, such as `nvidia.com/gpu`",
    PORT_NAME: "use lower-case letters and digits, at least one letter, single dashes between them",
    REPOSITORY: "write a repository such as `team/agent` or `ghcr.io/team/agent`; tag and digest have their own fields",
    HOST: "write a host name in lower case, such as `redis.data.svc`",
    HOST_OR_SUFFIX: "write a host such as `support.example.com`, or `*.example.com` for every host below",
    URL: "write a URL such as `http://name.namespace.svc:8080/path`, without user, password and fragment",
    OPTIONAL_URL: "write a URL such as `http://name.namespace.svc:8080/v1`, or leave it out",
    GCP_PROJECT: "write the project's ID, such as `acme-prod`: 6 to 30 lower-case letters, digits and dashes",
    ORIGIN: "write an origin such as `https://app.example.com` or `http://localhost:3000`: exactly as browsers send it, without path and wildcard",
    URL_PATH: "write a path such as `/health`, without `.`, `..` and `//`",
    CIDR: "write a range such as 10.20.0.0/16 or fd12:3456::/48",
    ABSOLUTE_PATH: "write an absolute path such as `/data`, without `.`, `..`, `//`, colon and backslash",
    DATA_KEY: "use letters, digits, dashes, dots and underscores, and do not start with two dots",
}
"""Hints, by pattern."""
