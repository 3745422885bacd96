"""Specs of another dialect, as their authors wrote them: what they mean, and what is said of them."""

from pathlib import Path

import pytest

from fleetform import pipeline
from fleetform.load import load
from fleetform.models import model
from fleetform.parse import parse
from fleetform.problems import Problem, errors
from fleetform.tree import at, plain, without_nulls

SEEDS = Path(__file__).parents[1] / "fixtures/seeds"
SPECS = sorted(
    path
    for path in SEEDS.glob("*/*.yaml")
    if b"\nspec:" in path.read_bytes().split(b"\n---")[0]
    and b"apiVersion: kagent.dev/v1alpha1" in path.read_bytes()
)
STATUS = SEEDS / "004/research-run-001-status.yaml"
READS = "the runtime is configured by agent.json, not by variables"


def note(code: str, line: int, column: int, path: str, message: str, hint: str) -> Problem:
    return Problem("note", code, message, "", line, column, path, hint)


def app_label(line: int, name: str) -> Problem:
    return note(
        "app-label",
        line,
        5,
        "metadata.labels.app",
        f"the label `app: customer-support` is dropped: pods are labelled `app: {name}` "
        "for selection",
        "use a label of another name, such as `team`",
    )


def variable(line: int, number: int, name: str, field: str) -> Problem:
    return note(
        "env-translated",
        line,
        13,
        f"spec.env[{number}].name",
        f"`{name}` becomes `observability.{field}`: {READS}",
        "`fleetform migrate` rewrites it that way",
    )


SAID: dict[str, list[Problem]] = {
    "003/base-k8s-agent": [],
    "003/my-agent": [],
    "003/openai-gpt4": [],
    "004/agent-memory-redis": [],
    "004/customer-support-agent": [
        app_label(7, "customer-support-agent"),
        note(
            "dead-field",
            83,
            13,
            "spec.scaling.keda.triggers[0].metadata.metricName",
            "KEDA has ignored `metricName` since 2.12: it is dropped",
            "remove it",
        ),
        variable(98, 0, "LOG_LEVEL", "logging.level"),
        variable(100, 1, "LANGFUSE_ENABLED", "tracing.enabled"),
        variable(102, 2, "LANGFUSE_HOST", "tracing.endpoint"),
    ],
    "004/customer-support-agent-canary": [
        app_label(7, "customer-support-agent-canary"),
        note(
            "canary-label",
            8,
            5,
            "metadata.labels.version",
            "read as `canaryOf: customer-support-agent`, with `weight: 10`",
            "write both to say it yourself",
        ),
    ],
    "004/research-report-workflow": [],
    "004/research-run-001": [],
    "004/tools": [],
}


def anonymous(problems: list[Problem]) -> list[Problem]:
    """Return problems in order, without their file."""
    found = [
        Problem(p.severity, p.code, p.message, "", p.line, p.column, p.path, p.hint)
        for p in problems
    ]
    return sorted(found, key=Problem.sort_key)


def name(path: Path) -> str:
    return str(path.relative_to(SEEDS).with_suffix(""))


def spec(path: str, number: int = 0) -> dict:
    """Return one document's spec in our own shape."""
    return plain(pipeline.read([SEEDS / path]).documents[number].tree["spec"])


def test_no_spec_is_forgotten():
    assert {name(path) for path in SPECS} == SAID.keys()


@pytest.mark.parametrize("path", SPECS, ids=name)
def test_a_spec_is_accepted_verbatim_and_everything_said_of_it_is_known(path):
    sources = pipeline.read([path])
    assert anonymous(sources.problems) == SAID[name(path)]
    assert sources.complete
    for document in sources.documents:
        model(document.kind).model_validate(plain(without_nulls(document.tree)))


def test_a_run_that_only_shows_a_status_is_left_out_with_a_note():
    sources = pipeline.read([STATUS])
    assert sources.documents == []
    assert anonymous(sources.problems) == [
        note(
            "status-only",
            3,
            1,
            "kind",
            "this WorkflowRun has only a status and no spec, and is ignored",
            "delete it, or give it a spec",
        )
    ]


def test_the_system_message_is_the_system_prompt():
    assert spec("003/my-agent.yaml") == {
        "description": "My custom AI agent",
        "modelConfig": "openai-gpt4",
        "systemPrompt": "You are a helpful assistant specialized in...\n",
        "tools": [{"name": "kubernetes-mcp", "endpoint": "http://kubernetes-mcp-server:80"}],
    }


