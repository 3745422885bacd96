"""What Compose cannot do of what specs ask for: an error if nothing would run, else a warning or a note."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from fleetform.plan import backups, pages
from fleetform.plan.model import (
    JOB_NAME,
    Claim,
    ConfigRef,
    ExistingClaim,
    Extra,
    FieldRef,
    Shape,
    Traffic,
    Workload,
)
from fleetform.platforms.compose import containers, networks, services
from fleetform.platforms.compose.model import DOCUMENTS
from fleetform.problems import Problem, did_you_mean
from fleetform.resolve import probes
from fleetform.resolve.collector import is_collector
from fleetform.resolve.hosts import Address
from fleetform.targets import platforms
from fleetform.tree import TreePath, at, problem_at

if TYPE_CHECKING:
    from fleetform.plan.model import Plan
    from fleetform.resolve import Fleet

MANY_NETWORKS = 25
"""Number of networks that fit into Docker's default address pools."""
LATER = "nothing to do: it takes effect in a cluster"

IN_A_CLUSTER: dict[tuple[str, ...], str] = {
    ("serviceAccount",): "Compose has no ServiceAccounts",
    ("objectPatches",): "Compose has no Kubernetes objects",
    ("resources", "requests", "ephemeral-storage"): "Docker does not limit disk space",
    ("resources", "limits", "ephemeral-storage"): "Docker does not limit disk space",
    ("observability", "alertThresholds"): "nothing evaluates alerts",
    ("slo",): "nothing evaluates objectives",
    ("service",): "Compose has no Services",
    ("network", "allowFrom"): "only agents of the fleet and this machine can reach it",
}
"""Fields of a workload that have no effect in Compose, and why; each gets a note."""
SERVED = frozenset(
    (
        *("sidecars", "initContainers", "volumes"),
        *("runAsUser", "writableRootFilesystem", "hostAliases", "terminationGracePeriodSeconds"),
    )
)
"""Fields of `podTemplate` that Compose supports; all others are for a cluster."""
_OF_CLUSTERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "secrets": (
        "`fleetform secrets` takes them from this machine",
        ("provider", "store", "remoteKey", "layout", "items", "refreshInterval"),
    ),
    "network": (
        "Compose has no network policies",
        (
            *("defaultDeny", "dnsNamespace", "dnsLabels", "dnsPort", "nodeLocalDns", "nodeRanges"),
            *("prometheusNamespace", "gatewayNamespace", "ipFamilies"),
        ),
    ),
    "monitoring": (
        "nothing collects metrics",
        ("labels", "targetLabels", "runbooks", "severities", "alertThresholds", "dashboards"),
    ),
    "namespaces": ("Compose has no namespaces", ("create", "labels")),
}
"""Fields of sections of an environment, and why they are for clusters alone."""
ENVIRONMENT: dict[tuple[str, ...], str] = {
    ("objectPatches",): "Compose has no Kubernetes objects",
    ("gitops",): "only `docker compose` applies it",
    ("images", "pullSecrets"): "use `docker login` instead",
    **{(section, name): why for section, (why, names) in _OF_CLUSTERS.items() for name in names},
}
"""Fields without effect in an environment that is only rendered for Compose."""


def problems(fleet: Fleet, plan: Plan) -> Iterator[Problem]:
    """Yield what Compose cannot do with a plan."""
    for workload in plan.workloads:
        yield from _scaling(workload)
        yield from _cluster(workload)
        yield from _ignored(workload)
        yield from _containers(workload)
        yield from _devices(workload)
        yield from _whole(workload)
        yield from _checks(workload)
        yield from _volumes(workload)
        yield from _traffic(workload)
        yield from _ports(workload)
        yield from _beside(workload)
        yield from _job(workload)
        yield from _canary(workload)
        yield from _sandbox(workload)
    yield from _environment(fleet, plan)


def is_left_out(workload: Workload) -> bool:
    """Whether something is for clusters alone."""
    return workload.flow is not None or workload.component in (*backups.COMPONENTS, pages.COMPONENT)


