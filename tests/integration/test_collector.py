"""The real OpenTelemetry Collector, by the configuration that is rendered, between a real agent and a backend."""

import gzip
import json
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from runtime.tests.process import Runtime
from runtime.tests.servers import PATIENCE
from tests.ports import free_port
from tests.tools import run, tool
from tests.unit.test_alerts import OF_COLLECTOR
from tests.unit.test_collector import config, environment, rendered

pytestmark = pytest.mark.proof

SECRET = "Basic c2s6$x: 1e3 #=="  # made up: neither YAML nor a variable
ALL = """exporters:
      - {name: tempo, endpoint: "http://tempo.observability.svc:4318", headers: {X-Scope-OrgID: a$b}}
      - {name: saas, endpoint: "https://otlp.acme.example/api", secretHeaders: {Authorization: {name: backend, key: basic}, X-Key: {name: backend, key: key}}}
      - {name: inner, protocol: grpc, endpoint: "https://otlp.acme.example:4317", caSecretRef: {name: corp, key: ca.crt}}
      - {name: bare, protocol: grpc, endpoint: "http://jaeger.observability.svc:4317"}
"""
ONE = """exporters:
      - {name: tempo, endpoint: "http://tempo.observability.svc:4318", headers: {X-Scope-OrgID: a$b}, secretHeaders: {Authorization: {name: backend, key: basic}}}
"""


def written(folder: Path, document: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "collector.json"
    file.write_text(json.dumps(document))
    return file


def validate(file: Path) -> str:
    done = run("otelcol", "validate", f"--config={file}")
    assert done.returncode in (0, 1)
    return done.stderr if done.returncode else ""


def test_the_collector_takes_the_configuration_and_would_not_take_another(tmp_path):
    found = config(rendered(tmp_path, environment(ALL)))
    found["exporters"]["otlp_grpc/inner"]["tls"]["ca_file"] = str(tmp_path / "ca.crt")
    assert validate(written(tmp_path / "good", found)) == ""
    for number, (place, key) in enumerate(
        [
            (found["processors"]["batch"], "send_batch_sise"),
            (found["exporters"]["otlp_http/tempo"]["sending_queue"], "queue_sise"),
            (found["service"]["pipelines"]["traces"], "exporter"),
            (found["receivers"]["otlp"]["protocols"], "https"),
        ]
    ):
        place[key] = 1
        assert key in validate(written(tmp_path / str(number), found))
        del place[key]


class Backend:
    """What a backend got: headers, and names of spans by service."""

    def __init__(self) -> None:
        self.headers: list[dict[str, str]] = []
        self.spans: list[tuple[str, str]] = []
        self.status = 200

    def take(self, headers: dict[str, str], body: bytes) -> None:
        self.headers.append(headers)
        sent = ExportTraceServiceRequest.FromString(body)
        for resource in sent.resource_spans:
            attributes = {a.key: a.value.string_value for a in resource.resource.attributes}
            self.spans += [
                (attributes["service.name"], span.name)
                for scope in resource.scope_spans
                for span in scope.spans
            ]


@contextmanager
def backend() -> Iterator[tuple[Backend, str]]:
    """Serve a backend on loopback until the block ends."""
    kept = Backend()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            zipped = self.headers.get("Content-Encoding") == "gzip"
            if kept.status == 200:
                kept.take(
                    {k.lower(): v for k, v in self.headers.items()},
                    gzip.decompress(body) if zipped else body,
                )
            self.send_response(kept.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield kept, f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def collector(folder: Path, found: Any, url: str) -> Iterator[dict[str, int]]:
    """Run the collector by a rendered configuration until the block ends, on free ports and with another backend."""
    ports = {name: free_port() for name in ("http", "grpc", "health", "metrics")}
    protocols = found["receivers"]["otlp"]["protocols"]
    assert protocols["http"]["endpoint"] == ":4318"
    assert protocols["grpc"]["endpoint"] == ":4317"
    for name in ("http", "grpc"):
        protocols[name]["endpoint"] = f":{ports[name]}"
    found["extensions"]["health_check"]["endpoint"] = f":{ports['health']}"
    reader = found["service"]["telemetry"]["metrics"]["readers"][0]
    reader["pull"]["exporter"]["prometheus"]["port"] = ports["metrics"]
    (exporter,) = found["exporters"].values()
    exporter["endpoint"] = url
    file = written(folder, found)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [tool("otelcol"), f"--config={file}"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={"EXPORTER_0_HEADER_0": SECRET, "HOME": "/nowhere"},
        )
        try:
            health = f"http://127.0.0.1:{ports['health']}/"
            until(lambda: asked(health) or process.poll() is not None)
            yield ports
        finally:
            process.terminate()
            assert process.wait(PATIENCE) == 0, (folder / "log").read_text()


def asked(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
            return str(answer.read().decode())
    except OSError:
        return ""


def until(done: Any) -> None:
    limit = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < limit
        time.sleep(0.05)


def chat(server: Runtime) -> None:
    request = urllib.request.Request(
        f"{server.url}/chat",
        data=json.dumps({"message": "say 3 words"}).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        assert answer.status == 200


def agent(folder: Path, ports: dict[str, int]) -> Runtime:
    tracing = {"enabled": True, "provider": "otlp", "endpoint": f"http://127.0.0.1:{ports['http']}"}
    return Runtime(
        folder,
        "--model",
        "scripted",
        agent={"name": "shop", "namespace": "shop"},
        observability={"tracing": tracing},
    )


def test_what_an_agent_traces_arrives_with_the_headers_as_they_were_written(tmp_path):
    found = config(rendered(tmp_path / "rendered", environment(ONE)))
    with (
        backend() as (kept, url),
        collector(tmp_path / "collector", found, url) as ports,
        agent(tmp_path / "agent", ports) as server,
    ):
        chat(server)
        until(lambda: kept.spans)
        metrics = asked(f"http://127.0.0.1:{ports['metrics']}/metrics")
    assert {service for service, _ in kept.spans} == {"shop"}
    assert kept.headers[0]["x-scope-orgid"] == "a$b"
    assert kept.headers[0]["authorization"] == SECRET
    assert "otelcol_receiver_accepted_spans_total{" in metrics


def test_what_alerts_ask_for_is_exported_and_counts_what_a_backend_refuses(tmp_path):
    found = config(rendered(tmp_path / "rendered", environment(ONE)))
    with (
        backend() as (kept, url),
        collector(tmp_path / "collector", found, url) as ports,
        agent(tmp_path / "agent", ports) as server,
    ):
        kept.status = 401
        chat(server)
        address = f"http://127.0.0.1:{ports['metrics']}/metrics"
        until(lambda: "send_failed_spans_total{" in asked(address))
        metrics = asked(address)
    # What is not there before it is first counted is an alert that begins late, not one that never fires.
    rare = {"otelcol_exporter_enqueue_failed_spans_total"}
    for name, labels in OF_COLLECTOR.items():
        lines = [line for line in metrics.splitlines() if line.startswith(f"{name}{{")]
        assert lines or name in rare, name
        assert all(f'{label}="' in line for line in lines for label in labels), name
    assert kept.spans == []
