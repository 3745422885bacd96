"""A resolved spec → its WorkloadPlan: agents, deployed MCP servers and memory stores by the same steps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fleetform import view
from fleetform.plan import config, delivery, network, pods
from fleetform.plan.config import HTTP_PORT, METRICS_PORT
from fleetform.plan.model import (
    Account,
    Config,
    Expose,
    Metrics,
    Port,
    Probe,
    Rbac,
    WorkloadPlan,
    selector,
)
from fleetform.plan.names import fit
from fleetform.plan.scaling import Scale, decide
from fleetform.plan.secrets import SecretFiles
from fleetform.problems import Problem
from fleetform.resolve.references import Uses, is_set
from fleetform.rules.resources import MARGIN, PRE_STOP

if TYPE_CHECKING:
    from fleetform.models.workload import Container, Image, Workload
    from fleetform.resolve import Fleet, Resolved

RUNTIME_PATHS = ("/health/startup", "/health/ready", "/health")
USER = 10001
MAX_CONFIG_BYTES = 1 << 20


@dataclass(slots=True)
class Draft:
    """One workload on its way: what the steps found so far."""

    resolved: Resolved
    workload: Workload
    component: str
    image: tuple[str, str] = ("", "")
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    working_dir: str = ""
    pull_policy: str = ""
    ports: tuple[Port, ...] = ()
    env: tuple[dict[str, Any], ...] = ()
    volumes: list[dict[str, Any]] = field(default_factory=list)
    mounts: list[dict[str, Any]] = field(default_factory=list)
    probes: tuple[Probe | None, Probe | None, Probe | None] = (None, None, None)
    grace: int = 30
    config: Config | None = None
    secrets: SecretFiles = field(default_factory=SecretFiles)
    traffic: network.Traffic = field(default_factory=network.Traffic)
    callers: network.Traffic = field(default_factory=network.Traffic)
    headless: bool = False
    scalable: bool = True


def workload_plan(
    fleet: Fleet, draft: Draft, shared: set[str], problems: list[Problem]
) -> WorkloadPlan:
    """Close a draft: everything that all kinds of workloads decide in the same way."""
    resolved, spec = draft.resolved, draft.workload
    template, name = spec.pod_template, resolved.name
    scale = decide(name, spec.scaling) if draft.scalable else Scale(1, None, None, 1)
    labels = {**fleet.environment.labels, **resolved.typed.metadata.labels}
    prefix = "podTemplate"
    recreate = not spec.stateful and pods.is_single_writer(spec, shared)
    if recreate and scale.most > 1:
        problems.append(
            resolved.problem(
                ("spec", "volumes"),
                "single-writer",
                f"{scale.most} replicas cannot mount a volume that only one node may write",
                hint="set `claim.accessMode: ReadWriteMany`, or `stateful: true` for one volume per replica",
                key=True,
            )
        )
    return WorkloadPlan(
        name=name,
        namespace=fleet.target_namespace(resolved.namespace),
        component=draft.component,
        version=draft.image[1],
        source=resolved.origin,
        labels=labels,
        annotations=dict(resolved.typed.metadata.annotations),
        pod_labels={**labels, **template.labels},
        pod_annotations=dict(template.annotations),
        image=draft.image[0],
        pull_policy=draft.pull_policy or fleet.environment.images.pull_policy or "",
        pull_secrets=tuple(template.image_pull_secrets or fleet.environment.images.pull_secrets),
        command=tuple(pods.escape(word) for word in draft.command),
        args=draft.args,
        working_dir=draft.working_dir,
        env=draft.env,
        ports=draft.ports,
        startup=draft.probes[0],
        readiness=draft.probes[1],
        liveness=draft.probes[2],
        pre_stop=PRE_STOP if draft.ports else 0,
        grace=template.termination_grace_period_seconds or draft.grace,
        resources=pods.resources(spec.resources, pods.REQUESTS, pods.LIMITS),
        volumes=tuple([*draft.volumes, *pods.extra_volumes(template)]),
        mounts=tuple(draft.mounts),
        run_as_user=template.run_as_user or USER,
        read_only_root=not template.writable_root_filesystem,
        node_selector=dict(template.node_selector),
        tolerations=pods.tolerations(template),
        affinity=view.dump(template.affinity)
        if template.affinity
        else {},
        spread=pods.spread(template, selector(name), scale.most),
        priority_class=template.priority_class_name or "",
        runtime_class=template.runtime_class_name or "",
        sidecars=pods.extra_containers(
            fleet, resolved, template.sidecars, "sidecars", template, problems
        ),
        init_containers=pods.extra_containers(
            fleet, resolved, template.init_containers, "initContainers", template, problems
        ),
        config=draft.config,
        account=_account(fleet, draft),
        rbac=_rbac(fleet, draft),
        stateful=spec.stateful,
        claim_templates=tuple(pods.claim(v, shared=False) for v in spec.volumes if v.claim)
        if spec.stateful
        else (),
        headless=(draft.headless or spec.stateful) and bool(draft.ports),
        recreate=recreate,
        replicas=scale.replicas,
        autoscaler=scale.autoscaler,
        keda=scale.keda,
        disruption_budget=scale.most > 1,
        ingress=draft.callers.grouped(),
        egress=draft.traffic.grouped(),
        metrics=_metrics(fleet, draft),
        expose=_expose(fleet, draft, problems),
        retained=delivery.retained(fleet),
        verbatim=delivery.verbatim(fleet),
    )


# -- the three kinds ----------------------------------------------------------------------------


def agent(fleet: Fleet, resolved: Resolved, uses: Uses, problems: list[Problem]) -> Draft:
    """Start the plan of an agent."""
    draft = Draft(resolved, resolved.spec, "agent")
    if resolved.spec.container is None:
        _generic(fleet, draft, uses, problems)
    else:
        _own_image(fleet, draft, resolved.spec.container, problems)
    _agent_traffic(fleet, draft, uses, problems)
    draft.headless = bool(resolved.spec.peers)
    return draft


def server(fleet: Fleet, resolved: Resolved, problems: list[Problem]) -> Draft:
    """Start the plan of a deployed MCP server."""
    draft = Draft(resolved, resolved.spec, "mcp-server")
    _own_image(fleet, draft, resolved.spec.container, problems)
    _common_traffic(fleet, draft, problems)
    return draft


def store(fleet: Fleet, resolved: Resolved, problems: list[Problem]) -> Draft:
    """Start the plan of a memory store that the environment provisions for development."""
    from fleetform.plan import stores  # noqa: PLC0415 - few environments have one

    provision = resolved.spec.provision
    draft = Draft(resolved, stores.workload(resolved), "memory-store", scalable=False)
    _own_image(
        fleet,
        draft,
        stores.container(resolved),
        problems,
        provision=True,
    )
    draft.env = tuple([*stores.env(resolved), *pods.env(provision.env)])
    draft.args = tuple(stores.args(resolved))
    _common_traffic(fleet, draft, problems)
    return draft


# -- pods ---------------------------------------------------------------------------------------


def _generic(fleet: Fleet, draft: Draft, uses: Uses, problems: list[Problem]) -> None:
    resolved, spec = draft.resolved, draft.resolved.spec
    draft.image = pods.image(
        fleet, resolved, view.make("Agent", "Image", {"repository": fleet.environment.images.runtime}), ("spec",), problems
    )
    metrics_port = spec.observability.metrics.port or METRICS_PORT
    draft.ports = (
        Port("http", HTTP_PORT, HTTP_PORT, "TCP", "http"),
        Port("metrics", metrics_port, metrics_port, "TCP", "http"),
    )
    turn = spec.limits.turn_timeout_seconds
    draft.grace = PRE_STOP + turn + MARGIN
    draft.args = ("serve", "--config", f"{config.DIRECTORY}/agent.json")
    draft.env = tuple(pods.env(spec.env))
    check = spec.health_check
    paths = (
        check.startup_path or RUNTIME_PATHS[0],
        check.readiness_path or RUNTIME_PATHS[1],
        check.path or RUNTIME_PATHS[2],
    )
    draft.probes = pods.probes(check, paths, "http")
    draft.config = config.agent_config(fleet, resolved, uses, draft.secrets, turn)
    _check_size(draft, problems)
    _mounts(draft)


def _own_image(
    fleet: Fleet,
    draft: Draft,
    container: Container,
    problems: list[Problem],
    *,
    provision: bool = False,
) -> None:
    resolved, spec = draft.resolved, draft.workload
    root = (
        ("spec", "provision", "container", "image") if provision else ("spec", "container", "image")
    )
    draft.image = pods.image(fleet, resolved, container.image, root, problems)
    draft.pull_policy = container.image.pull_policy or ""
    draft.command = tuple(container.command or ())
    draft.args = tuple(pods.escape(word) for word in container.args or ())
    draft.working_dir = container.working_dir or ""
    draft.ports = tuple(
        Port(
            port.name,
            port.container_port,
            port.service_port or port.container_port,
            port.protocol,
            port.app_protocol or "",
        )
        for port in container.ports
    )
    draft.env = tuple(pods.env(spec.env))
    check = spec.health_check
    live = check.path or ""
    paths = (check.startup_path or live, check.readiness_path or live, live)
    draft.probes = pods.probes(check, paths, _probe_port(check.port, draft.ports))
    draft.grace = PRE_STOP + 30 if draft.ports else 30
    if container.config_files:
        draft.config = config.revision(
            resolved.name, dict(sorted(container.config_files.items())), container.config_dir
        )
        _check_size(draft, problems)
    _mounts(draft)


def _probe_port(number: int | None, ports: tuple[Port, ...]) -> str | int:
    """Return the probes' port by name where it has one."""
    tcp = [port for port in ports if port.protocol == "TCP"]
    if number is not None:
        return next((port.name for port in tcp if port.container_port == number), number)
    return next((port.name for port in tcp if port.name == "http"), tcp[0].name if tcp else "")


