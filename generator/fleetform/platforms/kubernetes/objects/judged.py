"""What patches made of an object, judged by the rules that specs obey; each Problem is at the patch that did it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from fleetform import addresses, cron, timezones
from fleetform.plan import images
from fleetform.platforms.kubernetes import annotations as texts
from fleetform.platforms.kubernetes import patchable, rights, scheduling
from fleetform.platforms.kubernetes.kinds import WITH_PODS
from fleetform.platforms.kubernetes.model import ObjectPatch
from fleetform.platforms.kubernetes.objects import pod_security, refused
from fleetform.platforms.kubernetes.objects.changes import Applied, overlap
from fleetform.platforms.kubernetes.objects.manifest import VERSION, Manifest
from fleetform.platforms.kubernetes.schemas import validator
from fleetform.problems import Problem
from fleetform.tree import TreePath, at, dotted

_POD: TreePath = ("spec", "template", "spec")
_OF_JOBS: dict[str, TreePath] = {"Job": ("spec", "template"), "CronJob": ("spec", "jobTemplate")}
_METADATA = ("metadata", "annotations")
_MOUNT = "automountServiceAccountToken"
_LABEL: TreePath = ("metadata", "labels", VERSION)
ROLES = ("Role", "ClusterRole")
_BOUND = "grant permissions in the workload's spec, with `rbac`"
_ACCOUNT = "each workload has its own account: grant it permissions with `rbac`"
_NO_ACCESS = "a token comes with permissions: ask for them in the workload's spec, with `rbac`"
_API_AUDIENCE = "kubernetes.default"
"""Part of the audience by which API servers know their own tokens; without an audience it is theirs too."""
_FIXED: dict[str, tuple[tuple[TreePath, str], ...]] = {
    "RoleBinding": ((("roleRef",), _BOUND), (("subjects",), _BOUND)),
    "ClusterRoleBinding": ((("roleRef",), _BOUND), (("subjects",), _BOUND)),
    "ClusterRole": ((("aggregationRule",), _BOUND),),
    **dict.fromkeys(
        WITH_PODS,
        (
            ((*_POD, "serviceAccountName"), _ACCOUNT),
            ((*_POD, "serviceAccount"), _ACCOUNT),
        ),
    ),
}
"""Who has which rights is nothing that a patch decides."""


def trespasses(before: Manifest, after: Manifest, applied: list[Applied]) -> Iterator[Problem]:
    """Yield what patches of a spec change that is not a spec's to change, once for each patch."""
    if not applied or applied[0].patch.by_environment:
        return
    kind = after["kind"]
    places: dict[int, tuple[ObjectPatch, list[str]]] = {}
    for path in patchable.beyond(kind, before, after):
        patch = _guilty(applied, path)
        places.setdefault(id(patch), (patch, []))[1].append(dotted(path))
    for patch, found in places.values():
        more = f" and {len(found) - 1} more" if len(found) > 1 else ""
        yield problem(
            patch,
            "object-patch-place",
            f"a spec may not change {found[0]}{more} of {named(before)}",
            f"let the Environment's `objectPatches` in environments/ do it, if there is no field for it; {patchable.may(kind)}",
        )


def judged(
    before: Manifest, after: Manifest, applied: list[Applied], *, digests: bool
) -> Iterator[Problem]:
    """Yield what the patches broke, each at the patch that changed it last; `digests`: whether images need one."""
    errors = [*validator(after["kind"]).iter_errors(after)]
    if not errors:
        yield from _unsafe(before, after, applied)
        yield from _entitled(before, after, applied)
        unpinned = [*_unpinned(before, after, applied, digests=digests)]
        yield from unpinned or _mislabelled(before, after, applied)
        yield from _unschedulable(before, after, applied)
        yield from _too_long(before, after, applied)
        yield from _reaching(before, after, applied)
        yield from _mistimed(before, after, applied)
        yield from _refused(before, after, applied)
        yield from _for_life(before, after, applied)
    for error in errors:
        path = tuple(error.instance_path)
        yield problem(
            _guilty(applied, path),
            "object-patch-invalid",
            f"{named(before)} is not valid after the patch: {dotted(path) or 'the object'}: {error.message}",
            f"see `kubectl explain {after['kind'].lower()}`",
        )


