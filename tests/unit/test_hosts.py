"""Where a host leads: to a Service of the namespace that it says, outside, or to a Problem."""

import pytest

from tests.fleet import API, fleetform, read_yaml, write

ENVIRONMENT = f"""{API}
kind: Environment
metadata: {{name: prod}}
spec:
  capabilities: [gateway-api]
  images: {{pins: {{fleetform/agent-runtime: {{tag: 1.0.0}}}}}}
  namespaces: {{map: {{desk: office}}}}
  expose: {{host: agents.example, gateway: {{name: public, namespace: gateways}}}}
  network:
    services: {{cache.data.svc: 6379}}
    prometheusNamespace: observe
"""


def agent(url: str) -> str:
    return f"""{API}
kind: Agent
metadata: {{name: helper, namespace: desk}}
spec:
  systemPrompt: You help.
  model: {{provider: ollama, name: qwen3, endpoint: "{url}"}}
  auth: {{type: none}}
"""


def leads(folder, url: str) -> str:
    """Return the namespace that a URL opens, `internet`, or the code of the error."""
    write(folder, {"agents/a.yaml": agent(url), "environments/prod.yaml": ENVIRONMENT})
    done = fleetform("render", "--env", "prod", cwd=folder)
    if done.code:
        return next(line for line in done.err.splitlines() if "error" in line)
    texts = (path.read_text("utf-8") for path in sorted((folder / "rendered").rglob("*.yaml")))
    objects = [item for text in texts for item in read_yaml(text) if item]
    (policy,) = [item for item in objects if item["kind"] == "NetworkPolicy"]
    peers = [peer for rule in policy["spec"]["egress"] for peer in rule["to"]]
    spaces = {
        peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
        for peer in peers
        if "namespaceSelector" in peer
    }
    return (
        "internet"
        if any("ipBlock" in peer for peer in peers)
        else "".join(spaces - {"kube-system"})
    )


@pytest.mark.parametrize(
    ("url", "where"),
    [
        ("http://ollama:80", "office"),
        ("http://ollama.desk:80", "office"),
        ("http://ollama.office:80", "office"),
        ("http://ollama.data:80", "data"),
        ("http://ollama.gateways:80", "gateways"),
        ("http://ollama.observe:80", "observe"),
        ("http://ollama.default:80", "default"),
        ("http://ollama.ai-models:80", "ai-models"),
        ("http://ollama.models.svc:80", "models"),
        ("http://ollama.models.svc.cluster.local.:80", "models"),
        ("https://example.com", "internet"),
        ("http://example.com:8080", "internet"),
        ("https://mistral.ai/v1", "internet"),
        ("https://api.acme.tools/v1", "internet"),
        ("https://acme.tools./v1", "internet"),
        *[
            (f"https://{host}/v1", "")
            for host in (
                "nas.local",
                "gpu.lan",
                "models.acme.corp",
                "llm.eu.internal",
                "a.home.arpa",
                "nas.corp.",
                "X.Y.INTERNAL.",
            )
        ],
        ("http://93.184.216.34", "internet"),
        ("http://[2606:2800:220:1::1]", "internet"),
    ],
)
def test_a_host_leads_where_it_says(tmp_path, url, where):
    assert leads(tmp_path, url) == where


@pytest.mark.parametrize("host", ["ollama.models", "ollama.tools", "ollama.prod", "ollama.ai", "a.svc", "cache.internal"])  # fmt: skip
def test_a_host_of_two_words_is_what_it_says_or_refused(tmp_path, host):
    said = leads(tmp_path, f"http://{host}:11434/v1")
    assert f"is `{host}` a Service of the namespace" in said


@pytest.mark.parametrize("host", ["web.desk.svc.cluster", "web.desk.pod", "10-0-0-1.desk.pod.cluster.local", "web.cluster.local.", "web.desk.cluster.local"])  # fmt: skip
def test_a_name_of_the_cluster_that_is_no_service_is_refused(tmp_path, host):
    said = leads(tmp_path, f"http://{host}:8080/v1")
    assert f"`{host}` is a name of the cluster's own, but of no Service" in said


def test_the_dot_that_says_outside_is_not_passed_on(tmp_path):
    assert leads(tmp_path, "https://acme.tools./v1") == "internet"
    text = "".join(path.read_text("utf-8") for path in (tmp_path / "rendered").rglob("*.yaml"))
    assert "https://acme.tools/v1" in text


PRIVATE = "http://models.acme.internal:8443/v1"


def said(folder, url: str, more: str = "") -> str:
    write(folder, {"agents/a.yaml": agent(url) + more, "environments/prod.yaml": ENVIRONMENT})
    return fleetform("validate", "--env", "prod", cwd=folder).err


def test_the_way_to_a_private_name_is_a_range_that_somebody_names(tmp_path):
    warning = "`models.acme.internal` is a name of a private network"
    assert warning in said(tmp_path, PRIVATE)
    named = "  network: {allowTo: [{cidr: 10.20.0.0/16, ports: [%d]}]}\n"
    assert warning not in said(tmp_path, PRIVATE, named % 8443)
    assert warning in said(tmp_path, PRIVATE, named % 443)
    assert "name of a private network" not in said(tmp_path, "http://models.internal.example.com")


SIDECAR = """  podTemplate:
    FIELD:
      - name: proxy
        image: {repository: acme/proxy, tag: 1.0.0}
"""
PORT = "        ports: [{name: proxy, containerPort: 4000}]\n"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.0.1", "[::1]", "0.0.0.0", "a.localhost"])  # fmt: skip
def test_the_pod_itself_is_asked_only_where_something_listens(host, tmp_path):
    def warned(port: int, more: str = "") -> bool:
        return f"nothing listens on port {port}" in said(tmp_path, f"http://{host}:{port}/v1", more)

    sidecar = SIDECAR.replace("FIELD", "sidecars")
    native = SIDECAR.replace("FIELD", "initContainers")
    assert warned(4000)
    assert warned(4000, native + PORT)  # it ends before the agent starts
    assert warned(4001, sidecar + PORT)
    assert not warned(4000, sidecar + PORT)
    assert not warned(4000, native + PORT + "        restartPolicy: Always\n")
    assert not warned(4000, sidecar)  # which does not say where it listens
    assert leads(tmp_path, f"http://{host}:4000") == ""