def _mounts(draft: Draft) -> None:
    """Mount scratch space, configuration, secrets, and what the spec asks for, in that order."""
    draft.volumes.append({"name": "tmp", "emptyDir": {"sizeLimit": pods.TMP_SIZE}})
    draft.mounts.append({"name": "tmp", "mountPath": "/tmp"})  # noqa: S108 - the pod's own
    if draft.config is not None:
        draft.volumes.append({"name": "config", "configMap": {"name": draft.config.name}})
        draft.mounts.append(
            {"name": "config", "mountPath": draft.config.directory, "readOnly": True}
        )
    if draft.secrets.keys:
        draft.volumes.append(draft.secrets.volume())
        draft.mounts.append(
            {"name": "secrets", "mountPath": "/var/run/secrets/fleetform", "readOnly": True}
        )
    found, mounts = pods.volumes(draft.workload.volumes, stateful=draft.workload.stateful)
    draft.volumes += found
    draft.mounts += mounts


def _check_size(draft: Draft, problems: list[Problem]) -> None:
    if draft.config is None:
        return
    size = sum(len(key.encode()) + len(text.encode()) for key, text in draft.config.data.items())
    if size > MAX_CONFIG_BYTES:
        problems.append(
            draft.resolved.problem(
                ("spec",),
                "config-too-big",
                f"the configuration has {size} bytes, a ConfigMap holds 1 MiB",
                hint="shorten the prompt, or move reference text into a tool",
                key=True,
            )
        )


