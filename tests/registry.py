"""A real container registry on loopback."""

import hashlib
import json
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.ports import free_port
from tests.tools import tool

CONFIGURATION = """\
version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: {folder}}}}}
http: {{addr: 127.0.0.1:{port}}}
"""
INDEX = "application/vnd.oci.image.index.v1+json"


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """Start a registry, yield its host and port, and stop exactly that one."""
    port = free_port()
    file = folder / "config.yml"
    file.write_text(CONFIGURATION.format(folder=folder / "data", port=port))
    process = subprocess.Popen(
        [tool("registry"), "serve", file], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _wait_for(f"http://127.0.0.1:{port}/v2/", process)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(120)


def push_index(host: str, repository: str, tag: str, note: str) -> str:
    """Push an index of no images with a note that tells it from others; return its digest."""
    body = json.dumps(
        {"schemaVersion": 2, "mediaType": INDEX, "manifests": [], "annotations": {"note": note}}
    ).encode()
    request = urllib.request.Request(
        f"http://{host}/v2/{repository}/manifests/{tag}",
        data=body,
        headers={"Content-Type": INDEX},
        method="PUT",
    )
    with urllib.request.urlopen(request, timeout=120) as answer:
        assert answer.status == 201
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 120
    while time.monotonic() < until:
        assert process.poll() is None, "the registry did not start"
        try:
            with urllib.request.urlopen(url, timeout=120) as answer:
                assert answer.status == 200
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError("the registry does not answer")
