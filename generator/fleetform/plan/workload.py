"""A draft → its WorkloadPlan: what all kinds of workloads decide in the same way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fleetform import view
from fleetform.plan import delivery, patches, pods
from fleetform.plan.draft import Draft
from fleetform.plan.model import Account, Expose, Metrics, Rbac, WorkloadPlan, selector
from fleetform.plan.names import fit
from fleetform.plan.scaling import Scale, decide
from fleetform.problems import Problem
from fleetform.rules.environments import path_of
from fleetform.rules.resources import PRE_STOP
from fleetform.tree import locate

if TYPE_CHECKING:
    from fleetform.resolve import Fleet

USER = 10001


def workload_plan(
    fleet: Fleet, draft: Draft, shared: set[str], problems: list[Problem]
) -> WorkloadPlan:
    """Close a draft: everything that all kinds of workloads decide in the same way."""
    resolved, spec = draft.resolved, draft.workload
    template, name = spec.pod_template, resolved.name
    scale = decide(name, spec.scaling) if draft.scalable else Scale(1, None, None, 1)
    labels = {**fleet.environment.labels, **resolved.typed.metadata.labels}
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
        mark=locate(resolved.tree, ("metadata", "name"))[0],
        callees=_callees(fleet, draft),
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
        secrets=draft.secrets.mounted(),
        volumes=(*draft.volumes, *pods.extra_volumes(template)),
        mounts=tuple(draft.mounts),
        run_as_user=template.run_as_user or USER,
        read_only_root=not template.writable_root_filesystem,
        node_selector=dict(template.node_selector),
        tolerations=pods.tolerations(template),
        affinity=view.dump(template.affinity) if template.affinity else {},
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
        ingress=draft.callers.grouped(),
        egress=draft.traffic.grouped(),
        metrics=_metrics(fleet, draft),
        expose=_expose(fleet, draft, problems),
        retained=delivery.retained(fleet),
        verbatim=delivery.verbatim(fleet),
        patches=tuple(patches.of_spec(fleet, resolved)),
    )


def _callees(fleet: Fleet, draft: Draft) -> tuple[tuple[str, str], ...]:
    called = [callee for callee, _ in draft.traffic.links]
    return tuple(sorted({(fleet.target_namespace(item.namespace), item.name) for item in called}))


def _account(fleet: Fleet, draft: Draft) -> Account:
    spec, platform = draft.workload, fleet.environment.platform
    annotations: dict[str, str] = {}
    identity = spec.identity
    if identity is not None:
        if platform == "eks" and identity.aws_role_arn:
            annotations["eks.amazonaws.com/role-arn"] = identity.aws_role_arn
        if platform == "gke" and identity.gcp_service_account:
            annotations["iam.gke.io/gcp-service-account"] = identity.gcp_service_account
    return Account(
        spec.service_account or draft.resolved.name,
        spec.service_account is None,
        annotations,
    )


def _rbac(fleet: Fleet, draft: Draft) -> Rbac | None:
    rbac = draft.workload.rbac
    if rbac is None or not rbac.rules:
        return None
    cluster = rbac.scope == "cluster"
    name = draft.resolved.name
    if cluster:  # one name for the whole cluster; no namespace or workload has a colon in its name
        name = f"{fleet.target_namespace(draft.resolved.namespace)}:{name}"
    rules = tuple(view.dump(rule) for rule in rbac.rules)
    return Rbac(cluster, name, rules)


def _metrics(fleet: Fleet, draft: Draft) -> Metrics | None:
    port, spec = draft.metrics_port(fleet), draft.workload.observability.metrics
    if port is None:
        return None
    return Metrics(
        port.name, spec.path, spec.interval_seconds, dict(fleet.environment.monitoring.labels)
    )


def _expose(fleet: Fleet, draft: Draft, problems: list[Problem]) -> Expose | None:
    given, defaults = draft.workload.expose, fleet.environment.expose
    if given is None:
        return None
    port = draft.exposed_port()
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
    gateway = view.dump(defaults.gateway) if defaults.gateway else {}
    issuer = view.dump(defaults.issuer) if defaults.issuer else {}
    # The shared host has one certificate for all, and it is the ingress controller's.
    certificate = (
        kind == "Ingress"
        and given.host
        and given.tls
        and issuer
        and "cert-manager" in fleet.environment.capabilities
    )
    return Expose(
        kind=kind,
        host=given.host or defaults.host or "",
        path=path_of(draft.resolved),
        port=port.service_port,
        timeout=defaults.request_timeout_seconds,
        gateway=gateway if kind == "HTTPRoute" else {},
        ingress_class=defaults.ingress_class or "",
        tls_secret=fit(draft.resolved.name, "-tls") if certificate else "",
        issuer=issuer if certificate else {},
    )
