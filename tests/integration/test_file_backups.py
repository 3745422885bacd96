"""Backups of files that an agent keeps: the scripts of the rendered pods, beside a real runtime."""

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tests import fleet, tools
from tests.integration.test_backups import USED, WITH, Machine, asked, greeted, held, store, talked

STORE = store("filesystem", {"path": "/kept-files/sessions"})
VOLUMES = "  volumes: [{name: own, mountPath: /kept-files, claim: {size: 1Gi}}]\n"
AGENT = fleet.AGENT + USED + VOLUMES


class Files(Machine):
    """An agent's folder, a runtime that writes it, and the pods of its backup."""

    def __init__(self, folder: Path, *, with_restic: bool):
        section = {"path": "/kept-files/sessions"}
        super().__init__(folder, "filesystem", section, agent=AGENT, with_restic=with_restic)
        self.sessions = folder / "kept-files/sessions"

    def section(self, config: Path) -> dict[str, Any]:
        return {"type": self.kind, "path": str(self.sessions)}

    def lost(self) -> None:
        """Lose everything, as with a new volume of ext4."""
        shutil.rmtree(self.sessions)
        (self.sessions / "lost+found").mkdir(parents=True)


@pytest.fixture
def machine(with_restic):
    folder = Path(tempfile.mkdtemp(prefix="fleetform-b-"))
    try:
        where = Files(folder, with_restic=with_restic)
        if with_restic:
            shutil.copy(tools.tool("restic"), where.programs / "restic")
        yield where
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def filled(machine):
    greeted(machine)
    return machine


@pytest.mark.parametrize("with_restic", WITH)
def test_what_was_said_comes_back_as_it_was(machine, with_restic):
    with machine.runtime() as runtime:
        talked(runtime)
        before = held(runtime)
        backup = machine.pod("backup").run()  # of an agent that runs
        assert backup.returncode == 0, backup.stdout + backup.stderr
    machine.lost()
    drill = machine.pod("drill").run()
    assert drill.returncode == 0, drill.stdout + drill.stderr
    restore = machine.restore().run()
    assert restore.returncode == 0, restore.stdout + restore.stderr
    assert sorted(
        item.name for item in machine.sessions.iterdir() if item.name.startswith("l")
    ) == ["lost+found"]
    with machine.runtime() as runtime:
        assert held(runtime) == before


@pytest.mark.parametrize("with_restic", [False])
def test_what_came_later_is_gone_after_a_restore(filled, with_restic):
    assert filled.pod("backup").run().returncode == 0
    with filled.runtime() as runtime:
        asked(f"{runtime.url}/sessions", {"session_id": "later"})
    done = filled.restore().run()
    assert done.returncode == 0, done.stdout
    with filled.runtime() as runtime:
        found = asked(f"{runtime.url}/sessions")
    assert [item["session_id"] for item in found["sessions"]] == ["s1"]


@pytest.mark.parametrize("with_restic", [False])
def test_nothing_is_restored_below_an_agent_that_runs(filled, with_restic):
    assert filled.pod("backup").run().returncode == 0
    with filled.runtime() as runtime:
        done = filled.restore().run()
        assert done.returncode != 0
        assert "scale it to zero first" in done.stdout
        assert asked(f"{runtime.url}/sessions/s1")["session_id"] == "s1"


@pytest.mark.parametrize("with_restic", [False])
def test_files_that_go_meanwhile_are_copied_again_and_not_without_end(filled, with_restic):
    sick = {"cp -RP": "false"}
    done = filled.pod("backup").run(**sick)
    assert done.returncode != 0
    assert "files go while they are copied" in done.stdout
    once = {"cp -RP": "[ -e /tmp/once ] || { touch /tmp/once; false; } && cp -RP"}
    pod = filled.pod("backup")
    done = pod.run(**{old: pod._here(new) for old, new in once.items()})
    assert done.returncode == 0, done.stdout
    assert filled.pod("drill").run().returncode == 0