# -- network ------------------------------------------------------------------------------------


def _agent_traffic(fleet: Fleet, draft: Draft, uses: Uses, problems: list[Problem]) -> None:
    resolved, traffic = draft.resolved, draft.traffic
    _common_traffic(fleet, draft, problems)
    for _, model in [("", uses.model), *uses.models, *uses.fallbacks]:
        if model is not None:
            place = (
                ("spec", "model")
                if is_set(resolved, ("spec", "model", "endpoint"))
                else ("spec", "modelConfig")
            )
            problems += network.to_url(
                fleet, resolved, model.endpoint or "https://provider.example", place, traffic
            )
    for use, tool in uses.tools:
        if tool.spec.api is not None:
            problems += network.to_url(
                fleet,
                tool_owner(resolved, tool),
                _filled(tool.spec.api.endpoint),
                ("spec", "api", "endpoint"),
                traffic,
            )
            auth = tool.spec.api.authentication
            if auth is not None and auth.oauth2 is not None:
                problems += network.to_url(
                    fleet,
                    tool_owner(resolved, tool),
                    auth.oauth2.token_url,
                    ("spec", "api", "authentication"),
                    traffic,
                )
        del use
    for _, other in uses.servers:
        if other.spec.url:
            problems += network.to_url(fleet, other, other.spec.url, ("spec", "url"), traffic)
        else:
            for port in network.pod_ports(other, config.http_port(other.spec.container.ports)):
                traffic.call(fleet, other, (("TCP", port),))
    for number, use in enumerate(resolved.spec.tools):
        if use.endpoint:
            problems += network.to_url(
                fleet, resolved, use.endpoint, ("spec", "tools", number, "endpoint"), traffic
            )
    for _, other in uses.agents:
        traffic.call(fleet, other, (("TCP", HTTP_PORT),))
    for peer in uses.peers:
        ports = (
            tuple(
                sorted((port.protocol, port.container_port) for port in peer.spec.container.ports)
            )
            if peer.spec.container
            else (("TCP", HTTP_PORT),)
        )
        traffic.call(fleet, peer, ports)
        draft.callers.call(
            fleet, peer, tuple(sorted((port.protocol, port.container_port) for port in draft.ports))
        )
    _memory_traffic(fleet, draft, uses, problems)


