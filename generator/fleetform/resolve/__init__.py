"""Documents and an environment → a fleet: every spec merged and typed, with the origin of every value."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar, overload

from fleetform import kinds, view
from fleetform.check import check
from fleetform.dialects import SpecDocument
from fleetform.kinds import SpecKind
from fleetform.problems import Problem
from fleetform.resolve import catalog as catalogs
from fleetform.resolve import collector as collectors
from fleetform.resolve import environment as environments
from fleetform.resolve import pages
from fleetform.resolve.catalog import Catalog, Key
from fleetform.resolve.layers import Layer, Used, base_of, extends_of, flatten, layers
from fleetform.resolve.repeated import FACTOR, INHERITED, LINK, REFERRED, Repeated
from fleetform.resolve.resolved import Asked, Resolved
from fleetform.tree import Map, TreePath, problem_at, without_nulls
from fleetform.validators import accepts

if TYPE_CHECKING:
    from fleetform.models.environment import EnvironmentSpec

__all__ = ["Asked", "Fleet", "Resolved", "refers", "resolve"]

S = TypeVar("S")


class Fleet:
    """Everything that rendering one environment needs."""

    def __init__(
        self,
        environment: EnvironmentSpec,
        environment_name: str,
        environment_tree: Map,
        environment_own: Map,
        catalog: Catalog,
    ) -> None:
        self.environment = environment
        self.environment_name = environment_name
        self.environment_tree = environment_tree
        self.environment_own = environment_own
        """The environment's own document, without what it extends."""
        self.environment_layers: tuple[Map, ...] = ()
        """The documents of the environment and of those that it extends, the root first."""
        self.catalog = catalog
        self.specs: dict[str, dict[Key, Resolved[Any]]] = {}
        self.spaces: frozenset[str] = frozenset()
        """Namespaces of the specs that hold workloads."""
        self.sources: dict[str, list[str]] = {}
        """Namespaces of the specs by the namespace in the cluster that they become."""
        self.collector: Asked | None = None
        self.page: Asked | None = None
        """The OpenTelemetry Collector that the environment asks for."""
        self.canaries: dict[Key, list[Key]] = {}
        """Agents that name another one in `canaryOf`, by the key of the other."""
        self.targets: tuple[str, ...] = ()
        """What is rendered."""
        self.inherited = Repeated(INHERITED)
        """What templates have added so far."""
        self.referred = Repeated(REFERRED)
        """What specs have referred to so far."""

    @overload
    def find(self, kind: SpecKind[S], namespace: str, name: str) -> Resolved[S] | None: ...
    @overload
    def find(self, kind: str, namespace: str, name: str) -> Resolved[Any] | None: ...
    def find(self, kind: SpecKind[Any] | str, namespace: str, name: str) -> Resolved[Any] | None:
        """Return the spec of that name in a namespace, else the fleet-wide one."""
        known = self.specs.get(kind if isinstance(kind, str) else kind.name, {})
        return known.get((namespace, name)) or known.get(("", name))

    @overload
    def of(self, kind: SpecKind[S]) -> Iterator[Resolved[S]]: ...
    @overload
    def of(self, kind: str) -> Iterator[Resolved[Any]]: ...
    def of(self, kind: SpecKind[Any] | str) -> Iterator[Resolved[Any]]:
        """Yield the specs of a kind in order of namespace and name."""
        # They are added in that order.
        yield from self.specs.get(kind if isinstance(kind, str) else kind.name, {}).values()

    def target_namespace(self, namespace: str) -> str:
        """Return a spec namespace's name in the cluster."""
        spaces = self.environment.namespaces
        return spaces.map.get(namespace, namespace + spaces.suffix)

    def labels(self, namespace: str) -> dict[str, str]:
        """Return the labels of every object in a namespace of the specs: the environment's, and its tenant's."""
        tenant = self.environment.tenants.get(namespace)
        return {**self.environment.labels, **(tenant.labels if tenant else {})}


def resolve(
    documents: Iterable[SpecDocument],
    chain: list[SpecDocument],
    *,
    complete: bool,
    broken: Iterable[str] = (),
    targets: Iterable[str] = (),
) -> tuple[Fleet | None, list[Problem]]:
    """Return the fleet of an environment and its problems.

    `targets` defaults to those of the environment.
    """
    catalog, problems = catalogs.build(documents, complete=complete, broken=broken)
    tree = environments.merged(chain)
    whole = without_nulls(tree)
    typed = _typed("Environment", whole, problems)
    if typed is None:
        return None, problems
    fleet = Fleet(typed.spec, chain[-1].name, tree, chain[-1].tree, catalog)
    fleet.environment_layers = tuple(document.tree for document in chain)
    fleet.targets = tuple(dict.fromkeys(targets or typed.spec.targets))
    used: Used = set()
    for kind in kinds.FLEET:
        for key, document in catalog.of(kind):
            _add(fleet, kind, key, document, used, problems)
            if fleet.inherited.said:  # all else that is wrong would take as long
                return None, problems
    fleet.spaces = frozenset(
        space for kind in kinds.WORKLOADS for space, _ in fleet.specs.get(kind, {})
    )
    fleet.page = pages.asked(typed.spec, whole, f"environment {chain[-1].name}")
    fleet.collector = collectors.asked(typed.spec, whole, chain[-1].origin)
    if fleet.collector is not None:
        fleet.spaces |= {fleet.collector.namespace}
    for (space, name), agent in fleet.specs.get("Agent", {}).items():
        if stable := agent.spec.canary_of:
            fleet.canaries.setdefault((space, stable), []).append((space, name))
    for space in sorted(fleet.spaces):
        fleet.sources.setdefault(fleet.target_namespace(space), []).append(space)
    problems += _idle_patches(tree, fleet, used)
    return fleet, problems


