"""A fleet in memory → everything that is rendered of it, and everything that is said."""

import json
from functools import cache
from typing import Any

from fleetform import pipeline
from fleetform.parse import Loaded, parse
from fleetform.problems import Problem, SpecError, errors

Json = Any


@cache
def _parsed(file: str, text: str) -> Loaded:
    return parse(text.encode(), file, file)


def _sources(documents: dict[str, Json]) -> pipeline.Sources:
    loaded = [_parsed(f"{name}.yaml", json.dumps(item)) for name, item in documents.items()]
    return pipeline.checked(
        Loaded(
            tuple(document for item in loaded for document in item.documents),
            tuple(problem for item in loaded for problem in item.problems),
        )
    )


def outcome(
    specs: dict[str, Json], environments: dict[str, Json], *, whole: bool = False
) -> tuple[Json, frozenset[Problem]]:
    """Return the output of an environment's targets (None when it is refused), and all Problems."""
    try:
        built, problems = pipeline.assembled(
            _sources(specs), _sources(environments), "prod", "environments"
        )
    except SpecError as error:
        return None, frozenset(error.problems)
    if built is None or errors(problems):
        return None, frozenset(problems)
    return _output(built, whole=whole), frozenset(problems)


def _output(built: pipeline.Assembled, *, whole: bool) -> Json:
    """Return what decides the output: unless it is asked for as a whole, objects, which is faster."""
    if built.fleet.targets == ("manifests",) and not whole and built.kubernetes:
        return [*built.kubernetes.units], built.plan.environment
    return pipeline.texts(built)
