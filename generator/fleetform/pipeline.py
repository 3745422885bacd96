"""The pipeline from files to texts, shared by all commands."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fleetform import kinds
from fleetform.check import check, faults
from fleetform.dialects import SpecDocument, python_logging, translate
from fleetform.forks import Beside
from fleetform.load import load
from fleetform.parse import LOST, Loaded
from fleetform.platforms.kubernetes.kinds import EMITTED_BY
from fleetform.problems import MAX_PER_FILE, Problem, SpecError, errors, refuse, tidy
from fleetform.records import NamedTuple
from fleetform.releases import lock
from fleetform.releases.lock import Entry
from fleetform.tree import VERBATIM, Map, Seq, at, problem_at, without_nulls

if TYPE_CHECKING:
    from fleetform.plan import Planned
    from fleetform.plan.model import Plan
    from fleetform.platforms.kubernetes.build import Build
    from fleetform.platforms.kubernetes.model import FleetPlan
    from fleetform.platforms.kubernetes.objects.changes import Applied
    from fleetform.resolve import Fleet, Resolved
    from fleetform.resolve.layers import Layer


KUSTOMIZE = "kustomize"


class Sources:
    """Checked documents, the problems so far, and whether everything could be read."""

    def __init__(self, problems: Iterable[Problem] = ()) -> None:
        self.documents: list[SpecDocument] = []
        self.problems = [*problems]
        self.broken: set[str] = set()
        """Names of documents that exist but cannot be used."""
        self.mended: list[SpecDocument] = []
        """Documents with errors, without the faulty parts; only used to check the rest."""
        self.hidden: set[str] = set()
        """Places of the removed parts."""
        self.complete = True
        self.place = ""
        """Where they were read, for messages."""

    def whole(self) -> Sources:
        """Return all documents, those with errors included, and no problems."""
        found = copy(self)
        found.documents = [*self.documents, *self.mended]
        # A spec without its faulty part may miss what others refer to or match; of an environment nothing is lost.
        found.broken = self.broken - {
            document.name for document in self.mended if document.kind == kinds.ENVIRONMENT.name
        }
        found.problems = []
        return found


def read(paths: Sequence[Path]) -> Sources:
    """Load, translate and check files and folders."""
    sources = checked(load(paths))
    sources.place = ", ".join(map(str, paths))
    return sources


def checked(loaded: Loaded) -> Sources:
    """Translate and check the documents of files."""
    documents, said = translate(loaded.documents, EMITTED_BY, _leaked)
    sources = Sources([*loaded.problems, *said])
    places = {_place(problem) for problem in loaded.problems}
    for document in documents:
        found = [*_checked(document)]
        # A value that could not be read as YAML has the wrong type too: that is the same cause.
        sources.problems += [problem for problem in found if _place(problem) not in places]
        if not errors(found):
            sources.documents.append(document)
        else:
            _mend(sources, document, len(found))
    sources.problems += _environments_of_one_name(documents)
    usable = {document.name for document in sources.documents}
    named = [at(document.tree, ("metadata", "name")) for document in loaded.documents]
    sources.broken = {name for name in named if isinstance(name, str)} - usable
    lost = any(problem.code in LOST for problem in loaded.problems)
    sources.complete = not lost and all(isinstance(name, str) for name in named)
    return sources


def _environments_of_one_name(documents: Iterable[SpecDocument]) -> Iterator[Problem]:
    """Yield environments that are defined twice; specs of one name are told where they are resolved."""
    known: dict[str, SpecDocument] = {}
    for document in documents:
        if document.kind == kinds.ENVIRONMENT.name and document.name:
            first = known.setdefault(document.name, document)
            if first is not document:
                from fleetform.resolve import catalog  # noqa: PLC0415 - seldom

                yield catalog.twice(document, first)


def _mend(sources: Sources, document: SpecDocument, count: int) -> None:
    """Keep the checkable part of a document with errors, and report credentials in the rest now."""
    from fleetform.mend import mended  # noqa: PLC0415

    if count <= MAX_PER_FILE:  # nobody reads about other problems of a document with more
        left, places = mended(document, [path for path, _ in _patched_faults(document)])
        sources.hidden |= places
        sources.mended += [left] if left is not None else []
    sources.problems += _leaked(document.tree)


def _leaked(tree: Map) -> Iterable[Problem]:
    """Return the credentials of a document that no rule will see."""
    from fleetform.rules import credentials  # noqa: PLC0415 - few documents are refused

    return credentials.leaked(tree)


def _patched_faults(document: SpecDocument) -> Iterable[tuple[tuple[str | int, ...], str]]:
    if document.kind == "Environment":
        for number, kind, body in _bodies(document.tree):
            for path, meant in faults(kind, body, definition=kinds.BY_NAME[kind].spec):
                yield ("spec", "patches", number, "spec", *path), meant


def _place(problem: Problem) -> tuple[str, int, int]:
    return problem.file, problem.line, problem.column


def _checked(document: SpecDocument) -> Iterable[Problem]:
    if document.kind == python_logging.KIND:  # only what is right was taken from it
        return
    yield from check(document.kind, document.tree)
    if document.kind == "Environment":
        yield from _patches(document.tree)


def _patches(tree: Map) -> Iterable[Problem]:
    """Check each patch against the spec of the kind that it changes."""
    said = set()
    for number, kind, body in _bodies(tree):
        place = ("spec", "patches", number, "spec")
        for problem in check(kind, body, definition=kinds.BY_NAME[kind].spec, prefix=place):
            if (
                problem.path,
                problem.code,
            ) not in said:  # the kinds of one patch have fields in common
                said.add((problem.path, problem.code))
                yield problem


def _bodies(tree: Map) -> Iterable[tuple[int, str, Map]]:
    """Yield number and body of each patch of an environment, once for each of its kinds."""
    spec = tree.get("spec")
    patches = spec.get("patches") if isinstance(spec, Map) else None
    for number, patch in enumerate(patches if isinstance(patches, Seq) else ()):
        target, body = (
            (patch.get("target"), patch.get("spec")) if isinstance(patch, Map) else (None, None)
        )
        given = target.get("kind") if isinstance(target, Map) else None
        for kind in given if isinstance(given, Seq) else [given]:
            if isinstance(body, Map) and isinstance(kind, str) and kind in kinds.PATCHED:
                yield number, kind, body


def fleet_of(
    specs: Sources, environments: Sources, name: str, folder: str, targets: Sequence[str] = ()
) -> tuple[Fleet | None, list[Problem]]:
    """Resolve an environment's fleet."""
    from fleetform.resolve import resolve  # noqa: PLC0415
    from fleetform.resolve.environment import chain, second_base  # noqa: PLC0415

    problems = [*specs.problems, *environments.problems]
    try:
        found = chain(environments.documents, name, folder)
    except SpecError as error:
        said = error.problems
        # A broken environment file has already been reported.
        whole = environments.complete and not environments.broken
        return None, [*problems, *(said if whole else ()), *_leaks(specs, environments)]
    fleet, more = resolve(
        specs.documents, found, complete=specs.complete, broken=specs.broken, targets=targets
    )
    if fleet is not None and KUSTOMIZE in fleet.targets:
        more += second_base(environments.documents, found)
    return fleet, [*problems, *more]


