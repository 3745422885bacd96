"""Disks that are full, read-only or broken: files are old or new, the reason is said, and the next run heals."""

import builtins
import errno
import io
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fleetform import folder as disk
from fleetform.problems import SpecError
from fleetform.write import Output
from tests.durability import rendering
from tests.durability.rendering import LONG, Others, render, tree

OLD, NEW = range(10), range(2, 12)
LONGER = "New. " * 8_000
SIZES = range(40, 1200, 40) if LONG else (200, 420, 760)
"""Kilobytes that a disk still has: a run needs about two megabytes."""
FILES = range(16) if LONG else (1, 6)
"""Files that a disk still takes."""


@pytest.fixture(scope="module")
def states(tmp_path_factory) -> tuple[Path, Path, dict[str, bytes], dict[str, bytes]]:
    """Return two fleets, and what each is rendered to."""
    root = tmp_path_factory.mktemp("states")
    old = rendering.fleet(root / "old", "Old.", OLD)
    new = rendering.fleet(root / "new", LONGER, NEW)
    for cwd in (old, new):
        render("--out", cwd / "out", cwd=cwd)
    return old, new, tree(old / "out"), tree(new / "out")


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[Path]:
    """Mount a file system in memory."""
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"a file system of its own needs the right to mount: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def remount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", folder], check=True)


def used(folder: Path) -> tuple[int, int]:
    """Return kilobytes and files that a file system holds."""
    found = os.statvfs(folder)
    return (found.f_blocks - found.f_bfree) * found.f_frsize // 1024, found.f_files - found.f_ffree


@pytest.fixture
def memory(tmp_path) -> Iterator[Path]:
    with mounted(tmp_path / "disk", "size=64m,nr_inodes=9000") as folder:
        yield folder


LIMITS = [("size", size) for size in SIZES] + [("nr_inodes", count) for count in FILES]


def test_a_full_disk_leaves_whole_files_and_is_said(states, memory):
    old, new, before, after = states
    failed = 0
    for kind, left in LIMITS:
        out = memory / f"{kind}-{left}/out"
        render("--out", out, cwd=old)
        others = Others(out)
        kilobytes, files = used(memory)
        remount(
            memory, f"size={kilobytes + left}k" if kind == "size" else f"nr_inodes={files + left}"
        )
        # With whatever exit: some of these are enough.
        said = rendering.fleetform("render", "--out", str(out), cwd=new)
        assert said.code in (0, 1)
        if said.code:
            failed += 1
            assert "cannot be written: No space left on device" in said.err
            assert "hint: check space and permissions" in said.err
        found = {name: text for name, text in tree(out).items() if name not in others.names()}
        assert rendering.whole(found, before, after) == []
        assert rendering.record_is_whole(found)
        others.are_untouched()
        remount(memory, "size=64m,nr_inodes=9000")
        render("--out", out, cwd=new)
        found = {name: text for name, text in tree(out).items() if name not in others.names()}
        assert found == after
        others.are_untouched()
        shutil.rmtree(out.parent)
    assert failed >= len(LIMITS) // 2


def test_a_disk_that_is_read_only_stays_as_it_is(states, memory):
    old, new, before, _ = states
    out = memory / "out"
    render("--out", out, cwd=old)
    remount(memory, "ro")
    try:
        assert "cannot be written: Read-only file system" in render("--out", out, cwd=new, code=1)
        assert tree(out) == before
        render("--out", out, cwd=old)  # nothing to change, and so nothing is tried
        render("--out", out, "--check", cwd=old)
    finally:
        remount(memory, "rw")


# -- as somebody without rights --------------------------------------------------------------------

NOBODY = 65534


