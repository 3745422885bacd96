"""The life of a release: installed, upgraded, failing, rolled back, taken over, uninstalled."""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.charts.test_charts import example
from tests.cluster.plane import Plane
from tests.fleet import AGENT, ENVIRONMENT, fleetform, write
from tests.parity.charts import CHARTS, HELMS

in_both_helms = pytest.mark.parametrize("helm", HELMS)
HPA = ("--set", "autoscaling.enabled=true", "--set", "autoscaling.minReplicas=3")
KEDA = (
    *("--set", "keda.enabled=true", "--set", "keda.minReplicas=3"),
    *(
        "--set-json",
        'keda.triggers=[{"type":"cpu","metricType":"Utilization","metadata":{"value":"70"}}]',
    ),
)
ROLLBACK = {"helm3": "--atomic", "helm": "--rollback-on-failure"}


class Release:
    """A release of the README's agent in a namespace of its own."""

    def __init__(self, plane: Plane, helm: str, space: str, values: Path) -> None:
        self.plane, self.version, self.space, self.values = plane, helm, space, values
        plane.do("create", "namespace", space)
        label = "pod-security.kubernetes.io/enforce=restricted"
        plane.do("label", "namespace", space, label)

    def upgrade(self, *options: str, succeeds: bool = True) -> str:
        command = ("upgrade", "--install", "support", CHARTS / "agent", "-n", self.space)
        done = self.plane.helm(self.version, *command, "-f", self.values, "--wait", *options)
        assert (done.returncode == 0) is succeeds, done.stdout + done.stderr
        assert "Warning" not in done.stderr
        return done.stdout + done.stderr

    def helm(self, *arguments: str) -> str:
        done = self.plane.helm(self.version, *arguments, "-n", self.space)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def prompt(self) -> set[str]:
        """Return the prompts of the ConfigMaps that the pods mount now."""
        found = set()
        for pod in self.plane.get("pods", "-n", self.space, "-l", "app=support"):
            if "deletionTimestamp" in pod["metadata"]:
                continue
            for volume in pod["spec"]["volumes"]:
                if "configMap" in volume:
                    (config,) = self.plane.get(
                        "configmap", volume["configMap"]["name"], "-n", self.space
                    )
                    found.add(config["data"]["system-prompt.md"])
        return found

    def settled(self, prompt: str) -> None:
        self.plane.do("rollout", "status", "deployment/support", "-n", self.space, "--timeout=300s")
        self.plane.until(lambda: self.prompt() == {prompt}, f"pods with {prompt!r}")

    def kinds(self) -> set[str]:
        kinds = "horizontalpodautoscalers,scaledobjects.keda.sh,deployments,networkpolicies"
        return {item["kind"] for item in self.plane.get(kinds, "-n", self.space)}


class Sampler(threading.Thread):
    """Writes down how many pods are ready, as often as it can."""

    def __init__(self, release: Release) -> None:
        super().__init__(daemon=True)
        self.release = release
        self.seen: list[int] = []
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.is_set():
            (item,) = self.release.plane.get("deployment", "support", "-n", self.release.space)
            self.seen.append(item["status"].get("readyReplicas", 0))
            time.sleep(0.05)

    def __enter__(self) -> "Sampler":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.join()


@pytest.fixture
def release(plane: Plane, helm: str, tmp_path: Path) -> Iterator[Release]:
    values = tmp_path / "values.yaml"
    values.write_text(example("agent"), "utf-8")
    space = f"life-{helm}-{time.time_ns() % 1_000_000}"
    yield Release(plane, helm, space, values)
    plane.do("delete", "namespace", space, "--wait=false")


@in_both_helms
def test_a_release_lives_through_upgrades_failures_and_rollbacks(release):
    release.upgrade("--set", "prompt=One.", "--set", "replicaCount=3")
    release.settled("One.")
    with Sampler(release) as sampler:
        release.upgrade(
            "--set", "prompt=Two.", "--set", "image.tag=2.0.0", "--set", "replicaCount=3"
        )
        release.settled("Two.")
    assert len(sampler.seen) > 3
    assert min(sampler.seen) >= 3, sampler.seen

    # No node has the label: the new pods never run, and the old ones stay.
    broken = (
        "--set",
        "prompt=Three.",
        "--set",
        "nodeSelector.nowhere=yes",
        "--set",
        "replicaCount=3",
    )
    with Sampler(release) as sampler:
        release.upgrade(*broken, ROLLBACK[release.version], "--timeout", "8s", succeeds=False)
        release.settled("Two.")
    assert min(sampler.seen) >= 3
    assert "nodeSelector" not in json.dumps(
        release.plane.get("deployment", "support", "-n", release.space)[0]["spec"]["template"]
    )

    release.helm("rollback", "support", "1", "--wait")
    release.settled("One.")
    release.plane.do("rollout", "undo", "deployment/support", "-n", release.space)
    release.settled("Two.")


@in_both_helms
def test_who_scales_may_change_from_release_to_release(release):
    release.upgrade("--set", "prompt=One.", *HPA)
    assert release.kinds() >= {"HorizontalPodAutoscaler", "Deployment"}
    # What an autoscaler would have done by now: there are no metrics here.
    release.plane.do("scale", "deployment/support", "--replicas=3", "-n", release.space)
    release.settled("One.")
    with Sampler(release) as sampler:
        release.upgrade("--set", "prompt=One.", *KEDA)
        release.settled("One.")
    assert min(sampler.seen) >= 3, sampler.seen
    assert "HorizontalPodAutoscaler" not in release.kinds()
    assert "ScaledObject" in release.kinds()


@in_both_helms
def test_uninstalling_leaves_nothing_but_revisions_which_gc_removes(release, tmp_path):
    release.upgrade("--set", "prompt=One.")
    release.upgrade("--set", "prompt=Two.")
    release.helm("uninstall", "support", "--wait")
    ours = release.plane.ours([release.space])
    left = {key for key in ours if key[1] == release.space}
    assert {kind for kind, _, _ in left} == {"ConfigMap"}
    assert len(left) == 2
    namespaces = f"  namespaces: {{map: {{default: {release.space}}}}}\n"
    write(tmp_path, {"agents/a.yaml": AGENT, "environments/prod.yaml": ENVIRONMENT + namespaces})
    cluster = ("--kubeconfig", str(release.plane.kubeconfig))
    listed = fleetform("gc", *cluster, cwd=tmp_path)
    assert sorted(listed.out.split()) == sorted(f"{space}/{name}" for _, space, name in left)
    assert fleetform("gc", "--yes", *cluster, cwd=tmp_path).code == 0
    assert not {key for key in release.plane.ours([release.space]) if key[1] == release.space}


@in_both_helms
def test_objects_that_kubectl_applied_are_taken_over(release):
    done = release.plane.helm(
        release.version,
        *("template", "support", CHARTS / "agent", "-n", release.space),
        *("-f", release.values, "--skip-tests"),
    )
    release.plane.apply("-f", "-", text=done.stdout)
    (before,) = release.plane.get("deployment", "support", "-n", release.space)
    refused = release.plane.helm(
        release.version,
        *("upgrade", "--install", "support", CHARTS / "agent", "-n", release.space),
        *("-f", release.values),
    )
    assert refused.returncode != 0
    force = ("--force-conflicts",) if release.version == "helm" else ()
    release.upgrade("--take-ownership", *force)
    (after,) = release.plane.get("deployment", "support", "-n", release.space)
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert after["metadata"]["annotations"]["meta.helm.sh/release-name"] == "support"