class Assembled(NamedTuple):
    """An environment with its plan, and what each platform of its targets builds from it."""

    fleet: Fleet
    plan: Plan
    builds: dict[str, Any]
    """By platform name; absent for a platform with errors."""
    environments: frozenset[str]
    """Names of all environments."""

    @property
    def kubernetes(self) -> Build | None:
        """Return what Kubernetes builds from it."""
        return self.builds.get("kubernetes")


def _leaks(*sources: Sources) -> Iterable[Problem]:
    """Yield leaked credentials if there is no fleet, whose rules would find them."""
    for source in sources:
        for document in source.documents:
            yield from _leaked(document.tree)


def assembled(
    specs: Sources, spaces: Sources, name: str, folder: str, targets: Sequence[str] = ()
) -> tuple[Assembled | None, list[Problem]]:
    """Return what an environment is built from, None if it cannot be built, and all problems.

    `folder` is the environments' folder, for messages; `targets` defaults to the environment's own.
    """
    if specs.mended or spaces.mended:
        return None, _rest(specs, spaces, name, folder, targets)
    return _assembled(specs, spaces, name, folder, targets)


def _rest(
    specs: Sources, environments: Sources, name: str, folder: str, targets: Sequence[str]
) -> list[Problem]:
    """Return all problems, with documents that have errors checked as far as possible."""
    from fleetform.mend import independent  # noqa: PLC0415

    _, problems = _assembled(
        specs.whole(), environments.whole(), name, folder, targets, sound=False
    )
    places = specs.hidden | environments.hidden
    return [*specs.problems, *environments.problems, *independent(problems, places)]


def _assembled(
    specs: Sources,
    spaces: Sources,
    name: str,
    folder: str,
    targets: Sequence[str],
    *,
    sound: bool = True,
) -> tuple[Assembled | None, list[Problem]]:
    from fleetform import plan as plans  # noqa: PLC0415

    fleet, problems = fleet_of(specs, spaces, name, folder, targets)
    if fleet is None:
        return None, problems
    problems += _abstract(fleet)
    with plans.planning(fleet) as planned:
        if fleet.referred.said:
            return None, [*problems, *planned.problems()]
        found, said = _built(specs, spaces, fleet, planned, sound=sound)
        return found, [*problems, *planned.problems(), *said]