@pytest.fixture
def public() -> Iterator[Path]:
    """Return a folder that everybody reaches: those of pytest are root's own."""
    if os.geteuid():
        pytest.skip("becoming another user needs to be root")
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.parametrize(
    "place", ["", "rendered/prod", "rendered/prod/default", "charts/values/prod/default"]
)
def test_a_folder_that_is_read_only_stays_as_it_is(place, states, public, command):
    _, _, before, after = states
    rendering.fleet(public / "old", "Old.", OLD)
    rendering.fleet(public / "new", LONGER, NEW)
    out = public / "out"
    render("--out", out, cwd=public / "old")
    if place:
        for each in (out, *out.rglob("*")):
            os.chown(each, NOBODY, NOBODY)
        (out / place).chmod(0o555)
    done = command.run("render", "--out", str(out), cwd=public / "new", user=NOBODY)
    done.within_bounds()
    assert done.code == 1
    assert f"out/{place}" in done.err
    assert "error: cannot be written: Permission denied" in done.err
    found = tree(out)
    assert rendering.whole(found, before, after) == []
    if not place:
        assert found == before
    if place:
        (out / place).chmod(0o755)
        assert command.run("render", "--out", str(out), cwd=public / "new", user=NOBODY).code == 0
        assert tree(out) == after


def test_a_spec_that_may_not_be_read_is_said(states, public, command):
    root = rendering.fleet(public / "old", "Old.", OLD)
    (root / "agents/3.yaml").chmod(0o000)
    done = command.run("render", cwd=root, user=NOBODY)
    done.within_bounds()
    assert done.code == 1
    assert "agents/3.yaml: error: the file cannot be read: Permission denied" in done.err


# -- broken ----------------------------------------------------------------------------------------

CALLS = ("open", "replace", "unlink", "rmdir", "mkdir", "fstat", "stat", "dup")
ERRORS = ("EIO", "ENOSPC", "EROFS", "EDQUOT", "EACCES", "EMFILE", "ESTALE") if LONG else ("EIO",)
TEXTS = {f"{space}/{n}.yaml": f"n: {n}\n" for space in ("a", "b/c") for n in range(3)}
OTHER = {f"{space}/{n}.yaml": f"n: {n}0\n" for space in ("b/c", "d") for n in range(1, 4)}


class Broken:
    """A disk whose n-th call fails, whatever it is; `calls` are those so far."""

    def __init__(self, count: int, name: str) -> None:
        self.count, self.error, self.calls = count, OSError(getattr(errno, name), name), 0

    def __call__(self, real):
        def call(*arguments, **keywords):
            self.calls += 1
            if self.calls == self.count:
                raise self.error
            return real(*arguments, **keywords)

        return call

    def open(self, descriptor, mode):
        """Return a file of which half is written before it fails."""
        stream = builtins.open(descriptor, mode)  # noqa: PTH123, SIM115
        if mode != "wb":
            return stream
        broken = self

        class Half(io.BufferedIOBase):
            def write(self, data):
                broken.calls += 1
                if broken.calls == broken.count:
                    stream.write(data[: len(data) // 2])
                    raise broken.error
                return stream.write(data)

            def close(self):
                stream.close()
                super().close()

        return Half()


@pytest.mark.parametrize("name", ERRORS)
def test_any_call_of_the_disk_may_fail(name, tmp_path, monkeypatch):
    count = failed = 0
    while True:
        count += 1
        root = tmp_path / str(count)
        Output(root, "out").write(TEXTS)
        (root / "out/a/own.txt").write_text("mine")
        broken = Broken(count, name)
        with monkeypatch.context() as patched:
            for call in CALLS:
                patched.setattr(os, call, broken(getattr(os, call)))
            patched.setattr(disk, "open", broken.open, raising=False)
            try:
                Output(root, "out").write(OTHER)
            except SpecError as error:
                failed += 1
                said = [(item.code, bool(item.hint)) for item in error.problems]
                assert said in ([("not-written", True)], [("moved", True)])
        found = {
            name: text.decode()
            for name, text in tree(root / "out").items()
            if not name.startswith(".")
        }
        assert found.pop("a/own.txt") == "mine"
        for path, text in found.items():
            assert text in (TEXTS.get(path), OTHER.get(path)) or path.endswith(".fleetform-new")
        Output(root, "out").write(OTHER)
        found = {
            name: text.decode()
            for name, text in tree(root / "out").items()
            if not name.startswith(".")
        }
        assert found == {**OTHER, "a/own.txt": "mine"}
        if broken.calls < count:
            break
    assert failed > 30
