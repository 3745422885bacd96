"""The environment variables that the runtime and its libraries read.

Everything else is in agent.json. Every request goes through the proxy that they name; connections
to stores are no requests and never do.
"""

from typing import Literal

Reader = Literal["always", "tracing", "bedrock"]
"""When a variable is read: always, with tracing on, or with a Bedrock model."""

_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")

ENVIRONMENT: dict[str, tuple[Reader, ...]] = {
    "FLEETFORM_CONFIG": ("always",),
    "WORKFLOW_RUN": ("always",),
    "SSL_CERT_FILE": ("always",),
    "SSL_CERT_DIR": ("always",),
    "SSLKEYLOGFILE": ("always",),
    "PATH": ("always",),
    "HOME": ("always",),
    "TMPDIR": ("always",),
    "TZ": ("always",),
    "LANG": ("always",),
    "LC_*": ("always",),
    "PYTHON*": ("always",),
    "MALLOC_*": ("always",),
    **dict.fromkeys(_PROXIES, ("always",)),
    "OTEL_*": ("tracing",),
    "AWS_*": ("bedrock",),
}
"""Names, with `*` for any suffix, and when they are read."""