def _built(
    specs: Sources, spaces: Sources, fleet: Fleet, planned: Planned, *, sound: bool
) -> tuple[Assembled, list[Problem]]:
    """Return what the platforms of an environment's targets make of its plan, and what is wrong there."""
    from fleetform import targets as registry  # noqa: PLC0415

    def is_sound() -> bool:
        return sound and not errors(planned.problems())

    problems: list[Problem] = []
    root = _root(specs, spaces, fleet) if KUSTOMIZE in fleet.targets else None
    builds = {}
    for platform in registry.platforms(fleet.targets):
        module = import_module(f"fleetform.platforms.{platform}.build")
        built, said = module.build(fleet, planned.plan, root, sound=is_sound)
        problems += said
        if built is not None:
            builds[platform] = built
    for target in fleet.targets:
        module = registry.module(target)
        built = builds.get(registry.BY_NAME[target].platform)
        if built is not None and hasattr(module, "problems"):
            problems += module.problems(built)
    known = frozenset(document.name for document in spaces.documents)
    return Assembled(fleet, planned.plan, builds, known), problems


def judged(
    specs: Sources, environments: Path, name: str, targets: Sequence[str] = ()
) -> tuple[Assembled | None, list[Problem]]:
    """Return the same for a folder of environments."""
    return assembled(specs, read([environments]), name, str(environments), targets)


class Rendering(NamedTuple):
    """An environment's texts by folder and path, and all problems found on the way."""

    folders: dict[str, dict[str, str]]
    problems: tuple[Problem, ...]
    environments: frozenset[str]
    """Names of all environments."""
    charts: str
    """Where the charts are that the output refers to; empty if it refers to none."""
    lock: Callable[[Mapping[str, Mapping[str, str]]], dict[str, Entry]]
    """Returns what the output consists of, by workload, from its texts."""


def render(
    agents: Sequence[Path], environments: Path, name: str, targets: Sequence[str] = ()
) -> Rendering:
    """Render an environment to some targets, by default to its own.

    Raises SpecError if there are errors.
    """
    return render_all(agents, environments, [name], targets)[name]


def render_all(
    agents: Sequence[Path],
    environments: Path,
    names: Sequence[str] = (),
    targets: Sequence[str] = (),
) -> dict[str, Rendering]:
    """Render several environments from files that are read once, by default all that are not abstract.

    Raises SpecError, with the problems of all of them, if one has errors or there is none to render.
    """
    specs, spaces = read(agents), read([environments])
    if not names:
        refuse(spaces.problems)
        names = concrete(spaces)
    if not names:
        message, hint = "there is no environment to render", "add one, or name another folder"
        raise SpecError([Problem("error", "unknown-environment", message, spaces.place, hint=hint)])
    made: dict[str, Rendering] = {}
    said: list[Problem] = []
    refused = False
    for name in names:
        try:
            found, problems = renderable(specs, spaces, name, targets)
        except SpecError as error:
            said += error.problems
            refused = True
        else:
            said += problems
            made[name] = Rendering(
                texts(found),
                tidy(problems),
                found.environments,
                _charts(found),
                partial(lock.entries, found),
            )
    if refused:
        raise SpecError(said)
    return made


def concrete(environments: Sources) -> list[str]:
    """Return the names of the environments that can be rendered, sorted."""
    return sorted(
        document.name
        for document in environments.documents
        if document.kind == kinds.ENVIRONMENT.name
        and at(document.tree, ("spec", "abstract")) is not True
    )


def _charts(found: Assembled) -> str:
    environment = found.fleet.environment
    is_used = "helm" in found.fleet.targets or (
        "flux" in found.fleet.targets and environment.gitops.way == "helm"
    )
    return environment.helm.charts.rstrip("/") if is_used else ""


def build(
    agents: Sequence[Path], environments: Path, name: str, target: str
) -> tuple[Build, list[Problem]]:
    """Plan and build an environment for one Kubernetes target.

    Raises SpecError if there are errors.
    """
    found, problems = renderable(read(agents), read([environments]), name, [target])
    if found.kubernetes is None:  # pragma: no cover - without an error there is one
        raise SpecError(problems)
    return found.kubernetes, problems


def planned(agents: Sequence[Path], environments: Path, name: str) -> tuple[Fleet, FleetPlan]:
    """Return the fleet of an environment, and its plan for Kubernetes.

    Raises SpecError if there are errors.
    """
    found, problems = renderable(read(agents), read([environments]), name, ["manifests"])
    if found.kubernetes is None:  # pragma: no cover - without an error there is one
        raise SpecError(problems)
    return found.fleet, found.kubernetes.plan


