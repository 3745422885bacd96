"""Backups of real stores: the scripts of the rendered pods, with the programs of their images, on this machine."""

import contextlib
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runtime.tests.process import Runtime
from runtime.tests.servers import (
    PATIENCE,
    PostgresServer,
    RedisServer,
    postgres_binaries,
    redis_binary,
)
from tests import fleet, tools

SESSIONS = 60
SCHEMA = "fleetform"
"""Of the runtime's tables."""
PASSWORDS = {("backup", "password"): "the restic password", ("store", "password"): "swordfish"}
STORE = """\
apiVersion: fleetform.dev/v1alpha1
kind: MemoryStore
metadata: {name: kept, namespace: default}
spec:
  type: TYPE
  TYPE: SECTION
  backup:
    schedule: "15 3 * * *"
    to: {pvc: {name: backups}}
    passwordSecretRef: {name: backup, key: password}
  policy: {sessionTTL: 864000}
"""
USED = "  memory: {store: kept}\n"


def store(kind: str, section: dict[str, Any]) -> str:
    """Return the store as YAML."""
    return STORE.replace("TYPE", kind).replace("SECTION", json.dumps(section))


FOLDERS = re.compile(r"(?<![\w.])/(dump|tmp|backups|kept-files)(?![\w.])")
"""The folders of the pods that are others here."""


class Pod:
    """The containers of a rendered Job, one after the other, with a folder of this machine for each of theirs."""

    def __init__(self, where: "Machine", template: dict[str, Any]) -> None:
        self.where, self.spec = where, template["spec"]
        self.folder = where.folder / "pod"
        shutil.rmtree(self.folder, ignore_errors=True)
        for name in ("dump", "tmp"):
            where.make(self.folder / name)

    def run(self, **changes: str) -> subprocess.CompletedProcess[str]:
        """Run them until one fails; `changes` are texts of the scripts that are others."""
        for container in (*self.spec["initContainers"], *self.spec["containers"]):
            asks_restic = any("restic --no-cache" in word for word in container["command"])
            if asks_restic and not self.where.with_restic:
                done = self.where.carried(self)
            else:
                done = self._ran(container, changes)
            if done.returncode:
                return done
        return done

    def _ran(
        self, container: dict[str, Any], changes: dict[str, str]
    ) -> subprocess.CompletedProcess[str]:
        words = [self._here(word) for word in container["command"]]
        for old, new in changes.items():
            words = [word.replace(old, new) for word in words]
        environment = {"PATH": f"{self.where.programs}{os.pathsep}/usr/bin:/bin", "LC_ALL": "C"}
        for item in container.get("env", ()):
            environment[item["name"]] = self._value(item)
        process = subprocess.Popen(
            words,
            env=environment,
            cwd="/",
            user=self.where.user,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            out, _ = process.communicate(timeout=PATIENCE)
        finally:  # as the kubelet ends what a container has left
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        return subprocess.CompletedProcess(words, process.returncode, out, "")

    def _value(self, item: dict[str, Any]) -> str:
        if "value" in item:
            return self._here(item["value"])
        secret = item["valueFrom"]["secretKeyRef"]
        return self.where.secrets[secret["name"], secret["key"]]

    def _here(self, text: str) -> str:
        """Return a text of the pod with folders of this machine, and as the kubelet hands it on."""
        text = text.replace("$$(", "$(").replace("store.default.svc.cluster.local", "127.0.0.1")
        of_pod = ("dump", "tmp")

        def place(found: re.Match[str]) -> str:
            return f"{self.folder if found[1] in of_pod else self.where.folder}/{found[1]}"

        return FOLDERS.sub(place, text)


class Machine:
    """A store, a runtime that uses it, and the pods of its backup."""

    def __init__(
        self, folder: Path, kind: str, section: dict[str, Any], *, agent: str, with_restic: bool
    ):
        self.folder, self.kind, self.with_restic = folder, kind, with_restic
        self.user: str | int | None = None
        self.secrets = dict(PASSWORDS)
        self.programs = self.make(folder / "bin")
        self.make(folder / "backups")
        self.rendered = fleet.write(
            folder / "fleet",
            fleet.GOOD
            | {
                "agents/a.yaml": agent,
                "agents/store.yaml": store(kind, section),
            },
        )
        done = fleet.fleetform("render", "--env", "prod", cwd=self.rendered)
        assert done.code == 0, done.err

    def make(self, folder: Path) -> Path:
        """Return a folder that the pods may write."""
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o777)
        return folder

    def pod(self, name: str) -> Pod:
        (file,) = self.rendered.glob(f"rendered/prod/default/*-{name}.yaml")
        (found,) = (item for item in fleet.read_yaml(file.read_text()) if item["kind"] == "CronJob")
        return Pod(self, found["spec"]["jobTemplate"]["spec"]["template"])

    def restore(self) -> Pod:
        done = fleet.fleetform("restore", "kept", "--env", "prod", cwd=self.rendered)
        assert done.code == 0, done.err
        (job,) = fleet.read_yaml(done.out)
        assert job["spec"]["suspend"] is True
        return Pod(self, job["spec"]["template"])

    def carried(self, pod: Pod) -> subprocess.CompletedProcess[str]:
        """Carry a dump to and from a folder, in place of restic."""
        here, there = pod.folder / "dump", self.folder / "backups/files"
        source, target = (here, there) if any(here.iterdir()) else (there, here)
        words = ["cp", "-r", f"{source}/.", str(self.make(target))]
        return subprocess.run(words, capture_output=True, text=True, check=False, user=self.user)

    def runtime(self) -> Runtime:
        config = self.folder / "runtime"
        config.mkdir(exist_ok=True)
        return Runtime(config, "--model", "scripted", memory=self.section(config))

    def section(self, config: Path) -> dict[str, Any]:
        """Return the runtime's memory; what it reads is in a folder."""
        raise NotImplementedError