def _unsafe(before: Manifest, after: Manifest, applied: list[Applied]) -> Iterator[Problem]:
    """Yield what the patches made of a pod that a restricted namespace refuses."""
    was = {*_violations(before)}
    for found in _violations(after):
        if found in was:
            continue
        path = (*_POD, *found.path)
        yield problem(
            _guilty(applied, path),
            "pod-security",
            f"{named(after)} violates Pod Security `restricted` ({found.control}) after the patch: "
            f"{dotted(path)}: {found.says}",
            "remove that change: every namespace enforces the standard",
        )


def _entitled(before: Manifest, after: Manifest, applied: list[Applied]) -> Iterator[Problem]:
    """Yield permissions that no spec could ask for: patches grant none that its `rbac` does not confirm."""
    for path, hint in _FIXED.get(after["kind"], ()):
        if at(before, path) != at(after, path):
            yield problem(
                _guilty(applied, path),
                "rbac-patched",
                f"the patch changes {dotted(path)} of {named(before)}, which would give it another account's permissions",
                hint,
            )
    if after["kind"] in ROLES:
        yield from _granted(before, after, applied)
    for path in _tokens(before, after):
        yield problem(
            _guilty(applied, path),
            "rbac-patched",
            f"the patch gives {named(before)} a token for the Kubernetes API: {dotted(path)}",
            _NO_ACCESS,
        )


def _granted(before: Manifest, after: Manifest, applied: list[Applied]) -> Iterator[Problem]:
    cluster = after["kind"] == "ClusterRole"
    dangers = partial(rights.dangers, cluster=cluster)
    confirmed = {name for rule in before["rules"] for _, name in dangers(rule)}
    for number, rule in enumerate(after.get("rules") or ()):
        for fault in rights.faults(rule):
            path = ("rules", number, *fault.path)
            message = f"{named(after)} is invalid after the patch: {dotted(path)}: {fault.message}"
            yield problem(_guilty(applied, path), fault.code, message, fault.hint)
        for where, name in dangers(rule):
            path = ("rules", number, *where)
            if name not in confirmed:
                yield problem(
                    _guilty(applied, path),
                    "rbac-dangerous",
                    f"`{name}` lets {named(after)} exceed its own permissions after the patch: {dotted(path)}",
                    "remove it, or grant it in the spec: `rbac` with `allowDangerous`",
                )


def _tokens(before: Manifest, after: Manifest) -> Iterator[TreePath]:
    """Yield where a token is mounted that the object as built has not."""
    if after["kind"] == "ServiceAccount" and after.get(_MOUNT) is not False:
        yield (_MOUNT,)
    if after["kind"] not in WITH_PODS or at(before, (*_POD, _MOUNT)) is True:
        return
    pod = at(after, _POD)
    if pod.get(_MOUNT) is not False:
        yield (*_POD, _MOUNT)
    for number, volume in enumerate(pod.get("volumes") or ()):
        for place, source in enumerate((volume.get("projected") or {}).get("sources") or ()):
            token = source.get("serviceAccountToken")
            if token and _API_AUDIENCE in (token.get("audience") or _API_AUDIENCE):
                yield (*_POD, "volumes", number, "projected", "sources", place)


def _unpinned(
    before: Manifest, after: Manifest, applied: list[Applied], *, digests: bool
) -> Iterator[Problem]:
    """Yield images whose content may change at any time, and which the object as built has not."""
    if after["kind"] not in WITH_PODS:
        return
    was = {name for _, name in _images(before)}
    for path, name in _images(after):
        code = images.fault(name)
        if code and name not in was:
            yield problem(
                _guilty(applied, path),
                code,
                f"the image `{name}` of {named(after)} after the patch has {images.FAULTS[code]}",
                "use a version or a digest",
            )
        elif digests and "@" not in name and name not in was:
            yield problem(
                _guilty(applied, path),
                "image-without-digest",
                f"the image `{name}` of {named(after)} after the patch has no digest, which the environment requires",
                "write its digest behind the tag, as `@sha256:…`",
            )


