"""Pods by the Pod Security Standard `restricted`: what an enforcing cluster would refuse, and by which control.

The controls have the names of Kubernetes' own admission plugin. Builders never violate one; an
annotation or a patch may.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from fleetform.platforms.kubernetes.model import FleetPlan, WorkloadPlan
from fleetform.platforms.kubernetes.objects.pod import template
from fleetform.problems import Problem
from fleetform.records import NamedTuple
from fleetform.tree import TreePath

Json = dict[str, Any]
CONTAINERS = ("initContainers", "containers", "ephemeralContainers")
VOLUMES = frozenset(
    {
        "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim",
        "projected", "secret",
    }
)  # fmt: skip
SYSCTLS = frozenset(
    {
        "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.ip_unprivileged_port_start", "net.ipv4.ping_group_range", "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes", "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_syncookies",
    }
)  # fmt: skip
"""Those that only touch the pod's own namespaces, in every version since 1.29."""
SELINUX = frozenset(
    {"", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"}
)
SECCOMP = frozenset({"RuntimeDefault", "Localhost"})


_OLD_SECCOMP = (
    "seccomp.security.alpha.kubernetes.io/pod",
    "container.seccomp.security.alpha.kubernetes.io/",
)


class Violation(NamedTuple):
    """A violation of a control, and its place in the pod's spec."""

    control: str
    path: TreePath
    says: str


def violations(pod: Json, annotations: Json | None = None) -> Iterator[Violation]:
    """Yield every violation of a pod's spec; `annotations` are those of the pod."""
    for control in (*_OF_PODS, *_OF_BOTH):
        yield from control(pod, ())
    for path, container in _containers(pod):
        for control in (*_OF_CONTAINERS, *_OF_BOTH):
            yield from control(container, path)
    yield from _non_root(pod)
    yield from _seccomp_everywhere(pod)
    for key, value in (annotations or {}).items():
        old = key.startswith("container.apparmor.security.beta.kubernetes.io/")
        if old and value != "runtime/default" and not value.startswith("localhost/"):
            yield Violation("appArmorProfile", (), f"the annotation {key} is `{value}`")
        # Kubernetes has forgotten these since 1.27; who reads them still, reads them so.
        if key.startswith(_OLD_SECCOMP) and value == "unconfined":
            yield Violation("seccompProfile_restricted", (), f"the annotation {key} is `{value}`")


def unpatched(plan: FleetPlan) -> Iterator[Problem]:
    """Yield what a restricted namespace refuses in the pods of specs, before any patch."""
    for workload in plan.workloads:
        if not _is_asked(workload):
            continue
        for found in of_template(template(workload)):
            mark = workload.mark
            yield Problem(
                "error",
                "pod-security",
                f"the pods of `{workload.name}` violate Pod Security `restricted` ({found.control}): {found.says}",
                mark.file,
                mark.line,
                mark.column,
                "metadata.name",
                "remove it: every namespace enforces the standard",
            )


def _is_asked(plan: WorkloadPlan) -> bool:
    """Whether a spec asks for anything in its pods; ours is restricted whatever they run, which tests/policy holds."""
    return bool(
        plan.pod_fields
        or plan.sidecars
        or plan.init_containers
        or plan.volumes
        or plan.pod_annotations
        or not plan.run_as_user
    )


def of_template(template: Json) -> Iterator[Violation]:
    """Yield every violation of the pods of a template."""
    annotations = (template.get("metadata") or {}).get("annotations")
    yield from violations(template["spec"], annotations)


def _containers(pod: Json) -> Iterator[tuple[TreePath, Json]]:
    for field in CONTAINERS:
        for number, container in enumerate(pod.get(field) or ()):
            yield (field, number), container


def _context(node: Json) -> Json:
    return node.get("securityContext") or {}


# -- pods ----------------------------------------------------------------------------------------


def _host_namespaces(pod: Json, path: TreePath) -> Iterator[Violation]:
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.get(field):
            yield Violation("hostNamespaces", (*path, field), f"{field} is true")


def _volumes(pod: Json, path: TreePath) -> Iterator[Violation]:
    for number, volume in enumerate(pod.get("volumes") or ()):
        for kind in volume.keys() - {"name"} - VOLUMES:
            for control in (
                "restrictedVolumes",
                *(["hostPathVolumes"] if kind == "hostPath" else ()),
            ):
                yield Violation(control, (*path, "volumes", number), f"the volume is a {kind}")


def _sysctls(pod: Json, path: TreePath) -> Iterator[Violation]:
    for number, entry in enumerate(_context(pod).get("sysctls") or ()):
        if entry.get("name") not in SYSCTLS:
            where = (*path, "securityContext", "sysctls", number)
            yield Violation("sysctls", where, f"the sysctl {entry.get('name')} is not safe")


# -- containers ----------------------------------------------------------------------------------


def _privileged(container: Json, path: TreePath) -> Iterator[Violation]:
    if _context(container).get("privileged"):
        where = (*path, "securityContext", "privileged")
        yield Violation("privileged", where, "the container is privileged")


def _escalation(container: Json, path: TreePath) -> Iterator[Violation]:
    if _context(container).get("allowPrivilegeEscalation") is not False:
        where = (*path, "securityContext", "allowPrivilegeEscalation")
        yield Violation("allowPrivilegeEscalation", where, "allowPrivilegeEscalation is not false")


def _capabilities(container: Json, path: TreePath) -> Iterator[Violation]:
    found = _context(container).get("capabilities") or {}
    where = (*path, "securityContext", "capabilities")
    if "ALL" not in (found.get("drop") or ()):
        yield Violation("capabilities_restricted", where, "not all capabilities are dropped")
    added = sorted({*(found.get("add") or ())} - {"NET_BIND_SERVICE"})
    if added:
        says = f"the capabilities {', '.join(added)} are added"
        yield Violation("capabilities_restricted", where, says)


def _host_ports(container: Json, path: TreePath) -> Iterator[Violation]:
    for number, port in enumerate(container.get("ports") or ()):
        if port.get("hostPort"):
            where = (*path, "ports", number, "hostPort")
            yield Violation("hostPorts", where, f"host port {port['hostPort']} is used")


def _proc_mount(container: Json, path: TreePath) -> Iterator[Violation]:
    if _context(container).get("procMount", "Default") not in ("", "Default"):
        where = (*path, "securityContext", "procMount")
        yield Violation("procMount", where, "procMount is not Default")


def _hosts(container: Json, path: TreePath) -> Iterator[Violation]:
    hooks = container.get("lifecycle") or {}
    probes = [(name, container[name]) for name in _PROBES if container.get(name)]
    hooked = [("lifecycle", hooks[name]) for name in _HOOKS if hooks.get(name)]
    for name, handler in [*probes, *hooked]:
        for kind in ("httpGet", "tcpSocket"):
            if (handler.get(kind) or {}).get("host"):
                says = f"the {kind} of {name} sets a host"
                yield Violation("hostProbesAndHostLifecycle", (*path, name), says)


_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_HOOKS = ("postStart", "preStop")


# -- what a pod and its containers both set
# ---------------------------------------------------------


def _user(node: Json, path: TreePath) -> Iterator[Violation]:
    if _context(node).get("runAsUser") == 0:
        where = (*path, "securityContext", "runAsUser")
        yield Violation("runAsUser", where, "runAsUser is 0, which is root")


def _selinux(node: Json, path: TreePath) -> Iterator[Violation]:
    found = _context(node).get("seLinuxOptions") or {}
    if found.get("type", "") not in SELINUX or found.get("user") or found.get("role"):
        where = (*path, "securityContext", "seLinuxOptions")
        yield Violation("seLinuxOptions", where, "the SELinux type, user or role is not allowed")


def _apparmor(node: Json, path: TreePath) -> Iterator[Violation]:
    found = _context(node).get("appArmorProfile")
    if found and found.get("type") not in SECCOMP:
        where = (*path, "securityContext", "appArmorProfile")
        yield Violation("appArmorProfile", where, f"the AppArmor profile is {found.get('type')}")


def _windows(node: Json, path: TreePath) -> Iterator[Violation]:
    if (_context(node).get("windowsOptions") or {}).get("hostProcess"):
        where = (*path, "securityContext", "windowsOptions", "hostProcess")
        yield Violation("windowsHostProcess", where, "hostProcess is true")


_Control = Callable[[Json, TreePath], Iterator[Violation]]
_OF_PODS: tuple[_Control, ...] = (_host_namespaces, _volumes, _sysctls)
_OF_CONTAINERS: tuple[_Control, ...] = (
    _privileged,
    _escalation,
    _capabilities,
    _host_ports,
    _proc_mount,
    _hosts,
)
_OF_BOTH: tuple[_Control, ...] = (_user, _selinux, _apparmor, _windows)


# -- what the pod sets for containers that do not
# ------------------------------------------------------


def _non_root(pod: Json) -> Iterator[Violation]:
    whole = _context(pod).get("runAsNonRoot")
    says = "runAsNonRoot is not true"
    if whole is False:
        yield Violation("runAsNonRoot", ("securityContext", "runAsNonRoot"), says)
    for path, container in _containers(pod):
        if not _context(container).get("runAsNonRoot", whole):
            yield Violation("runAsNonRoot", (*path, "securityContext", "runAsNonRoot"), says)


def _seccomp_everywhere(pod: Json) -> Iterator[Violation]:
    whole = (_context(pod).get("seccompProfile") or {}).get("type")
    field = ("securityContext", "seccompProfile")
    if whole is not None and whole not in SECCOMP:
        yield Violation("seccompProfile_restricted", field, f"the seccomp profile is {whole}")
    for path, container in _containers(pod):
        own = (_context(container).get("seccompProfile") or {}).get("type", whole)
        if own not in SECCOMP:
            says = f"the seccomp profile is {own or 'not set'}"
            yield Violation("seccompProfile_restricted", (*path, *field), says)
