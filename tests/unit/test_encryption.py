"""No credential leaves the cluster unencrypted: every way that one has is tried, open, encrypted, inside and granted."""

import pytest

from tests.fleet import API, ENVIRONMENT, fleetform, write

AGENT = f"""{API}
kind: Agent
metadata: {{name: helper}}
spec:
  systemPrompt: You help.
"""
AUTH = "authentication: {type: bearer, secretRef: {name: s, key: k}}"
SAFE = "  model: {provider: ollama, name: qwen3, endpoint: 'https://models.example/v1'}\n"
NO_AUTH = "  auth: {type: none}\n"
RETRIEVAL = f"""{AGENT}{SAFE}{NO_AUTH}  tools: [{{name: docs}}]
---
{API}
kind: Tool
metadata: {{name: docs}}
spec:
  type: retrieval
  retrieval:
"""
ANY = "{provider: openai, model: text-embedding-3-small, secretRef: {name: s, key: k}, endpoint: 'URL/v1'}"
SECRET = "valueFrom: {secretKeyRef: {name: s, key: k}}"
OWN = f"""{API}
kind: Agent
metadata: {{name: helper}}
spec:
  container: {{image: {{repository: team/own, tag: 1.0.0}}, ports: []}}
"""
WAYS = {
    "model": f"{AGENT}{NO_AUTH}  model: {{provider: openai, name: gpt-4o, endpoint: 'URL/v1'}}\n",
    "fallback": f"""{AGENT}{SAFE}{NO_AUTH}  fallbacks: [other]
---
{API}
kind: ModelConfig
metadata: {{name: other}}
spec: {{provider: anthropic, name: claude, endpoint: 'URL/v1'}}
""",
    "tool in place": f"{AGENT}{SAFE}{NO_AUTH}  tools: [{{name: t, endpoint: 'URL/mcp', {AUTH}}}]\n",
    "server": f"""{AGENT}{SAFE}{NO_AUTH}  tools: [{{name: web}}]
---
{API}
kind: MCPServer
metadata: {{name: web}}
spec: {{url: 'URL/mcp', {AUTH}}}
""",
    "api": f"""{AGENT}{SAFE}{NO_AUTH}  tools: [{{name: web}}]
---
{API}
kind: Tool
metadata: {{name: web}}
spec: {{type: api, api: {{endpoint: 'URL/', {AUTH}}}}}
""",
    "token": f"""{AGENT}{SAFE}{NO_AUTH}  tools: [{{name: web}}]
---
{API}
kind: Tool
metadata: {{name: web}}
spec:
  type: api
  api:
    endpoint: https://api.example.com/
    authentication:
      type: oauth2
      secretRef: {{name: s, key: k}}
      oauth2: {{tokenUrl: 'URL/token', clientId: c}}
""",
    "embedding": f"{RETRIEVAL}    vectorStore: {{type: qdrant, host: q.data.svc, collection: c}}\n    embedding: {ANY}\n",
    "memories": f"""{AGENT}{SAFE}  auth: {{type: apiKey, apiKey: {{keys: [{{name: a, secretRef: {{name: s, key: k}}}}]}}}}
  memory:
    type: in-memory
    policy: {{longTermMemory: {{enabled: true, embedding: {ANY}}}}}
""",
    "issuer": f"{AGENT}{SAFE}  auth: {{type: oidc, oidc: {{issuer: 'URL', audience: a}}}}\n",
    "traces": f"""{AGENT}{SAFE}{NO_AUTH}  observability:
    tracing:
      enabled: true
      provider: langfuse
      endpoint: 'URL'
      publicKeySecretRef: {{name: s, key: k}}
      secretKeySecretRef: {{name: s, key: k}}
""",
    "trigger": f"""{AGENT}{SAFE}{NO_AUTH}  memory: {{type: none}}
  scaling:
    minReplicas: 1
    maxReplicas: 3
    keda:
      triggers:
        - type: prometheus
          metadata: {{serverAddress: 'URL', query: up, threshold: "1"}}
          authentication: [{{parameter: bearerToken, secretRef: {{name: s, key: k}}}}]
""",
    "variables": f"{OWN}  env: [{{name: CRM_ENDPOINT, value: 'URL/v1'}}, {{name: CRM_API_KEY, {SECRET}}}]\n",
    "variables of a server": OWN.replace("kind: Agent", "kind: MCPServer").replace(
        "ports: []", "ports: [{name: http, containerPort: 80}]"
    )
    + f"  env: [{{name: OPENAI_BASE, value: 'URL/v1'}}, {{name: OPENAI_KEY, {SECRET}}}]\n",
    "variables of a sidecar": f"""{AGENT}{SAFE}{NO_AUTH}  podTemplate:
    sidecars:
      - name: proxy
        image: {{repository: team/proxy, tag: 1.0.0}}
        env: [{{name: upstreamUrl, value: 'URL'}}, {{name: upstreamToken, {SECRET}}}]
""",
    "variables without a subject": f"{OWN}  env: [{{name: ENDPOINT, value: 'URL'}}, {{name: API_TOKEN, {SECRET}}}]\n",
}
"""Everything that is sent something secret by URL."""
STORES = {
    "redis": f"""{AGENT}{SAFE}{NO_AUTH}  memory: {{type: redis, redis: {{host: HOST, tls: TLS, auth: {{secretRef: {{name: s, key: k}}}}}}}}\n""",
    "postgres": f"""{AGENT}{SAFE}{NO_AUTH}  memory: {{type: postgres, postgres: {{host: HOST, tls: TLS, passwordSecretRef: {{name: s, key: k}}}}}}\n""",
    "vectors": f"{RETRIEVAL}    vectorStore: {{type: qdrant, host: HOST, collection: c, tls: TLS, secretRef: {{name: s, key: k}}}}\n",
}