def left_out(plan: Plan) -> Iterator[Problem]:
    """Yield what is for clusters alone: steps that Argo Workflows begins, backups, which need a schedule, the page of a host."""
    for workload in plan.workloads:
        if workload.component == backups.BACKUP:
            what = "Compose has no schedules: nothing backs the store up"
            hint = "remove `backup` in this environment"
            yield _said(workload, backups.PLACE, what, hint)
        if workload.component == pages.COMPONENT:
            what = "Compose has no host that agents share: each is at a port of its own"
            hint = "set `expose.page: null` in this environment"
            yield _said(workload, ("spec",), what, hint)
        if workload.flow is not None:
            what = "the environment leaves its workflows to Argo Workflows, which Compose has not"
            hint = "remove `argo-workflows` from `targets`, or run it by `fleetform workflow run`"
            yield _said(workload, ("spec",), what, hint)


def _job(workload: Workload) -> Iterator[Problem]:
    """Say how a job is started: `up` starts what runs for ever."""
    if not workload.shape.ends:
        return
    start = f"`docker compose run --rm {networks.name(workload)}`"
    folders = " and ".join(f"`{DOCUMENTS}/{folder}`" for folder in containers.documents(workload))
    hint = f"start it with {start}"
    if folders:
        hint = f"put the documents into {folders} beside compose.yaml, and start it when they change: {start}"
    yield _said(
        workload,
        _asked(workload),
        "Compose has no schedules: nothing starts this by itself"
        if workload.schedule
        else "Compose starts no job by itself",
        hint,
        "warning" if workload.schedule else "note",
    )


def _canary(workload: Workload) -> Iterator[Problem]:
    """Say of a canary that nobody shares requests out, or takes steps."""
    if workload.resolved.kind == "Agent" and workload.resolved.spec.canary_of:
        what = "Compose has no routes with weights: no request comes to the canary by itself"
        hint = "ask it at its own port, or leave it out by a patch"
        yield _said(workload, ("spec", "canaryOf"), what, hint, "note")
    if _asks_for_steps(workload):
        what = "Compose replaces every container at once: there are no steps"
        hint = "nothing to do here; remove it by a patch of this environment to be rid of this note"
        yield _said(workload, ("spec", "delivery", "canary"), what, hint, "note")


def _asks_for_steps(workload: Workload) -> bool:
    is_own = workload.resolved.kind == "Agent" and not workload.shape.ends
    return is_own and workload.resolved.spec.delivery.canary is not None


def _sandbox(workload: Workload) -> Iterator[Problem]:
    """Refuse programs that want a pod of their own: nothing weaker takes its place."""
    if workload.sandbox is not None:
        what = f"Compose makes no sandboxes: `{workload.name}` would not start"
        hint = "use another `code.engine` in this environment, by a Tool of another name, or leave the tool out by a patch"
        yield _said(workload, workload.sandbox.path, what, hint, "error")


def _asked(workload: Workload) -> TreePath:
    """Return the place of a spec that asks for a job."""
    if workload.resolved.kind == "Agent":
        return ("spec", "knowledge")
    return ("spec", "schedule") if workload.schedule else ("spec",)


def _said(
    workload: Workload, path: TreePath, what: str, hint: str, severity: str = "warning"
) -> Problem:
    return workload.resolved.problem(
        path, "not-on-compose", what, hint=hint, severity=severity, key=True
    )


def _scaling(workload: Workload) -> Iterator[Problem]:
    scale, path = workload.scale, ("spec", "scaling")
    runs = max(1, scale.least)
    run = f"1 instance of `{workload.name}` runs"
    if runs > 1:
        run = f"{runs} instances of `{workload.name}` run"
    if scale.events:
        yield _said(
            workload,
            path,
            f"Compose has no KEDA: {run}",
            "nothing to do, or set `scaling.minReplicas` to the number of instances you want",
        )
    elif scale.most > scale.least:
        yield _said(
            workload,
            path,
            f"Compose does not scale: {run}",
            "nothing to do, or set `scaling.minReplicas` to the number of instances you want",
            "note",
        )
    if workload.shape is Shape.STATEFUL and runs > 1:
        yield _said(
            workload,
            ("spec", "stateful"),
            f"in Compose all {runs} instances of `{workload.name}` would share one volume and one name",
            "set `scaling.minReplicas` to 1 in this environment",
            "error",
        )