class Served(Machine):
    """A store with a server."""

    def __init__(self, folder: Path, server: Any, section: dict[str, Any], *, with_restic: bool):
        kind = "redis" if isinstance(server, RedisServer) else "postgres"
        agent = fleet.AGENT + USED
        super().__init__(folder, kind, section, agent=agent, with_restic=with_restic)
        self.server, self.user = server, server.user

    def section(self, config: Path) -> dict[str, Any]:
        section = {"type": self.kind, "host": "127.0.0.1", "port": self.server.port}
        if self.kind == "postgres":
            section |= {"database": "postgres", "username": "agent"}
        password = config / "password"
        password.write_text(PASSWORDS["store", "password"])
        return section | {"password": {"file": str(password)}}


def asked(url: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        return json.loads(answer.read())


def talked(runtime: Runtime) -> None:
    for number in range(SESSIONS):
        asked(f"{runtime.url}/sessions", {"session_id": f"s{number}"})
        asked(f"{runtime.url}/chat", {"session_id": f"s{number}", "message": f"ä{number} \\. 'x'"})


def held(runtime: Runtime) -> dict[str, str]:
    """Return a hash of what the API says of each session."""
    found = {}
    for number in range(SESSIONS):
        url = f"{runtime.url}/sessions/s{number}"
        text = json.dumps([asked(url), asked(f"{url}/messages")], sort_keys=True)
        found[f"s{number}"] = hashlib.sha256(text.encode()).hexdigest()
    assert len({*found.values()}) == SESSIONS
    return found


def _redis(folder: Path, with_restic: bool) -> Iterator[Served]:
    with RedisServer("--requirepass", PASSWORDS["store", "password"]) as server:
        section = {"host": "store", "port": server.port}
        section["auth"] = {"secretRef": {"name": "store", "key": "password"}}
        where = Served(folder, server, section, with_restic=with_restic)
        binary = Path(redis_binary())
        for name in ("redis-server", "redis-cli"):
            (where.programs / name).symlink_to(binary.with_name(name))
        (where.programs / "redis-check-rdb").symlink_to(binary)  # the server's own, by its name
        yield where


def _postgres(folder: Path, with_restic: bool) -> Iterator[Served]:
    with PostgresServer(PASSWORDS["store", "password"]) as server:
        section = {"host": "store", "port": server.port, "username": "agent"}
        section |= {
            "database": "postgres",
            "passwordSecretRef": {"name": "store", "key": "password"},
        }
        where = Served(folder, server, section, with_restic=with_restic)
        for file in postgres_binaries(server.user).iterdir():
            (where.programs / file.name).symlink_to(file)
        yield where


KINDS = {"redis": _redis, "postgres": _postgres}
WITH = [
    pytest.param(False, id="carried"),
    pytest.param(True, id="restic", marks=pytest.mark.proof),
]


@pytest.fixture(params=KINDS)
def machine(request, with_restic):
    # Paths of sockets are short, and whoever runs PostgreSQL has to get there.
    folder = Path(tempfile.mkdtemp(prefix="fleetform-b-"))
    folder.chmod(0o755)
    maker = KINDS[request.param](folder, with_restic)
    try:
        where = next(maker)
        if with_restic:
            shutil.copy(tools.tool("restic"), where.programs / "restic")
        yield where
        next(maker, None)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("with_restic", WITH)
def test_what_was_said_comes_back_as_it_was(machine, with_restic):
    with machine.runtime() as runtime:
        talked(runtime)
        before = held(runtime)
        backup = machine.pod("backup").run()
        assert backup.returncode == 0, backup.stdout + backup.stderr
        emptied(machine)
        drill = machine.pod("drill").run()
        assert drill.returncode == 0, drill.stdout + drill.stderr
        restore = machine.restore().run()
        assert restore.returncode == 0, restore.stdout + restore.stderr
        assert held(runtime) == before


def emptied(machine: Served) -> None:
    """Lose everything."""
    programs, password = machine.programs, PASSWORDS["store", "password"]
    port = str(machine.server.port)
    if machine.kind == "redis":
        words = ["redis-cli", "-p", port, "-a", password, "--no-auth-warning", "flushall"]
    else:
        lost = f"DROP SCHEMA {SCHEMA} CASCADE"
        words = ["psql", "-h", "127.0.0.1", "-p", port, "-U", "agent", "-d", "postgres", "-c", lost]
    subprocess.run(
        [programs / words[0], *words[1:]],
        check=True,
        capture_output=True,
        env={"PGPASSWORD": password},
    )


def broken(machine: Served, how: str) -> dict[str, str]:
    """Return what lets a dump leave the pod after something has happened to it, unseen."""
    file = {"redis": "dump.rdb", "postgres": "dump.pgc"}[machine.kind]
    hashed = f"sha256sum {file}"
    return {hashed: f"{how.format(file)}; {hashed}"}


def greeted(machine: Machine) -> None:
    """Say something in one session."""
    with machine.runtime() as runtime:
        asked(f"{runtime.url}/sessions", {"session_id": "s1"})
        asked(f"{runtime.url}/chat", {"session_id": "s1", "message": "hello"})


@pytest.fixture
def filled(machine):
    greeted(machine)
    return machine


@pytest.mark.proof
@pytest.mark.parametrize("with_restic", [False])
@pytest.mark.parametrize("how", ["truncate -s -40 {0}", "truncate -s 100 {0}", ": >{0}", "rm {0}; touch {0}"])  # fmt: skip
def test_a_broken_dump_is_neither_kept_nor_restored(filled, how):
    file = {"redis": "ask --rdb dump.rdb", "postgres": "--file=dump.pgc"}[filled.kind]
    cut = how.format(file.split()[-1].removeprefix("--file="))
    done = filled.pod("backup").run(**{file: f"{file}\n{cut}"})
    assert done.returncode != 0, done.stdout
    assert not (filled.folder / "backups/files").exists()
    assert filled.pod("backup").run(**broken(filled, how)).returncode == 0
    done = filled.pod("drill").run()
    assert done.returncode != 0, done.stdout


@pytest.mark.parametrize("with_restic", [False])
def test_a_byte_that_has_changed_on_the_way_fails_the_drill(filled):
    assert filled.pod("backup").run().returncode == 0
    assert filled.pod("drill").run().returncode == 0
    (file,) = (filled.folder / "backups/files").glob("dump.[rp]*")
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    done = filled.pod("drill").run()
    assert done.returncode != 0
    assert "FAILED" in done.stdout


@pytest.mark.parametrize("with_restic", [False])
def test_a_backup_of_nothing_fails_the_drill(filled):
    emptied(filled)
    assert filled.pod("backup").run().returncode == 0
    done = filled.pod("drill").run()
    assert done.returncode != 0
    assert "there was nothing in the backup" in done.stdout


@pytest.mark.parametrize("with_restic", [False])
def test_a_server_that_says_no_fails_the_backup(filled):
    filled.secrets["store", "password"] = "another one"
    done = filled.pod("backup").run()
    assert done.returncode != 0, done.stdout
    assert not (filled.folder / "backups/files").exists()


@pytest.mark.parametrize("with_restic", [False])
def test_rows_and_keys_that_do_not_come_back_fail_the_drill(filled):
    assert filled.pod("backup").run().returncode == 0
    lost = {
        # A server that reads its append-only files, and nothing else.
        "redis": {"[ -e dump.rdb ]": "[ -e nothing ]"},
        "postgres": {"dump.pgc\ntotal=0": f'dump.pgc\npsql -qc "DELETE FROM {SCHEMA}.sessions"\ntotal=0'},
    }[filled.kind]  # fmt: skip
    done = filled.pod("drill").run(**lost)
    assert done.returncode != 0, done.stdout
    assert "0 of " in done.stdout


@pytest.mark.proof
@pytest.mark.parametrize("with_restic", [True])
def test_a_wrong_password_neither_keeps_nor_fetches_and_makes_nothing_anew(filled):
    assert filled.pod("backup").run().returncode == 0
    filled.secrets["backup", "password"] = "another one"
    for name in ("backup", "drill"):
        done = filled.pod(name).run()
        assert done.returncode == 12, done.stdout  # as restic says that it is the password
    filled.secrets = dict(PASSWORDS)
    assert filled.pod("drill").run().returncode == 0


@pytest.mark.proof
@pytest.mark.parametrize("with_restic", [True])
def test_a_drill_before_the_first_backup_fails(filled):
    assert filled.pod("drill").run().returncode != 0


@pytest.mark.proof
@pytest.mark.parametrize("with_restic", [True])
def test_of_one_day_the_last_backup_is_kept_and_the_first_of_all(filled):
    for _ in range(4):
        assert filled.pod("backup").run().returncode == 0
    listed = subprocess.run(
        [filled.programs / "restic", "--no-cache", "snapshots", "--json"],
        env={
            "RESTIC_REPOSITORY": str(filled.folder / "backups/kept"),
            "RESTIC_PASSWORD": PASSWORDS["backup", "password"],
        },
        check=True,
        capture_output=True,
    )
    assert [item["hostname"] for item in json.loads(listed.stdout)] == ["kept", "kept"]