def _add(
    fleet: Fleet,
    kind: str,
    key: Key,
    document: SpecDocument,
    used: Used,
    problems: list[Problem],
) -> None:
    found: tuple[Layer, ...] = ()
    whole = document.tree
    if _lacks_a_base(fleet.catalog, document):
        return
    if kind in kinds.LAYERED:
        stack, said = layers(fleet.catalog, fleet.environment_tree, document, used)
        # A cycle of templates is reported where an agent uses it.
        problems += [
            problem
            for problem in said
            if kind != "AgentTemplate" or problem.code != "template-cycle"
        ]
        if said or not _affordable(fleet, kind, document, stack, problems):
            return
        found = tuple(stack)
        spec = flatten(stack)
        whole = document.tree.clone()
        if spec is not None:
            if "extends" in spec:
                spec = spec.clone()
                del spec["extends"], spec.marks["extends"]
            whole.put("spec", spec, document.tree.marks.get("spec", whole.mark))
    whole = without_nulls(whole)
    typed = _typed(kind, whole, problems)
    if typed is not None:
        fleet.specs.setdefault(kind, {})[key] = Resolved(
            kind, *key, whole, typed, typed.spec, found, document.file, document.origin
        )


def _affordable(
    fleet: Fleet, kind: str, document: SpecDocument, stack: list[Layer], problems: list[Problem]
) -> bool:
    """Whether what a document inherits from templates fits into the bounds of the fleet; else say so, once."""
    own = document.tree.get("spec")
    bases = [layer.tree for layer in stack if layer.tree is not own and not layer.by_environment]
    if kind == "AgentTemplate" or not bases:
        return True
    whole = fleet.inherited
    whole.add(bases)
    if whole.fits(fleet.catalog):
        return True
    whole.said = True
    problems.append(
        problem_at(
            document.tree,
            ("spec", "extends"),
            "extends-too-much",
            f"what templates add to the fleet is more than {FACTOR} times as much as all specs together",
            hint="move what most of them share to the Environment's `defaults`, or extend smaller templates",
        )
    )
    return False


def refers(
    fleet: Fleet, owner: Resolved[Any], path: TreePath, other: Resolved[Any]
) -> Iterator[Problem]:
    """Count a reference; yield a Problem, once, when what is referred to no longer fits into the bounds of the fleet."""
    whole = fleet.referred
    if whole.said:
        return
    if other.kind in ("Agent", "Workflow"):
        whole.weight += LINK
    else:
        whole.add([other.tree])
    if not whole.fits(fleet.catalog):
        whole.said = True
        yield owner.problem(
            path,
            "refers-too-much",
            f"what specs refer to, each time anew, is more than {FACTOR} times as much as all specs together",
            hint="refer to smaller documents, or to fewer; `network.allowTo` opens the way to a whole `namespace`",
        )


def _lacks_a_base(catalog: Catalog, document: SpecDocument) -> bool:
    """Whether a document extends one that cannot be used, which may provide what it lacks."""
    return any(
        name in catalog.broken and base_of(catalog, document, name) is None
        for _, name in extends_of(document.tree)
    )


def _typed(kind: str, tree: Map, problems: list[Problem]) -> Any:
    """Return the typed document, whose tree has no nulls; layers that are valid separately may not be valid together."""
    if not accepts(kind, "", tree):
        said = [*check(kind, tree)]
        problems += said
        if said:  # what a layer of an environment lacks, a spec may have
            return None
    return view.read(kind, tree)


def _idle_patches(tree: Map, fleet: Fleet, used: Used) -> Iterator[Problem]:
    if not fleet.catalog.complete or fleet.catalog.broken:
        return
    for number, patch in enumerate(fleet.environment.patches):
        idle = [kind for kind in patch.target.kind if (number, kind) not in used]
        names = sorted({name for kind in idle for _, name in fleet.catalog.documents.get(kind, {})})
        hint = f"{' and '.join(f'{kind}s' for kind in idle)} of the fleet: {', '.join(names[:20]) or 'none'}"
        place = ("spec", "patches", number, "target")
        if len(idle) == len(patch.target.kind):
            yield problem_at(tree, place, "idle-patch", "the patch matches nothing", hint=hint)
        elif idle:
            what = f"the patch matches no {' and no '.join(idle)}"
            yield problem_at(
                tree, (*place, "kind"), "idle-patch", what, hint=hint, severity="warning"
            )
