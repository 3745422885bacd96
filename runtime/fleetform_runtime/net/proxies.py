"""The proxy of a request, as `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` say.

Lower-case names go first, as in curl. `NO_PROXY` takes what Kubernetes users write into it: hosts
and their subdomains, `.svc`, addresses, networks such as 10.0.0.0/8, each with a port if it is
meant, and `*`. What is called localhost is this machine, and asked directly, as Go's programs do.
"""

import ipaddress
import os
from functools import lru_cache


def proxy_of(scheme: str, host: str, port: int) -> str | None:
    """Return the URL of the proxy through which an origin is reached, or None."""
    if scheme == "https":
        found = os.environ.get("https_proxy") or os.environ.get("HTTPS_PROXY")
    else:
        found = os.environ.get("http_proxy") or os.environ.get("HTTP_PROXY")
    if not found or host == "localhost" or host.endswith(".localhost"):
        return None
    if _is_direct(host, port, os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""):
        return None
    return found if "://" in found else f"http://{found}"


@lru_cache(maxsize=256)
def _is_direct(host: str, port: int, exceptions: str) -> bool:
    return any(_matches(host, port, item.strip().lower()) for item in exceptions.split(","))


def _matches(host: str, port: int, item: str) -> bool:
    if item == "*":
        return True
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(item, strict=False)
    except ValueError:
        pass
    name, colon, number = item.rpartition(":")
    if colon and number.isdigit() and (":" not in name or name.endswith("]")):
        if int(number) != port:
            return False
        item = name
    item = item.strip("[]").removeprefix("*").lstrip(".")
    return bool(item) and (host == item or host.endswith(f".{item}"))