def test_settings_of_a_model_stand_flat_beside_its_name():
    assert spec("003/openai-gpt4.yaml") == {
        "provider": "openai",
        "name": "gpt-4",
        "temperature": 0.7,
        "maxTokens": 4096,
    }


def test_tools_may_be_plain_names():
    assert spec("003/base-k8s-agent.yaml")["tools"] == [{"name": "kubernetes-mcp"}]


def test_a_memory_of_an_agent_is_a_store_and_its_policy():
    assert spec("004/customer-support-agent.yaml")["memory"] == {
        "type": "redis",
        "redis": {
            "host": "redis-master.ai-data.svc.cluster.local",
            "port": 6379,
            "database": 0,
            "auth": {"secretRef": {"name": "redis-credentials", "key": "password"}},
        },
        "policy": {"sessionTTL": 3600, "maxConversationHistory": 50},
    }


def test_cpu_and_memory_are_short_for_resource_metrics():
    scaling = spec("004/customer-support-agent.yaml")["scaling"]
    assert scaling["metrics"] == [
        {
            "type": "Resource",
            "resource": {
                "name": resource,
                "target": {"type": "Utilization", "averageUtilization": percent},
            },
        }
        for resource, percent in (("cpu", 70), ("memory", 80))
    ]
    assert scaling["keda"]["triggers"] == [
        {
            "type": "prometheus",
            "metadata": {
                "serverAddress": "http://prometheus.observability.svc:9090",
                "threshold": "50",
                "query": 'sum(agent_active_sessions{agent="customer-support"})',
            },
        }
    ]


def test_variables_of_the_runtime_become_its_settings():
    found = spec("004/customer-support-agent.yaml")
    assert "env" not in found
    assert found["observability"] == {
        "tracing": {
            "enabled": True,
            "provider": "langfuse",
            "sampleRate": 1.0,
            "endpoint": "http://langfuse.observability.svc:3000",
        },
        "metrics": {"enabled": True, "port": 9090},
        "logging": {"level": "info"},
    }


def test_only_the_app_label_is_dropped():
    (document,) = pipeline.read([SEEDS / "004/customer-support-agent.yaml"]).documents
    assert plain(document.tree["metadata"]["labels"]) == {
        "team": "support",
        "environment": "production",
    }


def test_three_shapes_of_secret_references_become_one():
    redis = spec("004/agent-memory-redis.yaml")["redis"]
    assert redis["auth"] == {"secretRef": {"name": "redis-credentials", "key": "password"}}
    assert redis["tls"] == {"enabled": True, "secretRef": {"name": "redis-tls-cert"}}


def test_a_canary_needs_no_prompt_of_its_own():
    assert spec("004/customer-support-agent-canary.yaml") == {
        "model": {"provider": "openai", "name": "gpt-4o", "temperature": 0.5},
        "scaling": {"minReplicas": 1, "maxReplicas": 2},
        "canaryOf": "customer-support-agent",
    }


@pytest.mark.parametrize(
    "path", ["004/tools.yaml", "004/research-report-workflow.yaml", "004/research-run-001.yaml"]
)
def test_what_is_ours_already_stays_as_it_is(path):
    ours = pipeline.read([SEEDS / path]).documents
    theirs = load([SEEDS / path]).documents
    assert [plain(document.tree["spec"]) for document in ours] == [
        plain(document.tree["spec"]) for document in theirs
    ]


# -- fragments ----------------------------------------------------------------------------------


def wrapped(fragment: str, kind: str = "Agent", under: str = "") -> str:
    """Return a fragment in a document, put below a dotted path of keys."""
    head = f"apiVersion: kagent.dev/v1alpha1\nkind: {kind}\nmetadata:\n  name: wrapped\n"
    depth = 0
    for key in under.split(".") if under else ():
        head += f"{'  ' * depth}{key}:\n"
        depth += 1
    return head + "".join(
        f"{'  ' * depth}{line}" if line.strip() else line
        for line in fragment.splitlines(keepends=True)
    )


