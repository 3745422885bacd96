"""A ConfigMap with `logging.yaml`, as Python's logging is configured → the levels of the agents of its namespace.

The runtime writes JSON, or text, to its standard output: what collects logs reads it there. So levels of the root and of
loggers are taken over, and handlers, formatters and filters are told of.
"""

from __future__ import annotations

from fleetform.dialects import kagent
from fleetform.parse import parse
from fleetform.problems import Problem, Severity, errors
from fleetform.tree import Map, at, problem_at

KIND = "ConfigMap"
FILE = "logging.yaml"
_PLACE = ("data", FILE)
_LEVELS = {**kagent.LEVELS, "notset": "debug", "fatal": "error"}
_OURS = frozenset({"version", "disable_existing_loggers", "incremental", "root", "loggers"})


def is_one(tree: Map) -> bool:
    """Whether a document is a ConfigMap with a configuration of logging, and nothing else that would be lost."""
    data = tree.get("data")
    return (
        (tree.get("apiVersion"), tree.get("kind")) == ("v1", KIND)
        and isinstance(data, Map)
        and data.keys() == {FILE}
        and isinstance(data[FILE], str)
        and "binaryData" not in tree
    )


def translate(tree: Map) -> tuple[Map | None, list[Problem]]:
    """Return a document whose `spec` has the levels as a spec of an agent has them, None if there are none."""
    mark = at(tree, ("data",)).marks[FILE]
    read = parse(str(at(tree, _PLACE)).encode(), mark.file)
    inner = read.documents[0].tree if len(read.documents) == 1 else None
    if inner is None or errors(read.problems):
        said = f": {read.problems[0].message}" if read.problems else ""
        return None, [_said(tree, "bad-logging", f"`{FILE}` is no configuration of logging{said}")]
    problems: list[Problem] = []
    logging = Map(mark)
    root = at(inner, ("root", "level"))
    if root is not None:
        _put(tree, logging, "level", root, problems)
    given = inner.get("loggers")
    loggers = Map(mark)
    for name, logger in given.items() if isinstance(given, Map) else ():
        level = at(logger, ("level",)) if isinstance(logger, Map) else None
        if level is not None:
            _put(tree, loggers, name, level, problems)
    if loggers:
        logging.put("loggers", loggers, mark)
    if rest := sorted(inner.keys() - _OURS):
        names = ", ".join(f"`{name}`" for name in rest)
        problems.append(
            _said(
                tree,
                "not-taken",
                f"of `{FILE}` the levels are read, {names} are not: agents log to standard output",
                "as JSON, or as text with `observability.logging.format`; a collector of the cluster takes it from there",
                is_note=True,
            )
        )
    if not logging:
        if not errors(problems):
            problems.append(_said(tree, "bad-logging", f"`{FILE}` sets no level"))
        return None, problems
    found = tree.clone()
    spec, observability = Map(mark), Map(mark)
    observability.put("logging", logging, mark)
    spec.put("observability", observability, mark)
    found.put("spec", spec, mark)
    return found, problems


def _put(tree: Map, into: Map, key: str, level: object, problems: list[Problem]) -> None:
    known = _LEVELS.get(str(level).lower())
    if known is None:
        problems.append(_said(tree, "bad-logging", f"`{str(level)[:40]}` is no level of logging"))
        return
    into.put(key, known, into.mark)


def _said(
    tree: Map,
    code: str,
    message: str,
    hint: str = "set levels of `root` and of `loggers`: DEBUG, INFO, WARNING, ERROR",
    *,
    is_note: bool = False,
) -> Problem:
    severity: Severity = "note" if is_note else "error"
    return problem_at(tree, _PLACE, code, message, hint=hint, severity=severity, key=True)
