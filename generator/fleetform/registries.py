"""Container registries: the digest that a tag has now, by the protocol of the OCI distribution specification."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode, urlsplit
from urllib.request import Request, urlopen

from fleetform.hashes import sha256
from fleetform.plan.images import has_registry
from fleetform.records import NamedTuple

MANIFESTS = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
"""What a tag may name: an index of several platforms first, as `docker pull` asks."""
DIGEST = re.compile(r"sha256:[a-f0-9]{64}")
SECONDS = 30
"""Longest wait for one answer."""
_LARGEST = 4 * 1024 * 1024
"""Bytes of a manifest, the limit that registries have too, and of a token."""
_HUB = "docker.io"
_HUB_HOST = "registry-1.docker.io"
_HUB_LOGIN = "https://index.docker.io/v1/"
_PARAMETER = re.compile(r'(\w+)="([^"]*)"')


class RegistryError(Exception):
    """A registry does not tell a digest; `hint` says what to do."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


class Reference(NamedTuple):
    """A tag of a repository: `host` is the registry's, with its port."""

    host: str
    repository: str
    tag: str

    def __str__(self) -> str:
        return f"{self.host}/{self.repository}:{self.tag}"


def parse(text: str) -> Reference:
    """Return the parts of `[HOST/]REPOSITORY:TAG`; without a host it is one of Docker Hub.

    Raises ValueError if there is no tag.
    """
    name, _, tag = text.rpartition(":")
    if not name or "/" in tag:
        raise ValueError(text)
    host, slash, rest = name.partition("/")
    if has_registry(name):
        return Reference(host, rest if host != _HUB or "/" in rest else f"library/{rest}", tag)
    return Reference(_HUB, name if slash else f"library/{name}", tag)


def digest(reference: Reference) -> str:
    """Return the digest of a tag, in the form `sha256:…`.

    Credentials are those of `docker login`: `config.json` in $DOCKER_CONFIG or ~/.docker, and the
    credential helpers that it names. Only registries on this machine are asked without TLS.

    Raises:
        RegistryError: the registry cannot be reached, refuses, or does not have the tag.
    """
    host = _HUB_HOST if reference.host == _HUB else reference.host
    url = f"{_scheme(host)}://{host}/v2/{reference.repository}/manifests/{reference.tag}"
    headers = {"Accept": ", ".join(MANIFESTS)}
    answer, _ = _ask(reference, "HEAD", url, headers)
    if answer.status == 401:
        headers |= _authorization(reference, answer.headers.get("WWW-Authenticate", ""))
        answer, _ = _ask(reference, "HEAD", url, headers)
    if answer.status == 200:
        found = str(answer.headers.get("Docker-Content-Digest", ""))
        if not found:  # the specification does not require it
            answer, body = _ask(reference, "GET", url, headers)
            found = f"sha256:{sha256(body)}" if answer.status == 200 else ""
        if DIGEST.fullmatch(found):
            return found
    if answer.status == 404:
        raise RegistryError(f"there is no image `{reference}`", "check repository and tag")
    if answer.status in (401, 403):
        raise RegistryError(
            f"{reference.host} refuses access to `{reference.repository}`",
            f"run `docker login {reference.host}`, or check what the account may read",
        )
    raise RegistryError(
        f"{reference.host} tells no digest of `{reference}` (HTTP {answer.status})",
        "try again later, or write the digest by hand",
    )


class _Answer(NamedTuple):
    status: int
    headers: Any


def _ask(
    reference: Reference, method: str, url: str, headers: dict[str, str]
) -> tuple[_Answer, bytes]:
    """Return status, headers and body of an answer, whatever its status is."""
    request = Request(url, method=method)  # noqa: S310 - http for this machine only
    for name, value in headers.items():  # credentials do not follow a redirect
        request.add_unredirected_header(name, value)
    try:
        with urlopen(request, timeout=SECONDS) as answer:  # noqa: S310
            return _Answer(answer.status, answer.headers), _bounded(reference, answer)
    except HTTPError as error:
        with error:
            return _Answer(error.code, error.headers), b""
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise RegistryError(
            f"{reference.host} cannot be reached: {reason}",
            "check the name and the network; HTTPS_PROXY is respected",
        ) from None


def _bounded(reference: Reference, answer: Any) -> bytes:
    body: bytes = answer.read(_LARGEST + 1)
    if len(body) > _LARGEST:
        raise RegistryError(
            f"{reference.host} sends more than a manifest may have", "check what answers there"
        )
    return body


def _scheme(host: str) -> str:
    name = urlsplit(f"//{host}").hostname
    return "http" if name in ("localhost", "127.0.0.1", "::1") else "https"


# -- signing in --------------------------------------------------------------------------------


def _authorization(reference: Reference, challenge: str) -> dict[str, str]:
    """Return the header that answers a challenge; empty if there is none."""
    user = _credentials(reference.host)
    basic = {"Authorization": f"Basic {user}"} if user else {}
    kind, _, rest = challenge.partition(" ")
    if kind.lower() != "bearer":
        return basic
    asked = dict(_PARAMETER.findall(rest))
    realm = asked.pop("realm", "")
    scheme, host = urlsplit(realm)[:2]
    if scheme != "https" and (scheme != "http" or _scheme(host) != "http"):
        raise RegistryError(
            f"{reference.host} wants sign-in without TLS at `{realm[:200]}`",
            "credentials are not sent there: check what answers at this name",
        )
    query = urlencode({key: asked[key] for key in ("service", "scope") if key in asked})
    url = f"{realm}{'&' if '?' in realm else '?'}{query}"
    answer, body = _ask(reference, "GET", url, basic)
    try:
        given = json.loads(body) if answer.status == 200 else {}
        token = given.get("token") or given.get("access_token") or ""
    except (ValueError, AttributeError):
        token = ""
    return {"Authorization": f"Bearer {token}"} if token else {}


def _credentials(host: str) -> str:
    """Return `user:password` in Base64, empty if nobody signed in to the registry."""
    folder = os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker"
    try:
        config = json.loads((Path(folder) / "config.json").read_bytes())
        name = _HUB_LOGIN if host == _HUB else host
        helper = config.get("credHelpers", {}).get(name) or config.get("credsStore", "")
        if helper:
            return _helped(str(helper), name)
        entry = config.get("auths", {}).get(name) or config.get("auths", {}).get(f"https://{name}")
        return str((entry or {}).get("auth", ""))
    except (OSError, ValueError, KeyError, AttributeError, subprocess.TimeoutExpired):
        return ""


def _helped(helper: str, name: str) -> str:
    """Return what a credential helper knows of a registry."""
    if not re.fullmatch(r"[A-Za-z0-9_-]+", helper):
        return ""
    done = subprocess.run(  # noqa: S603 - the helper that the user chose for Docker
        [f"docker-credential-{helper}", "get"],
        input=name.encode(),
        capture_output=True,
        timeout=SECONDS,
        check=False,
    )
    if done.returncode:
        return ""
    found = json.loads(done.stdout)
    return base64.b64encode(f"{found['Username']}:{found['Secret']}".encode()).decode()