def _cluster(workload: Workload) -> Iterator[Problem]:
    """Yield what only a cluster has: RBAC, identities, scheduling, routes."""
    spec = workload.spec
    if spec.rbac is not None and spec.rbac.rules:
        yield _said(
            workload,
            ("spec", "rbac"),
            f"`{workload.name}` has no access to a Kubernetes API in Compose",
            "mount a kubeconfig, or run it in a cluster",
        )
    if spec.identity is not None:
        yield _said(
            workload,
            ("spec", "identity"),
            f"`{workload.name}` has no cloud identity in Compose",
            "pass credentials as `env` in this environment",
        )
    if spec.expose is not None:
        yield _said(
            workload,
            ("spec", "expose"),
            f"Compose has no routes: `{workload.name}` is published on a port of 127.0.0.1, without host, path or TLS",
            "nothing to do, or put a proxy in front of it",
            "note",
        )


def _root(workload: Workload) -> TreePath:
    """Return the path of the part of a spec that describes pods."""
    return ("spec", "provision") if workload.component == "memory-store" else ("spec",)


def _ignored(workload: Workload) -> Iterator[Problem]:
    root = _root(workload)
    for path, why in IN_A_CLUSTER.items():
        if at(workload.resolved.tree, (*root, *path)):
            what = f"`{path[-1]}` has no effect in Compose: {why}"
            yield _said(workload, (*root, *path), what, LATER, "note")
    if at(workload.resolved.tree, (*root, "network", "allowTo")):
        what = "in Compose `allowTo` opens whole networks: they do not distinguish ports or address ranges"
        yield _said(workload, (*root, "network", "allowTo"), what, LATER, "note")
    if at(workload.resolved.tree, ("metadata", "annotations")):
        what = "`annotations` have no effect in Compose: they are for Kubernetes objects"
        yield _said(workload, ("metadata", "annotations"), what, LATER, "note")
    for number, extra in enumerate(workload.sidecars):
        if extra.ports:
            place = (*root, "podTemplate", "sidecars", number, "ports")
            what = f"`ports` have no effect in Compose: `{extra.name}` has the network of the main container"
            yield _said(workload, place, what, LATER, "note")
    for name, value in at(workload.resolved.tree, (*root, "podTemplate"), {}).items():
        if value and name not in SERVED:
            what = f"`{name}` has no effect in Compose: it is for the scheduler and the kubelet"
            yield _said(workload, (*root, "podTemplate", name), what, LATER, "note")
    for number, extra in enumerate(_own_init(workload)):
        if extra.stays:
            place = (*root, "podTemplate", "initContainers", number, "restartPolicy")
            what = f"in Compose `{extra.name}` starts after the main container, whose network it shares"
            yield _said(workload, place, what, "let the main container wait for it", "note")
        elif extra.ports:
            place = (*root, "podTemplate", "initContainers", number, "ports")
            what = "`ports` have no effect in Compose: the container ends before the others start"
            yield _said(workload, place, what, LATER, "note")


def _own_init(workload: Workload) -> tuple[Extra, ...]:
    """Return the init containers of the spec itself, without the MCP servers behind them."""
    return workload.init[: len(workload.spec.pod_template.init_containers)]


def _beside(workload: Workload) -> Iterator[Problem]:
    """Yield instances that would share the MCP servers beside them, which know one client each."""
    number = max(1, workload.scale.least)
    if number > 1 and len(workload.init) > len(_own_init(workload)):
        yield _said(
            workload,
            ("spec", "tools"),
            f"in Compose all {number} instances of `{workload.name}` would share one MCP server over stdio, which knows one client",
            "set `scaling.minReplicas` to 1 in this environment",
            "error",
        )


def _containers(workload: Workload) -> Iterator[Problem]:
    for variable in workload.env:
        path = ("spec", "env")
        if isinstance(variable.value, ConfigRef):
            yield _missing(workload, path, variable.value.name)
        if (
            isinstance(variable.value, FieldRef)
            and variable.value.path != JOB_NAME  # started by hand, it has none
            and services.fact(workload, variable.value.path) is None
        ):
            yield _said(
                workload,
                path,
                f"`{variable.name}` refers to `{variable.value.path}`, which Compose does not support",
                "set a value in this environment",
                "error",
            )


