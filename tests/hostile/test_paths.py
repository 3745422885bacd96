"""Paths that lead elsewhere: in specs, on the command line and on disk; not a byte is read or written outside."""

import json
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from fleetform.load import load
from tests.fleet import AGENT, ENVIRONMENT, GOOD, snapshot, write

SECRET = "apiVersion: fleetform.dev/v1alpha1\nkind: Agent\nmetadata: {name: TOP-SECRET-WORD}\n"
WORD = "TOP-SECRET-WORD"

OWN = """apiVersion: fleetform.dev/v1alpha1
kind: MCPServer
metadata: {name: own}
spec:
  container:
    image: {repository: a/b, tag: "1"}
    ports: [{name: http, containerPort: 8080}]
    configFiles: {a.yaml: "x"}
    CONTAINER
  SPEC
"""

FIELDS = {
    "container.configFiles": ("..", ".", "...", "..a", "../a", "a/b", "/etc/passwd", "a\\b", "~", "a b"),
    "container.configDir": ("..", "../x", "/x/..", "/x/../etc", "~", "~/x", "x", "/x//y", "/./x", "C:\\x"),
    "container.workingDir": ("..", "/x/../y", "~", "x/y", "/a\\b"),
    "volumes[0].mountPath": (
        *("/", "//", "/.", "/..", "/x/../tmp", "//tmp", "/./tmp", "/tmp/", "/tmp/x", "/proc", "/proc/self", "/sys"),
        *("/dev", "/etc/fleetform", "/var/run/secrets/x", "/run/secrets", "~", "x", "/a:b", "/a\\b"),
    ),
    "volumes[0].subPath": ("..", "../x", "x/..", "x/../../y", "/etc", ".", "./x", "x:y"),
    "healthCheck.path": ("..", "x", "/../x", "/x/..", "//x", "/x y", "/x?y", "http://x/"),
    "expose.path": ("/../x", "//x", "/x/./y", "x", "~"),
}  # fmt: skip
"""Values of fields that are paths, all wrong; 66 of them."""

NAMES = (
    "..", ".", "../prod", "prod/..", "./prod", "/etc/passwd", "~", "~root", "a/b", "a\\b", "prod\n", "prod ",
    "PROD", "%2e%2e", "prod\u200b", "-",
)  # fmt: skip
"""Names of environments that are none."""


def spec(field: str, value: str) -> str:
    quoted = json.dumps(value)
    text = OWN
    if field.startswith("container."):
        name = field.partition(".")[2]
        made = f"{name}: {{{quoted}: x}}" if name == "configFiles" else f"{name}: {quoted}"
        if name == "configFiles":
            text = text.replace('    configFiles: {a.yaml: "x"}\n', "")
        return text.replace("CONTAINER", made).replace("  SPEC\n", "")
    part, _, name = field.partition(".")
    rest = {
        "volumes[0]": "volumes: [{name: v, emptyDir: 1Gi, mountPath: /v, subPath: s}]",
        "healthCheck": "healthCheck: {path: /health}",
        "expose": "expose: {host: a.example.com, path: /x}",
    }[part]
    before = {"mountPath": "/v", "subPath": "s"}.get(
        name, {"healthCheck": "/health", "expose": "/x"}.get(part, "")
    )
    changed = rest.replace(f"{name}: {before}", f"{name}: {quoted}")
    return text.replace("    CONTAINER\n", "").replace("SPEC", changed)


CASES = [(field, value) for field, values in FIELDS.items() for value in values]


def test_the_corpus_is_large_enough():
    assert len(CASES) + len(NAMES) + len(PLACES) >= 80


@pytest.mark.parametrize(("field", "value"), CASES)
def test_a_path_in_a_spec_means_what_it_says_or_is_refused(field, value, command, tmp_path):
    write(tmp_path, {**GOOD, "agents/own.yaml": spec(field, value)})
    before = snapshot(tmp_path)
    for arguments in (("render",), ("validate", "agents", "--env", "prod", "--format", "json")):
        done = command.run(*arguments, cwd=tmp_path)
        done.within_bounds()
        assert done.code == 1, done
    found = json.loads(done.out)
    assert any(item["path"].startswith(f"spec.{field}") for item in found), found
    assert snapshot(tmp_path) == before


def test_the_good_form_of_each_field_is_accepted(command, tmp_path):
    network = "  network: {gatewayNamespace: ingress}\n  expose: {type: Ingress, hosts: [{host: a.example.com}]}\n"
    files = {**GOOD, "environments/prod.yaml": ENVIRONMENT + network}
    for field, value in (
        ("container.configFiles", ".hidden"),
        ("container.configDir", "/srv/..a/conf.d"),
        ("container.workingDir", "/srv"),
        ("volumes[0].mountPath", "/var/run/x"),
        ("volumes[0].mountPath", "/dev/shm"),
        ("volumes[0].subPath", "a/..b/c"),
        ("healthCheck.path", "/v1/..a/~b.c/"),
        ("expose.path", "/agents/own"),
    ):
        write(tmp_path, {**files, "agents/own.yaml": spec(field, value)})
        done = command.run("render", cwd=tmp_path)
        assert done.code == 0, done.err