@pytest.mark.parametrize("with_restic", [False])
@pytest.mark.parametrize("how", ["cut", "changed", "gone", "more", "no list"])
def test_a_backup_that_is_not_whole_fails_the_drill_and_is_not_restored(filled, how, with_restic):
    assert filled.pod("backup").run().returncode == 0
    kept = filled.folder / "backups/files"
    file = next(item for item in sorted(kept.rglob("*.jsonl")) if item.stat().st_size)
    data = bytearray(file.read_bytes())
    if how == "cut":
        file.write_bytes(data[:-3])
    elif how == "changed":
        data[len(data) // 2] ^= 1
        file.write_bytes(data)
    elif how == "gone":
        file.unlink()
    elif how == "more":
        file.with_name("more").write_bytes(data)
    else:
        (kept / "sums").unlink()
    for pod in (filled.pod("drill"), filled.restore()):
        done = pod.run()
        assert done.returncode != 0
        assert "FAILED" in done.stdout
    with filled.runtime() as runtime:
        assert asked(f"{runtime.url}/sessions/s1")["session_id"] == "s1"


@pytest.mark.parametrize("with_restic", [False])
def test_a_backup_of_nothing_fails(machine, with_restic):
    done = machine.pod("backup").run()
    assert done.returncode != 0
    assert "there is no " in done.stdout
    machine.sessions.mkdir(parents=True)
    assert machine.pod("backup").run().returncode == 0
    done = machine.pod("drill").run()
    assert done.returncode != 0
    assert "there was nothing in the backup" in done.stdout


def test_each_agent_is_backed_up_as_itself_where_its_volume_is(tmp_path):
    second = (
        AGENT.replace("name: helper", "name: other")
        + "  stateful: true\n  podTemplate: {runAsUser: 2000}\n"
    )
    assert second.count("name: other") == 1
    files = fleet.GOOD | {"agents/a.yaml": AGENT, "agents/b.yaml": second, "agents/s.yaml": STORE}
    fleet.write(tmp_path, files)
    done = fleet.fleetform("render", "--env", "prod", cwd=tmp_path)
    assert done.code == 0, done.err
    found = {}
    for file in sorted(tmp_path.glob("rendered/prod/default/*-backup.yaml")):
        (job,) = (item for item in fleet.read_yaml(file.read_text()) if item["kind"] == "CronJob")
        pod = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        (term,) = pod["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
        claims = [
            item["persistentVolumeClaim"]["claimName"]
            for item in pod["volumes"]
            if "persistentVolumeClaim" in item
        ]
        (repository,) = (
            item["value"]
            for item in pod["containers"][0]["env"]
            if item["name"] == "RESTIC_REPOSITORY"
        )
        (mount,) = (
            item
            for item in pod["initContainers"][0]["volumeMounts"]
            if item["mountPath"] == "/kept-files"
        )
        assert mount["readOnly"]
        found[term["labelSelector"]["matchLabels"]["app.kubernetes.io/name"]] = (
            claims,
            repository,
            pod["securityContext"]["runAsUser"],
        )
    assert found == {
        "helper": (["own", "backups"], "/backups/kept/helper", 10001),
        "other": (["own-other-0", "backups"], "/backups/kept/other", 2000),
    }
    done = fleet.fleetform("restore", "kept", "--env", "prod", cwd=tmp_path)
    jobs = fleet.read_yaml(done.out)
    assert [job["metadata"]["name"] for job in jobs] == [
        "helper-restore-latest",
        "other-restore-latest",
    ]
    for job in jobs:
        pod = job["spec"]["template"]["spec"]
        assert "affinity" not in pod, "the agent is stopped: nothing is beside it"
        assert not any(item.get("readOnly") for item in pod["containers"][0]["volumeMounts"])


@pytest.mark.parametrize(
    ("own", "folder"),
    [("{}", "/kept-files/sessions"), ("{path: /kept-files/mine}", "/kept-files/mine")],
)
def test_the_folder_is_the_one_that_the_runtime_writes(tmp_path, own, folder):
    agent = AGENT.replace("{store: kept}", f"{{store: kept, filesystem: {own}}}")
    fleet.write(tmp_path, fleet.GOOD | {"agents/a.yaml": agent, "agents/s.yaml": STORE})
    done = fleet.fleetform("render", "--env", "prod", cwd=tmp_path)
    assert done.code == 0, done.err
    rendered = tmp_path / "rendered/prod/default"
    assert f'"path": "{folder}"' in (rendered / "helper.yaml").read_text()
    assert f'value: "{folder}"' in (rendered / "helper-backup.yaml").read_text()


def test_what_is_wrong_for_all_agents_is_said_once(tmp_path):
    other = AGENT.replace("name: helper", "name: other").replace("name: own", "name: others")
    strict = fleet.ENVIRONMENT.replace("images: {", "images: {requireDigest: true, ")
    files = {"agents/a.yaml": AGENT, "agents/b.yaml": other, "agents/s.yaml": STORE}
    fleet.write(tmp_path, files | {"environments/prod.yaml": strict})
    done = fleet.fleetform("validate", "agents", "--env", "prod", "--format", "json", cwd=tmp_path)
    said = [item for item in json.loads(done.out) if item["file"] == "agents/s.yaml"]
    assert len(said) == 1
    assert "restic" in said[0]["message"]


PROBLEMS = {
    "a volume that ends": (AGENT.replace("claim: {size: 1Gi}", "emptyDir: 1Gi"), STORE, "ends with its pod"),
    "another namespace": (
        AGENT.replace("store: kept", "store: elsewhere/kept"), STORE.replace("namespace: default", "namespace: elsewhere"), "in the namespace `default`",
    ),
    "an image": (AGENT, STORE.replace("    to:", "    image: {repository: redis, tag: '8'}\n    to:"), "files are copied by the image of restic"),
}  # fmt: skip


@pytest.mark.parametrize("name", PROBLEMS)
def test_files_that_cannot_be_reached_are_told(tmp_path, name):
    agent, store, words = PROBLEMS[name]
    fleet.write(tmp_path, fleet.GOOD | {"agents/a.yaml": agent, "agents/s.yaml": store})
    done = fleet.fleetform("validate", "agents", "--env", "prod", "--format", "json", cwd=tmp_path)
    said = [item for item in json.loads(done.out) if words in item["message"]]
    assert len(said) == 1
    assert said[0]["file"] == "agents/s.yaml"
