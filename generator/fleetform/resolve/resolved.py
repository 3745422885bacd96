"""A document with the last word of every layer, and what an environment asks for without a document of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Generic, NamedTuple, Self, TypeVar

from fleetform import kinds, view
from fleetform.tree import Map, TreePath, at, dotted, locate, problem_at

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fleetform.problems import Problem
    from fleetform.resolve.catalog import Key
    from fleetform.resolve.layers import Layer


S_co = TypeVar("S_co", covariant=True)


class Resolved(NamedTuple, Generic[S_co]):
    """A document after merging all layers: typed, and as a tree with positions."""

    kind: str
    namespace: str
    name: str
    tree: Map
    typed: Any
    spec: S_co
    """The typed spec: a view with the attributes of the kind's model (docs/adr/0003-views.md)."""
    layers: tuple[Layer, ...]
    file: str
    origin: str

    @property
    def key(self) -> Key:
        """Return namespace and name as in the specs."""
        return self.namespace, self.name

    def called(self, name: str) -> Resolved[S_co]:
        """Return the same document under another name, for a second workload that it asks for."""
        return self._replace(name=name)

    def retyped(self, typed: Any) -> Resolved[S_co]:
        """Return the same document with other contents."""
        return self._replace(typed=typed, spec=typed.spec)

    def by_environment(self, path: TreePath) -> bool:
        """Whether the environment, rather than a spec, said the last word on a value below `spec`."""
        said = (layer for layer in reversed(self.layers) if at(layer.tree, path[1:]) is not None)
        last = next(said, None)
        return last is not None and last.by_environment

    def problem(self, path: TreePath, code: str, message: str, **more: Any) -> Problem:
        """Return a Problem at the position where a value of this document was set."""
        return problem_at(self.tree, path, code, message, **more)


class Asked(Resolved[Any]):
    """A workload that an environment asks for: at `spec` its tree has what is said of it, and Problems name that place."""

    place: ClassVar[TreePath]
    """Where an environment asks for it."""

    @classmethod
    def of(
        cls, tree: Map, kind: str, space: str, name: str, spec: Mapping[str, Any], origin: str
    ) -> Self:
        """Return what is asked for in an environment's tree as an agent with the fields `spec`, of a kind that is no document's."""
        said = at(tree, cls.place)
        metadata = Map(said.mark)
        metadata.put("name", name, locate(said, ("name",))[0])
        own = tree.clone()
        own.put("metadata", metadata, said.mark)
        own.put("spec", said, said.mark)
        typed = view.read(kinds.AGENT.name, {"metadata": {"name": name}, "spec": spec})
        return cls(kind, space, name, own, typed, typed.spec, (), said.mark.file, origin)

    @classmethod
    def said_at(cls, path: TreePath) -> TreePath:
        """Return where an environment says what is at a path; that it is exposed is said by its being there."""
        return cls.place if path[1:2] == ("expose",) else (*cls.place, *path[1:])

    def problem(self, path: TreePath, code: str, message: str, **more: Any) -> Problem:
        """Return a Problem at the position where the environment has set a value."""
        found = Resolved.problem(self, path, code, message, **more)
        return found._replace(path=dotted(self.said_at(path)))