@pytest.mark.parametrize("name", NAMES)
def test_the_name_of_an_environment_is_no_path(name, command, tmp_path):
    write(tmp_path, {**GOOD, "environments/prod.yaml": ENVIRONMENT})
    before = snapshot(tmp_path)
    done = command.run("render", "--env", name, cwd=tmp_path)
    done.within_bounds()
    assert done.code == 1
    assert "there is no environment" in done.err
    assert snapshot(tmp_path) == before
    assert all(place.startswith(os.path.realpath(tmp_path)) for place in done.opened)


# -- what stands on disk -------------------------------------------------------------------------


def chain(folder: Path, length: int = 20) -> None:
    """Lead away over many links, the last of which leaves."""
    (folder / "link-0").symlink_to(folder.parent.parent / "outside/secret.yaml")
    for number in range(1, length):
        (folder / f"link-{number}").symlink_to(f"link-{number - 1}")
    (folder / "bad.yaml").symlink_to(f"link-{length - 1}")


def unix_socket(file: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        here = Path.cwd()
        os.chdir(file.parent)  # a socket's path has at most 107 bytes
        try:
            made.bind(file.name)
        finally:
            os.chdir(here)


PLACES: dict[str, Callable[[Path], object]] = {
    "a link to a file outside": lambda f: (f / "bad.yaml").symlink_to("../../outside/secret.yaml"),
    "an absolute link": lambda f: (f / "bad.yaml").symlink_to(
        f.parent.parent / "outside/secret.yaml"
    ),
    "a link to a folder outside": lambda f: (f / "team").symlink_to("../../outside"),
    "a link without an ending": lambda f: (f / "team").symlink_to("../../outside/secret.yaml"),
    "a chain of links": chain,
    "a link beside the folder": lambda f: (f / "bad.yaml").symlink_to("../agents-old/secret.yaml"),
    "a link to the root": lambda f: (f / "team").symlink_to("/"),
    "a link to this machine's users": lambda f: (f / "bad.yaml").symlink_to("/etc/passwd"),
    "a link to our own memory": lambda f: (f / "bad.yaml").symlink_to("/proc/self/environ"),
    "a link to our own folder": lambda f: (f / "bad.yaml").symlink_to("/proc/self/cwd"),
    "a link to an open file": lambda f: (f / "bad.yaml").symlink_to("/proc/self/fd/0"),
    "a link to endless zeros": lambda f: (f / "bad.yaml").symlink_to("/dev/zero"),
    "a link to endless chance": lambda f: (f / "bad.yaml").symlink_to("/dev/urandom"),
    "a link to the terminal": lambda f: (f / "bad.yaml").symlink_to("/dev/tty"),
    "a link to standard input": lambda f: (f / "bad.yaml").symlink_to("/dev/stdin"),
    "a FIFO": lambda f: os.mkfifo(f / "bad.yaml"),
    "a socket": lambda f: unix_socket(f / "bad.yaml"),
    "a link in a circle": lambda f: (f / "bad.yaml").symlink_to("bad.yaml"),
    "a folder that ends in yaml": lambda f: (f / "bad.yaml").mkdir(),
}


@pytest.mark.parametrize("make", PLACES.values(), ids=PLACES)
def test_nothing_outside_the_folders_that_were_named_is_read(make, command, tmp_path):
    write(tmp_path, {"outside/secret.yaml": SECRET, "repo/agents-old/secret.yaml": SECRET})
    repo = write(tmp_path / "repo", {"environments/prod.yaml": ENVIRONMENT})
    (repo / "agents").mkdir()
    make(repo / "agents")
    before = snapshot_of_files(tmp_path)
    for arguments in (("validate", "agents"), ("render",), ("list",)):
        done = command.run(*arguments, cwd=repo, stdin=SECRET)
        done.within_bounds()
        assert done.code == 1, done
        assert WORD not in done.out + done.err
        assert "root:" not in done.err
    assert snapshot_of_files(tmp_path) == before


def snapshot_of_files(folder: Path) -> dict[str, bytes]:
    """Return regular files only: a FIFO would wait for a writer."""
    return {
        str(path): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }


def test_links_between_folders_that_were_named_are_followed(command, tmp_path):
    write(tmp_path, {"team/a.yaml": AGENT, "environments/prod.yaml": ENVIRONMENT})
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents/team").symlink_to("../team")
    assert command.run("validate", "agents", cwd=tmp_path).code == 1
    done = command.run("render", "--agents", "agents", "--agents", "team", cwd=tmp_path)
    assert done.code == 0, done.err


def test_a_file_that_becomes_a_link_while_it_is_read_gives_nothing_away(tmp_path):
    """A link is swapped in and out as fast as it goes: what is read is one of ours, or refused."""
    write(tmp_path, {"outside/secret.yaml": SECRET, "agents/own.txt": AGENT})
    file, ended = tmp_path / "agents/a.yaml", threading.Event()
    file.symlink_to("own.txt")

    def swap() -> None:
        spare = tmp_path / "spare"
        while not ended.is_set():
            for target in (tmp_path / "outside/secret.yaml", "own.txt"):
                spare.symlink_to(target)
                spare.replace(file)

    swapper = threading.Thread(target=swap)
    swapper.start()
    try:
        seen = {True: 0, False: 0}
        for _ in range(2000):
            loaded = load([tmp_path / "agents"])
            assert not any(
                document.tree["metadata"]["name"] == WORD for document in loaded.documents
            )
            seen[bool(loaded.problems)] += 1
    finally:
        ended.set()
        swapper.join()
    assert seen[True]
    assert seen[False]