def said(folder, text: str, network: str = "") -> str:
    """Return what is wrong with a fleet in an environment."""
    environment = f"{ENVIRONMENT}  capabilities: [keda]\n{network}"
    write(folder, {"agents/a.yaml": text, "environments/prod.yaml": environment})
    return fleetform("validate", "--env", "prod", cwd=folder).err


def is_refused(done: str) -> bool:
    assert " error: " not in done or "without encryption" in done, done
    return "without encryption" in done and " error: " in done


@pytest.mark.parametrize("way", WAYS)
def test_what_is_secret_goes_by_tls_or_stays_in_the_cluster(way, tmp_path):
    text = WAYS[way]
    for url in ("http://out.example.com", "http://203.0.113.7:8080"):
        assert is_refused(said(tmp_path, text.replace("URL", url))), url
    for url in ("https://out.example.com", "http://svc.data.svc:8080", "http://127.0.0.1:8080"):
        if "127" not in url or way != "trigger":  # KEDA's operator would ask itself
            assert not is_refused(said(tmp_path, text.replace("URL", url))), url


@pytest.mark.parametrize("way", WAYS)
def test_a_host_that_the_environment_names_may_be_told(way, tmp_path):
    text = WAYS[way].replace("URL", "http://out.example.com")
    granted = said(tmp_path, text, "  network: {unencrypted: [out.example.com]}\n")
    assert not is_refused(granted)
    assert "no credential goes" not in granted
    assert is_refused(said(tmp_path, text, "  network: {unencrypted: [example.com]}\n"))


@pytest.mark.parametrize("store", STORES)
def test_a_password_goes_to_a_store_by_tls(store, tmp_path):
    def refused(host: str, tls: str) -> bool:
        return is_refused(said(tmp_path, STORES[store].replace("HOST", host).replace("TLS", tls)))

    assert refused("db.example.com", "{enabled: false}")
    assert refused("10.1.2.3", "{enabled: false}")
    assert not refused("db.example.com", "{enabled: true}")
    assert not refused("db.data.svc", "{enabled: false}")


def test_without_a_credential_plain_http_is_nobodys_business(tmp_path):
    open_ = f"{AGENT}{NO_AUTH}  model: {{provider: ollama, name: q, endpoint: 'http://out.example.com'}}\n"
    assert not is_refused(said(tmp_path, open_))


@pytest.mark.parametrize(
    "variables",
    [
        f"[{{name: CRM_URL, value: 'http://out.example.com'}}, {{name: DB_PASSWORD, {SECRET}}}]",
        "[{name: CRM_URL, value: 'http://out.example.com'}, {name: CRM_TENANT, value: shop}]",
        f"[{{name: CRM_URL, value: 'http://$(CRM_HOST)/'}}, {{name: CRM_TOKEN, {SECRET}}}]",
        f"[{{name: REDIS_URL, value: 'rediss://r.example.com:6379'}}, {{name: REDIS_PASSWORD, {SECRET}}}]",
    ],
)
def test_a_secret_of_something_else_is_not_meant_for_a_url(variables, tmp_path):
    assert not is_refused(said(tmp_path, f"{OWN}  env: {variables}\n"))


def test_a_store_by_a_url_without_tls_gets_no_password(tmp_path):
    variables = f"[{{name: REDIS_URL, value: 'redis://r.example.com:6379'}}, {{name: REDIS_PASSWORD, {SECRET}}}]"
    assert is_refused(said(tmp_path, f"{OWN}  env: {variables}\n"))


def test_keys_of_langfuse_follow_the_environments_endpoint(tmp_path):
    text = WAYS["traces"].replace("      endpoint: 'URL'\n", "")
    for scheme, refused in (("http", True), ("https", False)):
        monitoring = f"  monitoring: {{otlpEndpoint: '{scheme}://traces.example.com'}}\n"
        done = said(tmp_path, text, monitoring)
        assert is_refused(done) is refused
        assert ("environments/prod.yaml:7:" in done) is refused