def texts(found: Assembled) -> dict[str, dict[str, str]]:
    """Return sorted texts by path, below each folder that the targets own."""
    names = found.fleet.targets
    # Kustomize's base is a plan of its own, and takes about as long as all other targets together.
    others = [name for name in names if name != KUSTOMIZE] if KUSTOMIZE in names else []
    size = len(found.plan.workloads) if others else 0
    with Beside(lambda: {name: _texts(found, name) for name in others}, size) as beside:
        made = {name: _texts(found, name) for name in names if name not in others}
        made |= beside.result()
    return {folder: files for name in names for folder, files in made[name].items()}


def _texts(found: Assembled, target: str) -> dict[str, dict[str, str]]:
    from fleetform import targets as registry  # noqa: PLC0415

    built = found.builds[registry.BY_NAME[target].platform]
    return {
        folder: {path: files[path].text for path in sorted(files)}
        for folder, files in registry.module(target).folders(built).items()
    }


def renderable(
    specs: Sources, spaces: Sources, name: str, targets: Sequence[str] = ()
) -> tuple[Assembled, list[Problem]]:
    """Return what an environment is rendered from, and warnings and notes.

    Raises SpecError if there are errors, or nothing to render.
    """
    found, problems = assembled(specs, spaces, name, spaces.place, targets)
    if found is None or errors(problems):
        raise SpecError(problems)
    if not found.plan.workloads:
        raise SpecError([*problems, _nothing(specs.place)])
    return found, problems


def _root(specs: Sources, environments: Sources, fleet: Fleet) -> Fleet | None:
    """Return the fleet in the abstract root of an environment, None if it has no such root."""
    from fleetform.resolve import resolve  # noqa: PLC0415
    from fleetform.resolve.environment import base, chain  # noqa: PLC0415

    root = base(chain(environments.documents, fleet.environment_name, ""))
    if root is None:
        return None
    # Problems of the root itself do not count: it only exists to be extended.
    found, _ = resolve(specs.documents, [root], complete=specs.complete, broken=specs.broken)
    return found


def _abstract(fleet: Fleet) -> Iterator[Problem]:
    if fleet.environment.abstract:
        yield problem_at(
            fleet.environment_tree,
            ("spec", "abstract"),
            "abstract-environment",
            f"the environment `{fleet.environment_name}` is abstract",
            hint="render an environment that extends it",
        )


def bound(fleet: Fleet, *, changed: bool = False) -> tuple[FleetPlan | None, list[Problem]]:
    """Return a fleet bound to Kubernetes, None if there are errors.

    `changed`: errors are no obstacle, for a fleet that was found sound and then changed for a laptop.
    """
    from fleetform.plan import plan  # noqa: PLC0415
    from fleetform.platforms.kubernetes.bind import bind  # noqa: PLC0415

    planned, problems = plan(fleet)
    found, said = bind(fleet, planned)
    problems = [*_abstract(fleet), *problems, *said]
    return None if errors(problems) and not changed else found, problems


def patched(fleet: Fleet, resolved: Resolved[Any]) -> list[Applied]:
    """Return what object patches changed in the objects of a spec, as far as it can be planned."""
    from fleetform.platforms.kubernetes import objects  # noqa: PLC0415
    from fleetform.platforms.kubernetes.objects import patches  # noqa: PLC0415

    trees = [fleet.environment_tree, resolved.tree]
    if not any(at(tree, ("spec", VERBATIM)) for tree in trees):
        return []
    plan, _ = bound(fleet)
    done = patches.apply(plan, objects.build(plan)).applied if plan else ()
    key = fleet.target_namespace(resolved.namespace), resolved.name
    return [item for item in done if (item.namespace, item.workload) == key]


def _nothing(folders: str) -> Problem:
    return Problem(
        "error",
        "nothing-to-render",
        "these specs deploy nothing, and rendering would remove the existing output",
        folders,
        hint="check --agents; to remove an environment permanently, delete its folder",
    )


def environment_of(spaces: Sources, name: str, folder: str) -> tuple[Any, list[Layer]]:
    """Return an environment, typed, and its layers, starting at the root."""
    from fleetform import view  # noqa: PLC0415
    from fleetform.resolve import environment as chains  # noqa: PLC0415

    refuse(spaces.problems)
    found = chains.chain(spaces.documents, name, folder)
    return view.read("Environment", without_nulls(chains.merged(found))), chains.layers(found)


def own_layer(resolved: Resolved[Any]) -> list[Layer]:
    """Return the only layer of a kind that does not merge."""
    from fleetform.resolve.layers import Layer  # noqa: PLC0415

    return [Layer(f"{resolved.kind} {resolved.name}", resolved.tree["spec"])]
