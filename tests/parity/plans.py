"""Plans with every knob turned, field by field: what the charts must follow."""

import types
import typing
from collections.abc import Iterator
from typing import Any

from fleetform import contract
from fleetform.plan import settings
from fleetform.platforms.kubernetes import alerts
from fleetform.platforms.kubernetes.bind import config, scaling
from fleetform.platforms.kubernetes.model import (
    Account,
    Analysis,
    Autoscaler,
    Canary,
    Claim,
    Dashboard,
    Expose,
    ExternalSecret,
    Keda,
    KedaTrigger,
    Metrics,
    NamespacePlan,
    NetworkRule,
    Port,
    Probe,
    Rbac,
    RemoteKey,
    Sandbox,
    SecretStore,
    Service,
    WorkloadPlan,
)
from fleetform.platforms.kubernetes.objects.networkpolicy import DNS
from fleetform.problems import Mark

TEXTS = (
    "{{ .Values.x }}",
    "{{ `x` }} {{- end }}",
    "[[ x ]] {% raw %}",
    "${VAR} $${VAR} $(VAR) $$(VAR)",
    "1000000",
    "0.1",
    "1e-7",
    "yes",
    "null",
    "~",
    "",
    " leading and trailing ",
    "two\nlines\n",
    "no end\n  indented\n\n\n",
    "\ttab first",
    "# not a comment: {a: [b]}\n---\n...\n",
    "quotes ' \" ` and \\ backslash \\n",
    "é ü 漢字 🎉 e\u0301",
    "<script>&amp;</script>",
    "\u2028 \u2029 \xa0 \ufeff inside",
    "%YAML 1.2\n&a *a !t |\n>",
    "\x7f \x80 \x85 \x9f \u200b \u202e \u2029",
)
"""What people write into prompts, and what would be the end of a careless template."""

SPREAD = {"maxSkew": 2, "topologyKey": "rack", "whenUnsatisfiable": "DoNotSchedule"}
CONTAINER = {"name": "side", "image": "example/side:1", "securityContext": {"runAsUser": 7}}
TOOL = {
    "type": "api",
    "name": "t",
    "description": "",
    "endpoint": "https://x.example",
    "method": "GET",
}
NUMBERS = [0, -0.0, 0.1, 1.0, 1e-7, 1e21, 1000000, 2**53, False, True, "", {}, []]
PEER = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "x"}}}
METRIC = {
    "type": "Resource",
    "resource": {"name": "memory", "target": {"type": "Utilization", "averageUtilization": 80}},
}


def _settings(**more: Any) -> dict[str, Any]:
    return {
        "contract": 1,
        "agent": {"name": "base", "namespace": "space"},
        "prompt": {"system": {"file": settings.PROMPT}},
        "model": {"provider": "openai", "name": "gpt"},
        "auth": {"type": "none"},
        "server": {"port": 8080, "metricsPort": 9090, "shutdownGraceSeconds": 120},
        **more,
    }


def _config(prompt: str = "You help.\n", **more: Any) -> Any:
    from fleetform import canonical

    document = _settings(**more)
    data = {"agent.json": canonical.dumps(document) + "\n", settings.PROMPT: prompt}
    return config.revision("base", data, contract.FOLDER, document)