def _whole(workload: Workload) -> Iterator[Problem]:
    """Yield Secrets and ConfigMaps whose keys only a cluster knows."""
    for container in (workload, *containers.extras(workload)):
        for item in container.env_from:
            yield _said(
                workload,
                (*_root(workload), "envFrom"),
                f"which variables `{item.source.name}` has is not known in Compose",
                "name them in `env`, one by one, or remove it in this environment",
                "error",
            )


def _devices(workload: Workload) -> Iterator[Problem]:
    """Yield devices that Compose cannot reserve, and huge pages."""
    root = (*_root(workload), "podTemplate")
    rows = [((*_root(workload), "resources"), workload.compute)]
    for field, containers_ in (
        ("initContainers", _own_init(workload)),
        ("sidecars", workload.sidecars),
    ):
        rows += [
            ((*root, field, n, "resources"), item.compute) for n, item in enumerate(containers_)
        ]
    for path, compute in rows:
        for name in compute.limits:
            if "/" in name and name != containers.GPU:
                what = f"Compose does not hand out `{name}`"
                yield _said(workload, path, what, "reserve the device in an override file")
            elif name.startswith("hugepages-"):
                what = f"`{name}` has no effect in Compose: Docker does not limit huge pages"
                yield _said(workload, path, what, LATER, "note")


def _checks(workload: Workload) -> Iterator[Problem]:
    """Yield forms of probes that Docker does not run: it has one check, which is a command."""
    check = getattr(workload.spec, "health_check", None)
    if check is None or not check.enabled:
        return
    asked = probes.action(check, probes.READINESS if workload.checks.ready else probes.LIVENESS)
    root: TreePath = ("spec", "healthCheck")
    sections = [((*root, own.section), getattr(check, own.section)) for own in probes.PROBES]
    for path, actions in ((root, check), *sections):
        for name, attribute in probes.FORMS.items() if actions is not None else ():
            given = getattr(actions, attribute)
            why = "" if given is None else _unasked(workload, name, is_asked=given is asked)
            if why:
                what = f"`{name}` has no effect in Compose: {why}"
                yield _said(workload, (*path, name), what, LATER, "note")


def _unasked(workload: Workload, name: str, *, is_asked: bool) -> str:
    """Return why Docker does not ask in a way, empty if it does."""
    if not is_asked:
        return "Docker has one check, which is the readiness probe"
    if workload.probe and name != "exec":
        return "the runtime's own probe is run"
    return "images have no client for gRPC, so the check only connects" if name == "grpc" else ""


def _missing(workload: Workload, path: TreePath, name: str) -> Problem:
    return _said(
        workload,
        path,
        f"there is no ConfigMap `{name}` in Compose",
        "put its contents into `container.configFiles`, or remove it in this environment",
        "error",
    )


def _volumes(workload: Workload) -> Iterator[Problem]:
    path: TreePath = ("spec", "volumes")
    if workload.shape.ends:
        return  # its volumes are documents, or the agent's own
    for name in containers.missing(workload):
        yield _missing(workload, path, name)
    yield from _existing(workload, path)
    yield from _parts(workload, path)
    if workload.owner or (workload.files and workload.files.settings):
        return
    for volume in workload.volumes:
        if isinstance(volume.source, Claim):
            user = workload.spec.pod_template.run_as_user or services.USER
            places = ", ".join(m.path for m in workload.mounts if m.volume == volume.name)
            yield _said(
                workload,
                path,
                f"Docker gives a new volume the owner of the folder in the image: check that user {user} can write {places}",
                f"make {user} the owner of the folder in the image, or set `podTemplate.runAsUser` to its owner",
                "note",
            )


def _parts(workload: Workload, path: TreePath) -> Iterator[Problem]:
    """Yield folders of volumes that nobody makes: the kubelet does, Docker does not start the container."""
    for container in (workload, *containers.extras(workload)):
        for mount in containers.mounts(workload, container.mounts):
            if part := mount.get("volume", {}).get("subpath"):
                what = f"Docker does not make the folder `{part}` in a volume: what has it at {mount['target']} would not start"
                hint = "mount the volume without `subPath` in this environment"
                yield _said(workload, path, what, hint, "error")