def tool_owner(agent: Resolved, tool: Resolved) -> Resolved:
    """Return whose namespace short hosts of a tool belong to: a fleet-wide tool's are its user's."""
    return tool if tool.namespace else agent


def _filled(endpoint: str) -> str:
    return endpoint.replace("{", "").replace("}", "")


def _memory_traffic(fleet: Fleet, draft: Draft, uses: Uses, problems: list[Problem]) -> None:
    memory = uses.memory
    if memory is None or memory.type not in ("redis", "postgres"):
        return
    endpoint = getattr(memory, memory.type)
    if endpoint is not None and endpoint.host:
        owner = uses.store or draft.resolved
        path = ("spec", memory.type, "host") if uses.store else ("spec", "memory")
        problems += network.to_host(fleet, owner, endpoint.host, endpoint.port, path, draft.traffic)


def _common_traffic(fleet: Fleet, draft: Draft, problems: list[Problem]) -> None:
    resolved, spec, traffic = draft.resolved, draft.workload, draft.traffic
    network.dns(fleet, traffic)
    network.platform(fleet, spec.identity, traffic)
    if spec.rbac is not None and spec.rbac.rules:
        network.api_server(fleet, traffic)
    tracing = spec.observability.tracing
    if tracing.enabled and (tracing.endpoint or fleet.environment.monitoring.otlp_endpoint):
        place = ("spec", "observability", "tracing", "endpoint")
        problems += network.to_url(
            fleet,
            resolved,
            tracing.endpoint or fleet.environment.monitoring.otlp_endpoint or "",
            place,
            traffic,
        )
    for number, peer in enumerate(spec.network.allow_to):
        problems += network.to_peer(
            fleet, resolved, peer, ("spec", "network", "allowTo", number), traffic
        )
    _callers(fleet, draft, problems)


def _callers(fleet: Fleet, draft: Draft, problems: list[Problem]) -> None:
    spec, ports = draft.workload, draft.ports
    main = _main_port(draft)
    metrics = _metrics(fleet, draft)
    if metrics is not None:
        target = next(port.container_port for port in ports if port.name == metrics.port)
        draft.callers.allow(
            network.everything_in(fleet.environment.network.prometheus_namespace),
            (("TCP", target),),
        )
    defaults = fleet.environment
    space = defaults.network.gateway_namespace or (
        defaults.expose.gateway.namespace if defaults.expose.gateway else ""
    )
    exposed = _exposed_port(draft)
    if spec.expose is not None and exposed is not None and space:
        draft.callers.allow(network.everything_in(space), (("TCP", exposed.container_port),))
    for number, peer in enumerate(spec.network.allow_from):
        default = (("TCP", main.container_port),) if main else ()
        problems += network.from_peer(
            fleet,
            draft.resolved,
            peer,
            ("spec", "network", "allowFrom", number),
            draft.callers,
            default,
        )