PROBE = Probe("/health", "http", 10, 3, 3)
ASKED = PROBE._replace(path="", port=8080, grpc=True)
BASE = WorkloadPlan(
    name="base",
    namespace="space",
    component="agent",
    version="1.0.0",
    source="agents/a.yaml",
    mark=Mark("agents/a.yaml", 1, 1, 1, 1),
    callees=(),
    labels={"team": "a"},
    annotations={},
    pod_labels={"team": "a"},
    pod_annotations={},
    image="example.com:5000/run:1.0.0",
    pull_policy="",
    pull_secrets=(),
    command=(),
    args=("serve", "--config", f"{contract.FOLDER}/agent.json"),
    working_dir="",
    env=(),
    env_from=(),
    ports=(Port("http", 8080, 8080, "TCP", "http"), Port("metrics", 9090, 9090, "TCP", "http")),
    service=Service(),
    startup=PROBE,
    readiness=PROBE,
    liveness=PROBE,
    pre_stop=5,
    grace=130,
    resources={
        "requests": {"cpu": "100m", "memory": "256Mi"},
        "limits": {"cpu": "1", "memory": "512Mi"},
    },
    secrets=(("s", ("k", "l.m")),),
    volumes=(),
    mounts=(),
    run_as_user=10001,
    read_only_root=True,
    pod_fields={},
    spread=(),
    sidecars=(),
    init_containers=(),
    config=_config(),
    account=Account("base", True, {}),
    rbac=Rbac(False, "base", ({"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]},)),
    kind="Deployment",
    claim_templates=(),
    headless=False,
    recreate=False,
    schedule="",
    time_zone="Etc/UTC",
    overlaps=True,
    deadline=0,
    fail_on=(),
    min_ready=0,
    replicas=1,
    autoscaler=None,
    keda=None,
    ingress=(NetworkRule((PEER,), (("TCP", 8080),)),),
    egress=(DNS, NetworkRule((PEER,), (("TCP", 443), ("UDP", 443)))),
    metrics=Metrics("metrics", "/metrics", 30, {}, ()),
    expose=Expose(
        "HTTPRoute", ("h.example",), "/", 8080, 3600, {"name": "g", "namespace": "n"}, "", "", {}
    ),
    retained={"helm.sh/resource-policy": "keep"},
    verbatim={},
)
OWN = BASE._replace(
    component="mcp-server",
    image="example/own:2",
    version="2",
    command=(),
    args=(),
    config=None,
    secrets=(),
    rbac=None,
    metrics=None,
    expose=None,
    headless=False,
)
BALANCED = BASE._replace(service=Service("LoadBalancer", {}, ("203.0.113.0/24",), "Local"))
HPA = BASE._replace(replicas=None, autoscaler=Autoscaler(1, 5, (scaling.CPU,), scaling.BEHAVIOR))
TRIGGER = KedaTrigger("cron", {"start": "0 8 * * *", "timezone": "UTC"})
KEDA = BASE._replace(replicas=None, keda=Keda(0, 5, (TRIGGER,), scaling.BEHAVIOR, 30, 300, None))
SIGNED = TRIGGER._replace(
    secrets=(("password", "s", "k"), ("user", "s", "l")), authentication="base-trigger-0"
)
PREFIXED = BASE._replace(expose=BASE.expose._replace(path="/agents/base"))  # type: ignore[union-attr]
STATEFUL = OWN._replace(
    kind="StatefulSet", headless=True, claim_templates=(Claim("data", "1Gi", "ReadWriteOnce", ""),)
)
JOB = OWN._replace(
    kind="Job", ports=(), startup=None, readiness=None, liveness=None, pre_stop=0, grace=30
)
SCHEDULED = JOB._replace(kind="CronJob", schedule="0 3 * * *")
ISSUED = BASE._replace(
    expose=Expose(
        "Ingress",
        ("h.example",),
        "/a",
        8080,
        60,
        {},
        "nginx",
        "base-tls",
        {"name": "le", "kind": "Issuer"},
    )
)


def _with(plan: Any, path: str, value: Any) -> Any:
    """Return a plan with one field changed, `keda.minimum` being one of a part."""
    first, _, rest = path.partition(".")
    if rest:
        value = _with(getattr(plan, first), rest, value)
    return plan._replace(**{first: value})


POD_FIELDS: dict[str, tuple[Any, ...]] = {
    "priorityClassName": ("high",),
    "runtimeClassName": ("gvisor",),
    "nodeSelector": ({"a": "true"},),
    "tolerations": (
        ({"operator": "Exists"}, {"key": "k", "effect": "NoExecute", "tolerationSeconds": 0}),
    ),
    "affinity": (
        {"nodeAffinity": {}},
        {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
    ),
    "hostAliases": (({"ip": "10.1.2.3", "hostnames": ["a.example", "b"]},),),
}
SANDBOXED = BASE._replace(
    rbac=None,
    sandbox=Sandbox(
        "gvisor",
        1,
        {
            "requests": {"cpu": "50m", "memory": "160Mi"},
            "limits": {"cpu": "1", "memory": "288Mi"},
        },
    ),
)
ANALYSIS = Analysis("http://prometheus.watch.svc:9090", "5m", 20, 0.05, 0)
STEPPED = HPA._replace(canary=Canary(((25, "10m"), (50, "")), ANALYSIS, ""))
STEPPED_OWN = OWN._replace(replicas=4, canary=STEPPED.canary)
TURNS: dict[str, tuple[WorkloadPlan, tuple[Any, ...]]] = {
    "sandbox": (SANDBOXED, (None,)),
    "canary": (STEPPED, (None,)),
    "canary.steps": (STEPPED, (((1, "99999h"),), ((10, ""), (99, "1s")))),
    "canary.moving": (STEPPED, ("in", "out")),
    "canary.analysis": (STEPPED, (None,)),
    "canary.analysis.address": (STEPPED, ("https://p.example/a?b=c&d",)),
    "canary.analysis.window": (STEPPED, ("30s", "1h")),
    "canary.analysis.requests": (STEPPED, (1, 1000000)),
    "canary.analysis.errors": (STEPPED, (0, 0.5, 0.00001, 1e-7)),
    "canary.analysis.seconds": (STEPPED, (30, 0.25, 299.5)),
    "sandbox.runtime_class": (SANDBOXED, ("kata",)),
    "sandbox.warm": (SANDBOXED, (0, 7)),
    "sandbox.resources": (
        SANDBOXED,
        (
            {
                "requests": {"cpu": "50m", "memory": "160Mi"},
                "limits": {"cpu": "1", "memory": "1000Mi"},
            },
        ),
    ),
    "name": (OWN, ("other", "n" * 53)),
    "namespace": (OWN, ()),  # every fleet made by chance has three
    "component": (OWN, ("agent", "memory-store")),
    "version": (BASE, ("other", "1.0.1")),
    "labels": (BASE, ({}, {"team": "b", "0": "1e3", "z": ""})),
    "annotations": (BASE, tuple({"a.example/text": text} for text in TEXTS)),
    "pod_labels": (BASE, ({"team": "a", "more": "yes"}, {"app": "taken", "team": "a"})),
    "pod_annotations": (BASE, tuple({"a.example/x": text} for text in TEXTS)),
    "image": (
        BASE._replace(version="1"),
        ("run:2", "reg:1/a/b@sha256:" + "a" * 64, "a/b:1@sha256:" + "b" * 64),
    ),
    "pull_policy": (BASE, ("Always",)),
    "pull_secrets": (BASE, (("a", "b"),)),
    "command": (BASE, (TEXTS, ("x",))),
    "args": (BASE, (TEXTS, ("x", "1000000"))),
    "working_dir": (BASE, ("/srv",)),
    "env": (BASE, (tuple({"name": f"N{n}", "value": text} for n, text in enumerate(TEXTS)),)),
    "env_from": (
        BASE,
        (({"secretRef": {"name": "s"}}, {"prefix": "A_", "configMapRef": {"name": "c"}}),),
    ),
    "ports": (
        OWN,
        (
            (),
            (Port("p", 1, 2),),
            (Port("u", 53, 53, "UDP"), Port("http", 80, 8080, "TCP", "kubernetes.io/h2c")),
        ),
    ),
    "service": (BASE, (BALANCED.service,)),
    "service.type": (BALANCED._replace(service=Service("NodePort")), ("LoadBalancer", "ClusterIP")),
    "service.annotations": (BASE, tuple({"a.example/text": text} for text in TEXTS if text)),
    "service.source_ranges": (BALANCED, ((), ("203.0.113.0/24", "2001:db8::/32"))),
    "service.traffic_policy": (BALANCED, ("", "Cluster")),
    "startup": (BASE, (None,)),
    "startup.path": (BASE, ("", "/x?y=1&z")),
    "startup.command": (BASE, (TEXTS, ("true",))),
    "startup.grpc": (BASE._replace(startup=ASKED._replace(grpc=False)), (True,)),
    "startup.service": (BASE._replace(startup=ASKED), ("own.v1", "{{ x }}")),
    "startup.port": (BASE, (8080, "metrics")),
    "startup.period": (BASE, (1,)),
    "startup.timeout": (BASE, (9,)),
    "startup.failures": (BASE, (1000000,)),
    "startup.initial_delay": (BASE, (4,)),
    "readiness": (BASE, (None, Probe("/r", "http", 1, 2, 3, 4))),
    "liveness": (
        BASE,
        (None, PROBE._replace(path="", port="", command=("true",)), Probe("", 8080, 1, 2, 3, 0)),
    ),
    "pre_stop": (OWN, (0, 7)),
    "grace": (BASE, (30, 1000000)),
    "resources": (
        BASE,
        (
            {
                "requests": {"cpu": "0", "memory": "1Mi", "ephemeral-storage": "1Gi"},
                "limits": {"cpu": "2", "memory": "1Gi", "ephemeral-storage": "2Gi"},
            },
            {
                "requests": {"cpu": "1", "memory": "1Gi", "nvidia.com/gpu": "1"},
                "limits": {"cpu": "1", "memory": "1Gi", "nvidia.com/gpu": "1"},
            },
        ),
    ),
    "secrets": (BASE, ((), (("a.b", ("x",)), ("c", ("y", "z"))))),
    "volumes": (
        BASE,
        (({"name": "v", "emptyDir": {}}, {"name": "w", "secret": {"secretName": "s"}}),),
    ),
    "mounts": (
        BASE._replace(volumes=({"name": "v", "emptyDir": {}},)),
        (({"name": "v", "mountPath": "/v", "readOnly": True},),),
    ),
    "run_as_user": (BASE, (1000000, 0)),
    "read_only_root": (BASE, (False,)),
    "pod_fields": (
        BASE,
        tuple({name: value} for name, values in POD_FIELDS.items() for value in values),
    ),
    "spread": (
        BASE,
        (
            ({**SPREAD, "labelSelector": {"matchLabels": BASE.selector}},),
            ({**SPREAD, "labelSelector": {"matchLabels": {"x": "y"}}},),
        ),
    ),
    "sidecars": (BASE, ((CONTAINER, {**CONTAINER, "name": "b"}),)),
    "init_containers": (BASE, ((CONTAINER,), ({**CONTAINER, "restartPolicy": "Always"},))),
    "config": (
        BASE,
        (
            None,
            *(_config(text) for text in TEXTS if text),
            *(_config(tools=[{**TOOL, "output": {"x": [text]}}]) for text in TEXTS),
            _config(tools=[{**TOOL, "output": {"x": NUMBERS}}]),
            _config(server={"port": 1, "metricsPort": 2, "shutdownGraceSeconds": 3}),
        ),
    ),
    "config.name": (BASE, ()),  # the hash of the data
    "config.data": (
        OWN,
        (),  # of an image of one's own: see `config.directory`
    ),
    "config.digest": (BASE, ()),  # it follows from the data
    "config.directory": (
        OWN,
        (),
    ),
    "config.settings": (BASE, ()),  # in step with the data
    "account": (BASE, (Account("other", False, {}),)),
    "account.name": (BASE, ("other",)),
    "account.create": (BASE, (False,)),
    "account.annotations": (BASE, ({"a.example/role": "arn:aws:iam::1:role/x"},)),
    "rbac": (BASE, (None,)),
    "rbac.cluster": (BASE._replace(rbac=BASE.rbac._replace(name="space:base")), (True,)),  # type: ignore[union-attr]
    "rbac.name": (BASE, ()),  # follows from the rest
    "rbac.rules": (
        BASE,
        (({"apiGroups": ["*"], "resources": ["x/y"], "resourceNames": ["z"], "verbs": ["*"]},),),
    ),
    "kind": (
        OWN._replace(ports=(), startup=None, readiness=None, liveness=None),
        ("StatefulSet", "Job"),
    ),
    "time_zone": (SCHEDULED, ("Europe/Berlin", "Asia/Seoul")),
    "overlaps": (SCHEDULED, (False,)),
    "deadline": (JOB, (1, 14400)),
    "fail_on": (JOB, ((1,), (1, 2, 255))),
    "claim_templates": (STATEFUL, ((), (Claim("a", "1Gi", "ReadWriteOncePod", "fast"),))),
    "headless": (BASE, (True,)),
    "recreate": (BASE, (True,)),
    "schedule": (JOB, ("0 3 * * *", "@daily")),
    "min_ready": (BASE, (5, 599)),
    "replicas": (BASE, (0, 2, 1000000)),
    "autoscaler": (BASE._replace(replicas=None), (HPA.autoscaler,)),
    "autoscaler.minimum": (HPA, (2, 5)),
    "autoscaler.maximum": (HPA, (1, 1000000)),
    "autoscaler.metrics": (HPA, ((METRIC,), (METRIC, scaling.CPU))),
    "autoscaler.behavior": (
        HPA,
        ({"scaleUp": {"stabilizationWindowSeconds": 0, "tolerance": "0.1"}},),
    ),
    "keda": (BASE._replace(replicas=None), (KEDA.keda,)),
    "keda.minimum": (KEDA, (1,)),
    "keda.maximum": (KEDA, (1, 100)),
    "keda.triggers": (
        KEDA,
        (
            (SIGNED,),
            (TRIGGER._replace(name="n", metric_type="AverageValue"), TRIGGER),
            tuple(TRIGGER._replace(metadata={"query": text, "threshold": "0"}) for text in TEXTS),
        ),
    ),
    "keda.behavior": (KEDA, ({"scaleDown": {"policies": []}},)),
    "keda.polling_interval": (KEDA, (1,)),
    "keda.cooldown_period": (KEDA, (0, 7)),
    "keda.fallback_replicas": (KEDA, (0, 3)),
    "ingress": (BASE, ((), (NetworkRule((PEER, {"ipBlock": {"cidr": "10.0.0.0/8"}}), ()),))),
    "egress": (BASE, ((), (DNS,), (NetworkRule((PEER,), (("TCP", 53),)), DNS))),
    "metrics": (BASE, (None,)),
    "metrics.port": (BASE, ("http",)),
    "metrics.path": (BASE, ("/m",)),
    "metrics.interval": (BASE, (15,)),
    "metrics.targets": (BASE, (("team",), ("team", "cost-center"))),
    "metrics.labels": (BASE, ({"release": "prometheus", "team": "x"},)),
    "expose": (BASE, (None,)),
    "expose.kind": (BASE, ("Ingress",)),
    "expose.hosts": (BASE, (("other.example",), ("b.example", "a.example"))),
    "expose.path": (BASE, ("/agents/base",)),
    "expose.port": (BASE, (9090, 1)),
    "expose.timeout": (BASE, (1, 86400, 0)),
    "expose.gateway": (BASE, ({"name": "g", "namespace": "n", "sectionName": "https"},)),
    "expose.ingress_class": (ISSUED, ("", "other")),
    "expose.tls_secret": (ISSUED, ("", "own")),
    "expose.shares": (BASE, ((("next", 8080, 10),), (("a", 80, 0), ("b", 1, 100)))),
    "expose.redirects": (PREFIXED, (True,)),
    "expose.issuer": (ISSUED, ({"name": "x", "kind": "ClusterIssuer"},)),
    "retained": (BASE, ({**BASE.retained, "argocd.argoproj.io/sync-options": "Prune=false"},)),
    "verbatim": (KEDA, ({"kustomize.toolkit.fluxcd.io/substitute": "disabled"},)),
}
INTERNAL = {"source", "mark", "callees", "patches", "test_image", "config.digest"}
"""Fields that stand in no object that a target without releases has."""
ELSEWHERE = ("flow",)
"""Parts of plans that no chart has: test_argo.py."""


def turned() -> Iterator[tuple[str, WorkloadPlan, WorkloadPlan]]:
    """Yield each field's name with a plan before and after it is changed."""
    for path, (plan, values) in TURNS.items():
        for value in values:
            yield path, plan, _with(plan, path, value)


def stepped() -> Iterator[WorkloadPlan]:
    """Yield canaries of what differs beside them: who sets the replicas, and whose image it is."""
    for plan in (STEPPED_OWN, STEPPED, KEDA._replace(canary=STEPPED.canary)):
        for moving in ("", "in", "out"):
            yield _with(plan, "canary.moving", moving)
    yield _with(STEPPED_OWN, "canary.analysis.seconds", 1.5)._replace(min_ready=5)


def jobs() -> Iterator[WorkloadPlan]:
    """Yield Jobs whose pods differ in what their names depend on."""
    yield JOB
    yield JOB._replace(schedule="0 3 * * 1-5", labels={}, verbatim={"a.example/x": "y"})
    for path in ("name", "labels", "pod_labels", "pod_annotations", "image", "command", "env"):
        yield from (_with(JOB, path, value) for value in TURNS[path][1])
    for path in ("resources", "secrets", "volumes", "run_as_user", "pod_fields", "grace"):
        yield from (_with(JOB, path, value) for value in TURNS[path][1])
    yield JOB._replace(config=_config(), args=("ingest", "--config", "x", *TEXTS))
    yield JOB._replace(fail_on=(1, 2), component="workflow-run")
    yield SCHEDULED
    yield SCHEDULED._replace(overlaps=False, deadline=60, component="backup")
    yield SCHEDULED._replace(fail_on=(3,), time_zone="Asia/Seoul", verbatim={"a.example/x": "y"})


def own_files() -> Iterator[WorkloadPlan]:
    """Yield plans of images of one's own with configuration files."""
    for text in TEXTS:
        data = {"app.yaml": text, "b": "1000000"}
        yield OWN._replace(config=config.revision("base", data, "/srv/conf"))


def fields(kind: type, prefix: str = "") -> Iterator[str]:
    """Yield the names of all fields of a plan, those of its parts behind a dot."""
    for name, hint in typing.get_type_hints(kind).items():
        if name in ELSEWHERE:
            continue
        yield prefix + name
        for part in _parts(hint):
            yield from fields(part, f"{prefix}{name}.")


def _parts(hint: Any) -> Iterator[type]:
    """Yield the named tuples that a field may be, not those that it holds many of."""
    options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    for option in options:
        if isinstance(option, type) and hasattr(option, "_fields") and option is not Mark:
            yield option


SPACE = NamespacePlan(
    name="space",
    labels={"team": "a"},
    create=False,
    namespace_labels={},
    claims=(Claim("shared", "1Gi", "ReadWriteMany", ""),),
    secrets=(
        ExternalSecret(
            "s", "remote/s", (RemoteKey("k", "remote/s", "k"), RemoteKey("l", "remote/s", "l"))
        ),
    ),
    store=SecretStore("store", "SecretStore", {"fake": {"data": []}}, Account("reader", True, {})),
    given_secrets=(),
    refresh_interval="1h",
    people=(("view", ("team",)),),
    quota={"pods": "10"},
    limits={"max": {"cpu": "1"}},
    alerts=(),
    alert_thresholds=alerts.THRESHOLDS,
    own_thresholds={},
    runtime_alerts=True,
    runbooks="",
    severities=alerts.SEVERITIES,
    objectives={},
    budget=None,
    collector_alerts=False,
    dashboard=Dashboard("fleetform-0a1b", "Agents: space", {"grafana_dashboard": "1"}, ""),
    alert_labels={},
    retained={"helm.sh/resource-policy": "keep"},
    verbatim={},
    default_deny=False,
)
GROUP = {
    "name": "g",
    "rules": [{"alert": "A", "expr": "x > 0.1", "labels": {"a": "{{ $labels.b }}"}}],
}
SPACE_TURNS: dict[str, tuple[Any, ...]] = {
    "name": (),  # every fleet made by chance has three
    "labels": ({}, {"x": "1e3"}),
    "create": (),  # Namespaces are in no release
    "namespace_labels": (),
    "claims": (
        (),
        (Claim("a", "2Gi", "ReadWriteOnce", "fast"), Claim("b" * 200, "1", "ReadOnlyMany", "")),
    ),
    "secrets": (
        (),
        (
            ExternalSecret("t." * 60 + "t", "a/b", ()),
            ExternalSecret("u", "", (RemoteKey("1", "x", "1"), RemoteKey("2", "y", ""))),
        ),
        (
            ExternalSecret("v", "a", (), "", "uuid/1"),
            ExternalSecret(
                "w",
                "a",
                (
                    RemoteKey("k", "a", "k", "7"),
                    RemoteKey("l", "a", "", "7"),
                    RemoteKey("m", "b", "m", "8"),
                    RemoteKey("n", "b", "{{ .x }}", "7"),
                ),
                "",
                "7",
            ),
            ExternalSecret(
                "x",
                "",
                (RemoteKey(".dockerconfigjson", "${b}", ""),),
                "kubernetes.io/dockerconfigjson",
            ),
        ),
    ),
    "store": (),
    "store.name": ("other",),
    "store.kind": ("ClusterSecretStore",),
    "store.provider": (
        {},
        {"vault": {"server": "https://v", "version": "v2", "readYourWrites": False}},
        {"aws": {"service": "SecretsManager", "region": "1e3", "prefix": "012"}},
    ),
    "store.account": (None,),
    "store.account.name": ("store", "another"),
    "store.account.create": (False,),
    "store.account.annotations": ({"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/x"},),
    "given_secrets": (),
    "refresh_interval": ("5m",),
    "people": (
        (),
        (("edit", ("a", "oidc:b/c", "0", "Größe", "no")), ("view", ("00000000-0000-0000",))),
    ),
    "quota": ({}, {"requests.cpu": "1000000", "count/pods": "0"}),
    "limits": ({}, {"default": {"cpu": "1"}, "defaultRequest": {"memory": "1Gi"}}),
    "alerts": ((GROUP,), ({**GROUP, "rules": []},)),
    "alert_thresholds": (),  # what they decide is in the alerts
    "own_thresholds": (),
    "runtime_alerts": (),
    "runbooks": (),
    "severities": (),
    "objectives": (),
    "budget": (),
    "collector_alerts": (),
    "dashboard": (None,),
    "dashboard.uid": ("x" * 40, "A_b-1"),
    "dashboard.title": ("Agents: a.b (prod)",),
    "dashboard.labels": ({}, {"team": "1e3", "a/b": "true"}),
    "dashboard.folder": ("Agents of ACME", "1"),
    "dashboard.instances": ({"dashboards": "grafana"}, {"a/b": "1e3", "c": ""}),
    "alert_labels": ({"release": "prometheus"},),
    "retained": ({**SPACE.retained, "kustomize.toolkit.fluxcd.io/prune": "disabled"},),
    "verbatim": ({"kustomize.toolkit.fluxcd.io/substitute": "disabled"},),
    "default_deny": (True,),
}