FRAGMENTS = {
    "003/operator": ("Agent", "", ("spec", "modelConfig"), "ollama-qwen3-30b-a3b"),
    "003/coder": ("Agent", "", ("spec", "modelConfig"), "deepseek-r1"),
    "003/tools": ("Agent", "", ("spec", "tools", 1, "capabilities", 0), "query"),
    "003/rate-limits": ("Agent", "", ("spec", "rateLimits", "tokensPerMinute"), 100000),
    "003/providers": (
        "Environment",
        "spec",
        ("spec", "providers", "anthropic", "apiKeySecretRef"),
        {"name": "kagent-anthropic", "key": "ANTHROPIC_API_KEY"},
    ),
    "004/scaling": ("Agent", "spec", ("spec", "scaling", "maxReplicas"), 20),
}


def fragments() -> set[str]:
    return {
        str(path.relative_to(SEEDS)).removesuffix(".fragment.yaml")
        for path in SEEDS.glob("*/*.fragment.yaml")
    }


def test_no_fragment_is_forgotten():
    assert fragments() == FRAGMENTS.keys()


@pytest.mark.parametrize("fragment", FRAGMENTS)
def test_a_fragment_is_accepted_in_a_document(tmp_path, fragment):
    kind, under, path, value = FRAGMENTS[fragment]
    file = tmp_path / "wrapped.yaml"
    text = (SEEDS / f"{fragment}.fragment.yaml").read_text()
    file.write_text(wrapped(text, kind, under))
    sources = pipeline.read([file])
    assert errors(sources.problems) == ()
    (document,) = sources.documents
    assert plain(at(document.tree, path)) == value


def test_the_scaling_fragment_keeps_native_metrics_and_says_who_must_export_one(tmp_path):
    file = tmp_path / "wrapped.yaml"
    text = (SEEDS / "004/scaling.fragment.yaml").read_text()
    file.write_text(wrapped(text, under="spec"))
    sources = pipeline.read([file])
    assert anonymous(sources.problems) == [
        note(
            "metric-not-exported",
            45,
            9,
            "spec.scaling.metrics[2]",
            "no component exports the metric `agent_requests_per_second`",
            "add a prometheus-adapter rule: sum(rate(agent_request_total[2m])) by (namespace, pod)",
        )
    ]
    (document,) = sources.documents
    theirs = parse(file.read_bytes(), "x").documents[0].tree
    assert plain(document.tree["spec"]) == plain(theirs["spec"])


def test_a_secret_without_a_key_has_the_variable_of_its_provider_as_key(tmp_path):
    file = tmp_path / "environment.yaml"
    file.write_text(
        wrapped("providers: {openai: {existingSecret: kagent-openai}}\n", "Environment", "spec")
    )
    (document,) = pipeline.read([file]).documents
    assert plain(document.tree["spec"]["providers"]["openai"]) == {
        "apiKeySecretRef": {"name": "kagent-openai", "key": "OPENAI_API_KEY"}
    }


# -- what is no spec ----------------------------------------------------------------------------

OBJECTS = {
    "003/servicemonitor": [("ServiceMonitor", "kagent", "`observability.metrics`")],
    "004/kagent-controller": [
        ("Namespace", "kagent-system", "`namespaces.create`"),
        ("ServiceAccount", "kagent-controller", "`identity` and `rbac`"),
        ("ClusterRole", "kagent-controller-role", "`rbac.scope: cluster`"),
        ("ClusterRoleBinding", "kagent-controller-binding", "`rbac.scope: cluster`"),
        ("Deployment", "kagent-controller", "an Agent or MCPServer"),
    ],
    "004/monitoring": [
        ("ServiceMonitor", "kagent-agents", "`observability.metrics`"),
        ("PrometheusRule", "kagent-alerts", "`observability.metrics`"),
    ],
}


@pytest.mark.parametrize("path", OBJECTS)
def test_an_object_beside_specs_is_named_with_the_field_that_makes_its_like(path):
    sources = pipeline.read([SEEDS / f"{path}.yaml"])
    assert sources.documents == []
    for problem, (kind, named, field) in zip(sources.problems, OBJECTS[path], strict=True):
        assert (problem.severity, problem.code, problem.path) == ("error", "foreign-object", "kind")
        assert problem.message == f"{kind} `{named}` is a Kubernetes object, not a spec"
        assert field in problem.hint


def test_helm_values_beside_specs_are_a_problem():
    sources = pipeline.read([SEEDS / "004/values.yaml"])
    assert [(p.severity, p.code) for p in sources.problems] == [("error", "not-a-spec")]
    assert "Helm values" in sources.problems[0].hint