def _mislabelled(before: Manifest, after: Manifest, applied: list[Applied]) -> Iterator[Problem]:
    """Yield version labels that no longer say what the main container runs."""
    if after["kind"] not in WITH_PODS or not (said := _labelled(before)):
        return
    main = at(before, (*_POD, "containers"))[0]["name"]
    for number, container in enumerate(at(after, (*_POD, "containers"))):
        if container["name"] != main:
            continue
        _, tag, digest = images.split(container.get("image") or "")
        runs, found = images.version(tag, digest), _labelled(after)
        path = (*_POD, "containers", number, "image") if found == said else _LABEL
        if found and {*found} != {runs} and (found != said or {*said} != {runs}):
            yield problem(
                _guilty(applied, path),
                "image-mislabelled",
                f"{named(after)} runs version `{runs}` after the patch, and its label `{VERSION}` says `{found[0]}`",
                "set the image in `images.pins`, or in `patches`: the label follows it there",
            )


def _labelled(workload: Manifest) -> list[str]:
    """Return what the version labels of a workload and of its pods say."""
    maps = (at(workload, path) or {} for path in (_LABEL[:-1], (*_POD[:-1], *_LABEL[:-1])))
    return [labels[VERSION] for labels in maps if VERSION in labels]


def _unschedulable(before: Manifest, after: Manifest, applied: list[Applied]) -> Iterator[Problem]:
    """Yield what the patches made of tolerations, affinity and spread that no API server takes."""
    if after["kind"] not in WITH_PODS:
        return
    was, pod = at(before, _POD), at(after, _POD)
    if all(was.get(name) == pod.get(name) for name in scheduling.FIELDS):
        return
    for fault in scheduling.faults(pod):
        path = (*_POD, *fault.path)
        yield problem(
            _guilty(applied, path),
            "bad-scheduling",
            f"{named(after)} is refused after the patch: {dotted(path)}: {fault.message}",
            fault.hint,
        )


def _too_long(before: Manifest, after: Manifest, applied: list[Applied]) -> Iterator[Problem]:
    """Yield what the patches made of annotations that no API server takes."""
    for path in ((*_METADATA,), (*_POD[:-1], *_METADATA)):
        entries = at(after, path) or {}
        if entries and entries != at(before, path) and texts.size_of(entries) > texts.MOST:
            yield problem(
                _guilty(applied, path),
                "annotations-too-long",
                f"{dotted(path)} of {named(after)} has {texts.size_of(entries)} bytes after the patch",
                f"at most {texts.MOST}, which leaves room for those of what applies them",
            )


def _reaching(before: Manifest, after: Manifest, applied: list[Applied]) -> Iterator[Problem]:
    """Yield addresses that stay closed, which the patches opened or gave a name."""
    was = {said for _, said in _closed(before)}
    for path, said in _closed(after):
        if said not in was:
            yield problem(
                _guilty(applied, path),
                "closed-address",
                f"{named(after)} reaches a closed address after the patch: {dotted(path)}: {said}",
                "remove it, or exclude it with `except`; `identity` gives a workload the metadata server that its cloud identity needs",
            )


def _closed(manifest: Manifest) -> Iterator[tuple[TreePath, str]]:
    """Yield the closed ranges that a policy lets pods reach, and the closed addresses that pods have names for."""
    for path, block in _blocks(manifest):
        excepted = [*addresses.networks(block.get("except") or ())]
        for network in addresses.networks([block.get("cidr") or ""]):
            closed = addresses.closed_around(network)
            inside = [str(closed)] if closed else addresses.exceptions(network)
            for part in addresses.networks(inside):
                if not any(addresses.within(part, one) for one in excepted):
                    yield path, f"`{network}` includes {part}, which stays closed"
                    break


def _blocks(manifest: Manifest) -> Iterator[tuple[TreePath, Mapping[str, Any]]]:
    """Yield ranges of addresses with their places; that of an alias is one address."""
    if manifest["kind"] == "NetworkPolicy":
        for number, rule in enumerate(at(manifest, ("spec", "egress")) or ()):
            if not rule.get("to"):  # which means everybody
                yield ("spec", "egress", number), {"cidr": "0.0.0.0/0"}
            for place, peer in enumerate(rule.get("to") or ()):
                if peer.get("ipBlock"):
                    yield ("spec", "egress", number, "to", place, "ipBlock"), peer["ipBlock"]
    elif manifest["kind"] in WITH_PODS:
        for number, alias in enumerate(at(manifest, (*_POD, "hostAliases")) or ()):
            yield (*_POD, "hostAliases", number), {"cidr": alias.get("ip")}


