"""A workload as Kubernetes runs it: decisions that are the same for all kinds of workloads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fleetform import view
from fleetform.names import fit
from fleetform.plan import images
from fleetform.plan.model import Shape, Workload
from fleetform.platforms.kubernetes.bind import delivery, patches, pods
from fleetform.platforms.kubernetes.bind.canary import canary
from fleetform.platforms.kubernetes.bind.config import config
from fleetform.platforms.kubernetes.bind.scaling import scaler
from fleetform.platforms.kubernetes.clusters import CLUSTERS
from fleetform.platforms.kubernetes.model import (
    PRE_STOP,
    Account,
    Expose,
    Metrics,
    Rbac,
    Sandbox,
    Service,
    WorkloadPlan,
    selector,
)
from fleetform.platforms.kubernetes.rules import environments
from fleetform.resolve.canaries import known_as
from fleetform.resolve.hosts import own_hosts
from fleetform.tree import at, locate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fleetform.platforms.kubernetes.bind.network import Policy
    from fleetform.problems import Problem
    from fleetform.resolve import Fleet
    from fleetform.resolve.catalog import Key
    from fleetform.tree import TreePath

USER = 10001
AGENT_SANDBOX = "agent-sandbox"
SANDBOX_MEMORY = 160
"""Mebibytes that a sandbox takes beside its program: what waits for it, and a process of Python."""
SANDBOX_CPU, SANDBOX_LIMIT = "50m", "1"
HOLDERS = {
    Shape.SERVICE: "Deployment",
    Shape.STATEFUL: "StatefulSet",
    Shape.JOB: "Job",
    Shape.SCHEDULED: "CronJob",
    Shape.STEPS: "WorkflowTemplate",
}
"""Kind of the object that holds the pods of each shape."""


def workload_plan(
    fleet: Fleet,
    workload: Workload,
    policies: dict[Key, Policy],
    shared: set[str],
    problems: list[Problem],
) -> WorkloadPlan:
    """Return a workload bound to Kubernetes; `shared` are claims that several pods of its namespace mount."""
    resolved, spec, name = workload.resolved, workload.spec, workload.name
    template, scaled = spec.pod_template, scaler(fleet, workload)
    cluster = CLUSTERS[fleet.environment.platform]
    stateful = workload.shape is Shape.STATEFUL
    single = pods.is_single_writer(workload, shared)
    recreate = single and workload.shape is Shape.SERVICE
    crowded = recreate or pods.existing_of_one_node(workload)
    if crowded and workload.scale.most > 1:
        problems.append(_single_writer(workload))
    configuration, secrets = config(workload, problems)
    policy = policies[workload.key]
    read_only_root = not template.writable_root_filesystem
    pre_stop = PRE_STOP if workload.ports else 0
    return WorkloadPlan(
        name=name,
        namespace=workload.namespace,
        component=workload.component,
        version=workload.version,
        source=resolved.origin,
        mark=locate(resolved.tree, ("metadata", "name"))[0],
        callees=tuple(sorted(policy.callees)),
        labels=workload.labels,
        annotations=dict(resolved.typed.metadata.annotations),
        pod_labels={**workload.labels, **template.labels},
        pod_annotations=dict(template.annotations),
        image=workload.image,
        pull_policy=workload.pull_policy,
        pull_secrets=tuple(template.image_pull_secrets or fleet.environment.images.pull_secrets),
        command=pods.words(workload.command),
        args=pods.words(workload.args),
        working_dir=workload.working_dir,
        env=tuple(pods.variable(item) for item in workload.env),
        env_from=tuple(pods.env_from(item) for item in workload.env_from),
        ports=workload.ports,
        service=_service(fleet, workload),
        startup=workload.checks.startup,
        readiness=workload.checks.ready,
        liveness=workload.checks.alive,
        pre_stop=pre_stop,
        grace=template.termination_grace_period_seconds or pre_stop + workload.drain,
        resources=workload.compute._asdict(),
        secrets=secrets,
        volumes=pods.volumes(workload),
        mounts=tuple(pods.mount(item) for item in workload.mounts),
        run_as_user=template.run_as_user or (0 if cluster.assigns_ids else USER),
        read_only_root=read_only_root,
        pod_fields=pods.near(workload, pods.fields(template), shared),
        spread=pods.spread(template, selector(name), workload.scale.most),
        sidecars=tuple(
            pods.extra_container(item, read_only_root=read_only_root) for item in workload.sidecars
        ),
        init_containers=tuple(
            pods.extra_container(item, read_only_root=read_only_root) for item in workload.init
        ),
        config=configuration,
        account=_account(fleet, workload),
        rbac=_rbac(workload),
        sandbox=_sandbox(fleet, workload, problems),
        kind=HOLDERS[workload.shape],
        claim_templates=pods.claims(workload, set()) if stateful else (),
        headless=workload.by_name,
        recreate=recreate,
        schedule=workload.schedule,
        time_zone=workload.time_zone,
        overlaps=workload.overlaps,
        deadline=workload.deadline,
        fail_on=workload.fail_on,
        flow=workload.flow,
        min_ready=template.min_ready_seconds or 0,
        replicas=scaled.replicas,
        autoscaler=scaled.autoscaler,
        keda=scaled.keda,
        canary=canary(fleet, workload),
        ingress=policy.ingress.grouped(),
        egress=policy.egress.grouped(),
        metrics=_metrics(fleet, workload),
        expose=_expose(fleet, workload),
        retained=delivery.retained(fleet),
        verbatim=delivery.verbatim(fleet),
        test_image=_test(fleet),
        patches=() if workload.shape.ends else tuple(patches.of_spec(fleet, resolved)),
    )


def accepts_timeouts(fleet: Fleet) -> bool:
    """Whether the environment's Gateway takes routes that limit the time of a request."""
    gateway = fleet.environment.expose.gateway
    if gateway is None or gateway.request_timeouts is None:
        return CLUSTERS[fleet.environment.platform].route_timeouts
    return bool(gateway.request_timeouts)


