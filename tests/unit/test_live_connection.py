"""What `plan` and `gc` say when there is no cluster to talk to: a message and a hint, in each case."""

from pathlib import Path
from typing import Any

import pytest
from kubernetes.dynamic.exceptions import ResourceNotFoundError

from fleetform.platforms.kubernetes.live import api, changes
from tests.fleet import GOOD, write
from tests.kubeconfigs import config, said

NO_KUBECONFIG = {
    "a word": "hostname\n",
    "an empty file": "",
    "not YAML": "{{{",
    "a number for a list": "apiVersion: v1\nkind: Config\nclusters: 5\n",
    "a cluster without an address": config().replace('"cluster": {"server"', '"x": {"server"'),
    "a certificate that is not there": config(**{"certificate-authority": "/nonexistent"}),
    "a context that is not there": config().replace('"current-context": "a"', '"x": "y"'),
}


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    return write(tmp_path / "fleet", GOOD)


@pytest.mark.parametrize("command", ["plan", "gc"])
@pytest.mark.parametrize("text", NO_KUBECONFIG.values(), ids=NO_KUBECONFIG.keys())
def test_a_file_that_is_no_kubeconfig_is_named(text, command, fleet, tmp_path):
    file = tmp_path / "kubeconfig"
    file.write_text(text, "utf-8")
    assert "\n  hint: set --kubeconfig or --context\n" in said(command, fleet, file)


@pytest.mark.parametrize("command", ["plan", "gc"])
def test_a_folder_or_nothing_is_no_kubeconfig(command, fleet, tmp_path):
    for place in (tmp_path, tmp_path / "nothing"):
        assert "hint: set --kubeconfig" in said(command, fleet, place)


class Kindless:
    """A dynamic client of a cluster that has no definition of any kind."""

    @property
    def resources(self) -> "Kindless":
        return self

    def get(self, **kind: str) -> None:
        raise ResourceNotFoundError(f"no {kind}")


def test_a_kind_that_the_cluster_lacks_is_refused_by_its_name():
    metadata = {"name": "a", "namespace": "b"}
    item = {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": metadata}
    unit: Any = type("Unit", (), {"objects": (item,)})()
    (row,) = changes.rows(api.Api(Kindless()), [unit], ["b"])
    assert row.action == "refused"
    assert row.message == "the cluster does not serve the kind ScaledObject of keda.sh/v1alpha1"