def _existing(workload: Workload, path: TreePath) -> Iterator[Problem]:
    """Yield claims of a cluster."""
    for volume in containers.all_volumes(workload):
        if isinstance(volume.source, ExistingClaim):
            what = f"there is no claim `{volume.source.name}` in Compose"
            yield _said(workload, path, what, "set a `claim` in this environment", "error")


def _traffic(workload: Workload) -> Iterator[Problem]:
    for traffic in workload.reaches:
        if isinstance(traffic.party, Address):
            yield _elsewhere(workload, traffic, traffic.party)


def _elsewhere(workload: Workload, traffic: Traffic, party: Address) -> Problem:
    return traffic.owner.problem(
        traffic.path,
        "not-on-compose",
        f"`{party.name}.{party.namespace}` is in a cluster: `{workload.name}` cannot reach it from Compose",
        hint="set an address outside the cluster in this environment, such as host.docker.internal, or provision or deploy one",
        severity="warning",
        key=True,
    )


def _ports(workload: Workload) -> Iterator[Problem]:
    for port in workload.ports:
        if port.container_port != port.service_port:
            yield _said(
                workload,
                ("spec", "container", "ports"),
                f"Compose does not map ports between services: port {port.service_port} of `{workload.name}` is {port.container_port}",
                "agents are configured accordingly; if a variable or file contains the port, make the two equal",
                "note",
            )


def _environment(fleet: Fleet, plan: Plan) -> Iterator[Problem]:
    callees = {link.callee for link in plan.links}
    if len(callees) + 1 > MANY_NETWORKS:
        yield problem_at(
            fleet.environment_tree,
            ("spec", "targets"),
            "not-on-compose",
            f"{len(callees) + 1} networks are more than Docker's default address pools allow",
            hint="set `default-address-pools` in its daemon.json to smaller networks, such as /24",
            severity="warning",
        )
    if platforms(fleet.environment.targets) == ("compose",):
        yield from _of_clusters_alone(fleet)
    yield from _published(fleet, plan)


def _of_clusters_alone(fleet: Fleet) -> Iterator[Problem]:
    """Yield an environment's own settings for clusters; inherited ones may be meant for another of the same base."""
    own = fleet.environment_own
    quotas: dict[tuple[str, ...], str] = {
        ("tenants", name, field): "Compose has no quotas and no groups"
        for name, tenant in at(own, ("spec", "tenants"), {}).items()
        for field in tenant or ()
        if field != "labels"
    }
    for place, why in (ENVIRONMENT | quotas).items():
        if at(own, ("spec", *place)):
            yield problem_at(
                fleet.environment_tree,
                ("spec", *place),
                "not-on-compose",
                f"`{place[-1]}` has no effect in Compose, and this environment has no other target: {why}",
                hint="remove it, or add the target that needs it",
                severity="warning",
                key=True,
            )


def _published(fleet: Fleet, plan: Plan) -> Iterator[Problem]:
    """Yield host ports of unknown workloads, of workloads without a port, and duplicates."""
    given = fleet.environment.compose.ports
    names = {f"{item.key[0]}/{item.name}": item for item in plan.workloads}
    first: dict[int, str] = {}
    for name, number in given.items():
        path: TreePath = ("spec", "compose", "ports", name)
        workload = names.get(name)
        if workload is None or workload.main_port is None:
            what = "is not a workload of this environment" if workload is None else "has no port"
            yield problem_at(
                fleet.environment_tree,
                path,
                "idle-port",
                f"`{name}` {what}: nothing is published at {number}",
                hint=did_you_mean(name, sorted(names), noun="workloads"),
                severity="warning",
                key=True,
            )
        elif first.setdefault(number, name) != name:
            yield problem_at(
                fleet.environment_tree,
                path,
                "host-port-taken",
                f"`{first[number]}` is already published at {number}",
                hint="use a different port for each",
            )
        elif workload.scale.least > 1:
            of_collector = is_collector(workload.resolved)
            field = "monitoring.collector.replicas" if of_collector else "scaling.minReplicas"
            yield problem_at(
                fleet.environment_tree,
                path,
                "host-port-taken",
                f"{workload.scale.least} instances of `{name}` cannot share port {number}",
                hint=f"set `{field}` to 1 in this environment, or leave the port out",
            )