def _test(fleet: Fleet) -> str | None:
    """Return the image of the release's test; the public registry is named, since some nodes know no default."""
    test, given = fleet.environment.helm.test, fleet.environment.images
    if not test.enabled:
        return None
    found = images.reference(given, test.image)[0]
    return found if given.registry else images.full_name("docker.io", found)


def _single_writer(workload: Workload) -> Problem:
    return workload.resolved.problem(
        ("spec", "volumes"),
        "single-writer",
        f"{workload.scale.most} replicas cannot mount a volume that only one node may write",
        hint="set `accessMode: ReadWriteMany` of a claim that can be mounted so, or `stateful: true` for one volume per replica",
        key=True,
    )


def _account(fleet: Fleet, workload: Workload) -> Account:
    spec, platform = workload.spec, fleet.environment.platform
    annotations: dict[str, str] = {}
    identity = spec.identity
    if identity is not None:
        if platform == "eks" and identity.aws_role_arn:
            annotations["eks.amazonaws.com/role-arn"] = identity.aws_role_arn
        if platform == "gke" and identity.gcp_service_account:
            annotations["iam.gke.io/gcp-service-account"] = identity.gcp_service_account
    return Account(spec.service_account or workload.name, spec.service_account is None, annotations)


def _rbac(workload: Workload) -> Rbac | None:
    rbac = workload.spec.rbac
    if rbac is None or not rbac.rules:
        return None
    cluster = rbac.scope == "cluster"
    # A name that is unique in the cluster; namespace and workload names have no colons.
    name = f"{workload.namespace}:{workload.name}" if cluster else workload.name
    return Rbac(cluster, name, tuple(view.dump(rule) for rule in rbac.rules))