def _main_port(draft: Draft) -> Port | None:
    return next(
        (port for port in draft.ports if port.name == "http"),
        draft.ports[0] if draft.ports else None,
    )


def _exposed_port(draft: Draft) -> Port | None:
    expose = draft.workload.expose
    if expose is not None and expose.port:
        return next((port for port in draft.ports if port.name == expose.port), None)
    return _main_port(draft)


# -- what stands around the pods ----------------------------------------------------------------


def _account(fleet: Fleet, draft: Draft) -> Account:
    spec, platform = draft.workload, fleet.environment.platform
    annotations: dict[str, str] = {}
    identity = spec.identity
    if identity is not None:
        if platform == "eks" and identity.aws_role_arn:
            annotations["eks.amazonaws.com/role-arn"] = identity.aws_role_arn
        if platform == "gke" and identity.gcp_service_account:
            annotations["iam.gke.io/gcp-service-account"] = identity.gcp_service_account
    token = spec.rbac is not None and bool(spec.rbac.rules)
    return Account(
        spec.service_account or draft.resolved.name,
        spec.service_account is None,
        annotations,
        token,
    )


def _rbac(fleet: Fleet, draft: Draft) -> Rbac | None:
    rbac = draft.workload.rbac
    if rbac is None or not rbac.rules:
        return None
    cluster = rbac.scope == "cluster"
    name = draft.resolved.name
    if cluster:  # one name for the whole cluster: say whose it is
        name = fit(f"{fleet.target_namespace(draft.resolved.namespace)}-{name}")
    rules = tuple(view.dump(rule) for rule in rbac.rules)
    return Rbac(cluster, name, rules)


def _metrics(fleet: Fleet, draft: Draft) -> Metrics | None:
    spec = draft.workload.observability.metrics
    generic = draft.component == "agent" and draft.workload.container is None
    wanted = generic if spec.enabled is None else spec.enabled
    if not wanted or "prometheus-operator" not in fleet.environment.capabilities:
        return None
    port = next(
        (
            port.name
            for port in draft.ports
            if port.container_port == spec.port or (spec.port is None and port.name == "metrics")
        ),
        "",
    )
    if not port:
        return None
    return Metrics(
        port, spec.path, spec.interval_seconds, dict(fleet.environment.monitoring.labels)
    )


def _expose(fleet: Fleet, draft: Draft, problems: list[Problem]) -> Expose | None:
    given, defaults = draft.workload.expose, fleet.environment.expose
    if given is None:
        return None
    port = _exposed_port(draft)
    if port is None:
        names = ", ".join(f"`{item.name}`" for item in draft.ports) or "none"
        problems.append(
            draft.resolved.problem(
                ("spec", "expose"),
                "no-port",
                f"there is no port `{given.port or 'http'}` to expose",
                hint=f"ports: {names}",
                key=True,
            )
        )
        return None
    kind = given.type or defaults.type
    gateway = (
        view.dump(defaults.gateway) if defaults.gateway else {}
    )
    issuer = view.dump(defaults.issuer) if defaults.issuer else {}
    certificate = (
        kind == "Ingress"
        and given.tls
        and issuer
        and "cert-manager" in fleet.environment.capabilities
    )
    return Expose(
        kind=kind,
        host=given.host or defaults.host or "",
        path=given.path or ("/" if given.host else f"/agents/{draft.resolved.name}"),
        port=port.service_port,
        timeout=defaults.request_timeout_seconds,
        gateway=gateway if kind == "HTTPRoute" else {},
        ingress_class=defaults.ingress_class or "",
        tls_secret=fit(draft.resolved.name, "-tls") if certificate else "",
        issuer=issuer if certificate else {},
    )