def _mistimed(before: Manifest, after: Manifest, applied: list[Applied]) -> Iterator[Problem]:
    """Yield schedules and time zones of the patches that no controller can follow."""
    for path, said, hint in _times(after):
        if at(before, path) != at(after, path):
            message = f"{named(after)} never runs after the patch: {dotted(path)}: {said}"
            yield problem(_guilty(applied, path), "bad-cron", message, hint)


def _times(manifest: Manifest) -> Iterator[tuple[TreePath, str, str]]:
    """Yield wrong schedules and zones with their places, what is wrong, and what to do."""
    zones: list[tuple[TreePath, str | None]] = []
    if manifest["kind"] == "CronJob":
        wrong = cron.fault(manifest["spec"]["schedule"])
        if wrong:
            yield ("spec", "schedule"), wrong, 'write one such as "0 8 * * 1-5"'
        zones.append((("spec", "timeZone"), manifest["spec"].get("timeZone")))
    elif manifest["kind"] == "ScaledObject":
        for number, trigger in enumerate(manifest["spec"]["triggers"]):
            place: TreePath = ("spec", "triggers", number, "metadata", "timezone")
            zones.append((place, at(manifest, place) if trigger["type"] == "cron" else None))
    for path, zone in zones:
        if zone is not None and not timezones.is_known(zone):
            yield path, f"`{zone[:40]}` is not the name of a time zone", timezones.hint(zone)


def _refused(before: Manifest, after: Manifest, applied: list[Applied]) -> Iterator[Problem]:
    """Yield what the patches made that the schema takes and an API server does not."""
    was = {fault.says for fault in refused.faults(before)}
    for fault in refused.faults(after):
        if fault.says not in was:
            yield problem(
                _guilty(applied, fault.path),
                "object-patch-invalid",
                f"{named(after)} is refused after the patch: {dotted(fault.path)}: {fault.says}",
                fault.hint,
            )


def _for_life(before: Manifest, after: Manifest, applied: list[Applied]) -> Iterator[Problem]:
    """Yield changes of a Job's pods: it is named by what they were, and no API server changes them."""
    path = _OF_JOBS.get(after["kind"])
    if path is not None and at(before, path) != at(after, path):
        yield problem(
            _guilty(applied, path),
            "object-patch-for-life",
            f"the patch changes the pods of {named(before)}, which are what they are for life",
            "patch the Agent in `patches`, such as its `podTemplate`: that makes another Job",
        )


def _images(workload: Manifest) -> Iterator[tuple[TreePath, str]]:
    pod = workload["spec"]["template"]["spec"]
    for field in pod_security.CONTAINERS:
        for number, container in enumerate(pod.get(field) or ()):
            yield (*_POD, field, number, "image"), container.get("image") or ""
    for number, volume in enumerate(pod.get("volumes") or ()):
        if volume.get("image"):
            path = (*_POD, "volumes", number, "image", "reference")
            yield path, volume["image"].get("reference") or ""


def _violations(workload: Manifest) -> Iterator[pod_security.Violation]:
    if workload["kind"] in WITH_PODS:
        yield from pod_security.of_template(workload["spec"]["template"])


def _guilty(applied: list[Applied], path: TreePath) -> ObjectPatch:
    """Return the last patch that changed a place, or something in or around it."""
    near = (item for item in reversed(applied) if any(overlap(c.path, path) for c in item.changes))
    return next(near, applied[-1]).patch


def named(manifest: Manifest) -> str:
    """Return how messages call an object."""
    return f"{manifest['kind']} `{manifest['metadata']['name']}`"


def problem(patch: ObjectPatch, code: str, message: str, hint: str) -> Problem:
    """Return a Problem at a patch."""
    mark = patch.mark
    return Problem("error", code, message, mark.file, mark.line, mark.column, patch.path, hint)