def _sandbox(fleet: Fleet, workload: Workload, problems: list[Problem]) -> Sandbox | None:
    """Return the pods for programs of a workload; without a kernel of their own they are no sandboxes."""
    asked, given = workload.sandbox, fleet.environment.sandboxes
    if asked is None:
        return None
    problems += _lacking(fleet, workload, asked.path)
    memory = -(-asked.memory // (1 << 20)) + SANDBOX_MEMORY
    limits = {"cpu": SANDBOX_LIMIT, "memory": f"{memory}Mi"}
    requests = {"cpu": SANDBOX_CPU, "memory": f"{SANDBOX_MEMORY}Mi"}
    return Sandbox(given.runtime_class or "", given.warm, {"requests": requests, "limits": limits})


def _lacking(fleet: Fleet, workload: Workload, path: TreePath) -> Iterator[Problem]:
    """Yield what the environment lacks for sandboxes."""
    resolved, environment = workload.resolved, fleet.environment
    if AGENT_SANDBOX not in environment.capabilities:
        yield resolved.problem(
            path,
            "missing-capability",
            f"a program with `engine: sandbox` needs the capability `{AGENT_SANDBOX}`, which the environment lacks",
            hint=f"add `{AGENT_SANDBOX}` to the environment's capabilities where it is installed with its extensions; nothing "
            "weaker takes its place",
        )
    elif environment.sandboxes.runtime_class is None:
        yield resolved.problem(
            path,
            "no-runtime-class",
            "the environment does not say which RuntimeClass gives a sandbox a kernel of its own",
            hint="set its `sandboxes.runtimeClass`, such as gvisor; `kubectl get runtimeclass` shows those of the cluster",
        )
    no_rights = workload.spec.rbac is None or not workload.spec.rbac.rules
    if no_rights and at(fleet.environment_tree, ("spec", "network", "apiServer")) is None:
        yield environments.wide_egress(resolved, path)


def _metrics(fleet: Fleet, workload: Workload) -> Metrics | None:
    scrape = workload.scrape
    if scrape is None or "prometheus-operator" not in fleet.environment.capabilities:
        return None
    monitoring = fleet.environment.monitoring
    own = {*workload.labels, *workload.spec.pod_template.labels}
    targets = tuple(key for key in monitoring.target_labels if key in own)
    labels = dict(monitoring.labels)
    return Metrics(scrape.port.name, scrape.path, scrape.interval, labels, targets)


def _service(fleet: Fleet, workload: Workload) -> Service:
    given = workload.spec.service
    texts = dict(given.annotations)
    outside = given.type != "ClusterIP"
    return Service(
        type=given.type,
        annotations={**texts, **delivery.verbatim(fleet)} if texts else {},
        source_ranges=tuple(given.load_balancer_source_ranges)
        if given.type == "LoadBalancer"
        else (),
        traffic_policy=(given.external_traffic_policy or "Local") if outside else "",
    )


def _expose(fleet: Fleet, workload: Workload) -> Expose | None:
    given, exposure, defaults = workload.spec.expose, workload.exposure, fleet.environment.expose
    if (
        given is None
        or exposure is None
        or known_as(fleet, workload.resolved) is not workload.resolved
    ):
        return None
    kind = given.type or defaults.type
    gateway = view.dump(defaults.gateway) if defaults.gateway else {}
    issuer = view.dump(defaults.issuer) if defaults.issuer else {}
    # The shared host has one certificate, which is the ingress controller's.
    certificate = (
        kind == "Ingress"
        and own_hosts(given)
        and given.tls
        and issuer
        and "cert-manager" in fleet.environment.capabilities
    )
    return Expose(
        kind=kind,
        hosts=exposure.hosts,
        path=exposure.path,
        port=exposure.port.service_port,
        timeout=exposure.timeout if kind == "Ingress" or accepts_timeouts(fleet) else 0,
        gateway=gateway if kind == "HTTPRoute" else {},
        ingress_class=defaults.ingress_class or "",
        tls_secret=fit(workload.name, "-tls") if certificate else "",
        issuer=issuer if certificate else {},
        shares=tuple((item.name, item.port.service_port, item.weight) for item in exposure.shares),
        redirects=exposure.has_page and exposure.path != "/",
    )
