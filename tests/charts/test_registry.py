"""The charts by way of a real OCI registry: pushed, pulled, and used by tag and by digest."""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.charts.test_charts import example
from tests.conformance import readers
from tests.parity.charts import CHARTS, HELMS
from tests.parity.objects import by_key, differences
from tests.registry import running
from tests.tools import run

pytestmark = pytest.mark.proof

in_both_helms = pytest.mark.parametrize("helm", HELMS)


@pytest.fixture(scope="module")
def registry(tmp_path_factory) -> Iterator[str]:
    with running(tmp_path_factory.mktemp("registry")) as host:
        yield host


def push(helm: str, registry: str, chart: str, folder: Path) -> tuple[str, str, Path]:
    """Push a chart; return where it is, its digest and the archive."""
    assert run(helm, "package", CHARTS / chart, "-d", folder).returncode == 0
    (archive,) = folder.glob("*.tgz")
    where = f"oci://{registry}/{helm}"
    done = run(helm, "push", archive, where, "--plain-http")
    assert done.returncode == 0, done.stderr
    (digest,) = re.findall(r"sha256:[0-9a-f]{64}", done.stdout + done.stderr)
    return f"{where}/{chart}", digest, archive


@in_both_helms
@pytest.mark.parametrize("chart", ["agent", "namespace"])
def test_a_chart_comes_back_from_the_registry_as_it_was(chart, helm, registry, tmp_path):
    reference, _, archive = push(helm, registry, chart, tmp_path)
    options = ["--plain-http", "--version", "0.1.0", "-d", tmp_path / "pulled"]
    (tmp_path / "pulled").mkdir()
    done = run(helm, "pull", reference, *options)
    assert done.returncode == 0, done.stderr
    (pulled,) = (tmp_path / "pulled").glob("*.tgz")
    digests = {hashlib.sha256(file.read_bytes()).hexdigest() for file in (archive, pulled)}
    assert len(digests) == 1


@in_both_helms
def test_a_release_by_tag_or_by_digest_is_that_of_the_folder(helm, registry, tmp_path):
    reference, digest, _ = push(helm, registry, "agent", tmp_path)
    values = tmp_path / "values.yaml"
    values.write_text(example("agent"), "utf-8")
    options = ["-n", "ai", "-f", values]
    here = run(helm, "template", "support", CHARTS / "agent", *options)
    wanted = by_key(readers.go(here.stdout))
    for source in ((reference, "--version", "0.1.0"), (f"{reference}@{digest}",)):
        done = run(helm, "template", "support", *source, "--plain-http", *options)
        assert done.returncode == 0, done.stderr
        assert differences(wanted, by_key(readers.go(done.stdout))) == []


def test_installing_from_the_registry_shows_the_notes(registry, tmp_path):
    helm = "helm"  # Helm 3 asks the cluster even in a dry run of the client
    reference, _, _ = push(helm, registry, "agent", tmp_path)
    values = tmp_path / "values.yaml"
    values.write_text(example("agent"), "utf-8")
    dry = ["--dry-run=client", "--plain-http", "--version", "0.1.0"]
    done = run(helm, "install", "support", reference, "-n", "ai", "-f", values, *dry)
    assert done.returncode == 0, done.stderr
    assert "support runs in ai" in done.stdout
    assert "kubectl -n ai port-forward svc/support 8080" in done.stdout
    assert "helm test support -n ai" in done.stdout
