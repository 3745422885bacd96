"""What is rendered, an API server takes: every field of a plan on every turn, and any fleet by chance."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from fleetform import emit, pipeline
from fleetform.platforms.kubernetes.objects import namespace_objects, workload_objects
from tests import generated
from tests.conformance import apiserver
from tests.fleet import write
from tests.parity import plans
from tests.parity.exact import PER_RUN, many_by_chance

pytestmark = pytest.mark.proof


def test_every_turn_of_a_field_is_taken():
    turned = [after for _, _, after in plans.turned()]
    turned += [*plans.own_files()]
    spaces = [
        plans._with(plans.SPACE, field, value)
        for field, values in plans.SPACE_TURNS.items()
        for value in values
    ]
    texts = [emit.emit_all(list(workload_objects(plan))) for plan in turned]
    texts += [emit.emit_all(list(namespace_objects(plan))) for plan in spaces]
    assert apiserver.unexpected(apiserver.judge("---\n".join(texts))) == []


@many_by_chance
def test_fleets_made_by_chance_are_taken(seeds):
    texts = []
    for seed in seeds:
        with TemporaryDirectory() as folder:
            root = write(Path(folder), generated.layered(seed))
            made = pipeline.render([root / "agents"], root / "environments", "prod", ["manifests"])
        files = made.folders["rendered/prod"].items()
        texts += [text for path, text in files if not path.endswith("kustomization.yaml")]
    verdicts = apiserver.judge("---\n".join(texts))
    assert len(verdicts) > PER_RUN
    assert apiserver.unexpected(verdicts) == []
