"""The real command line, once per case in a process of its own, with what that process used and touched.

A helper is started once and forks for each case: importing would cost more than the case itself, and
a test's own process, with its threads, must not fork. The child reports every file that Python opens
and every socket that it makes (an audit hook sees them all); the kernel reports time and memory.
"""

import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PATIENCE = 300
"""Seconds after which a case is killed: it hangs."""
SECONDS = 1.0
"""Of the processor, for each case; only where time is judged."""
MEBIBYTES = 200
"""What each case may take."""
TIMED = bool(os.environ.get("FLEETFORM_DURABILITY"))
OUR_OWN = tuple(
    os.path.realpath(place) + os.sep
    for place in (sys.prefix, sys.base_prefix, Path(__file__).parents[2] / "generator")
)


@dataclass(frozen=True)
class Ended:
    """How a case ended: exit code (negative for a signal), output, and what it took and touched.

    `busy` are seconds of the processor.
    """

    code: int
    out: str
    err: str
    busy: float
    mebibytes: float
    opened: tuple[str, ...]
    sockets: tuple[str, ...]

    def within_bounds(self) -> None:
        """Fail when the case hung or took more than any bad input may; `make faults` looks at time, too."""
        assert "Traceback" not in self.err, self.err[-4000:]
        assert self.code >= 0, f"ended by signal {-self.code}"
        assert self.busy <= SECONDS or not TIMED
        assert self.mebibytes < MEBIBYTES
        assert self.sockets == ()


class Runner:
    """The helper, as the tests see it."""

    def __init__(self) -> None:
        self.helper = subprocess.Popen(
            [sys.executable, "-m", "tests.hostile.forked"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
            text=True,
        )

    def run(self, *arguments: str, cwd: Path, stdin: str = "", user: int = 0) -> Ended:
        """Run one command in a folder."""
        assert self.helper.stdin
        assert self.helper.stdout
        order = {"cwd": os.fspath(cwd), "arguments": arguments, "stdin": stdin, "user": user}
        print(json.dumps(order), file=self.helper.stdin, flush=True)
        answer = json.loads(self.helper.stdout.readline())
        return Ended(**{**answer, **{key: tuple(answer[key]) for key in ("opened", "sockets")}})


@contextmanager
def runner() -> Iterator[Runner]:
    """Start the helper, and end exactly it."""
    made = Runner()
    try:
        yield made
    finally:
        assert made.helper.stdin
        made.helper.stdin.close()
        made.helper.wait(PATIENCE)
        assert made.helper.stdout
        made.helper.stdout.close()


# -- the helper ----------------------------------------------------------------------------------


def _serve() -> None:
    _warm()
    for line in sys.stdin:
        print(json.dumps(_measured(json.loads(line))), flush=True)


def _warm() -> None:
    """Import what a run imports late: those are files of ours, and no cost of a case.

    A case that becomes another user may not be able to read them any more.
    """
    import difflib
    import ipaddress
    import pkgutil
    from importlib import import_module

    import jsonpatch
    import jsonschema
    import jsonschema_rs

    import fleetform
    from tests import fleet

    del difflib, ipaddress, jsonpatch, jsonschema, jsonschema_rs
    for module in pkgutil.walk_packages(fleetform.__path__, "fleetform."):
        if not module.name.endswith("__main__"):
            import_module(module.name)
    with tempfile.TemporaryDirectory() as folder:
        bad = fleet.AGENT.replace("endpoint", "endpiont").replace("name: helper", "name: [h]")
        fleet.write(Path(folder), {**fleet.GOOD, "bad/a.yaml": bad})
        fleet.fleetform("render", cwd=Path(folder))
        fleet.fleetform("render", "--agents", "bad", cwd=Path(folder))
        fleet.fleetform("validate", "agents", cwd=Path(folder))
    assert threading.active_count() == 1


def _measured(order: dict[str, Any]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        child = os.fork()
        if not child:
            _case(order, Path(folder))
        _, status, usage = os.wait4(child, 0)
        texts = {name: _text(Path(folder) / name) for name in ("out", "err", "opened", "sockets")}
    return {
        "code": os.waitstatus_to_exitcode(status),
        "out": texts["out"],
        "err": texts["err"],
        "busy": usage.ru_utime + usage.ru_stime,
        "mebibytes": usage.ru_maxrss / 1024,
        "opened": texts["opened"].splitlines(),
        "sockets": texts["sockets"].splitlines(),
    }


def _text(file: Path) -> str:
    return file.read_text("utf-8", "backslashreplace") if file.exists() else ""


def _case(order: dict[str, Any], folder: Path) -> None:
    """Become the command: its own streams, its own folder, and a watch on all that it opens."""
    from fleetform import cli

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.alarm(PATIENCE)
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(folder / name, os.O_CREAT | os.O_WRONLY), number)
    (folder / "in").write_text(order["stdin"])
    os.dup2(os.open(folder / "in", os.O_RDONLY), 0)
    logs = {
        name: os.open(folder / name, os.O_CREAT | os.O_WRONLY) for name in ("opened", "sockets")
    }
    os.chdir(order["cwd"])
    if order["user"]:
        os.setgroups([])
        os.setgid(order["user"])
        os.setuid(order["user"])
    sys.addaudithook(lambda event, found: _note(logs, event, found))
    code: Any = 99
    try:
        sys.argv = ["fleetform", *order["arguments"]]
        cli.main()
    except SystemExit as left:
        code = left.code or 0
    except BaseException:
        import traceback

        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 99)


def _note(logs: dict[str, int], event: str, found: Sequence[Any]) -> None:
    if event.startswith("socket."):
        os.write(logs["sockets"], f"{event} {found!r}\n".encode("utf-8", "backslashreplace"))
    elif event == "open" and not isinstance(found[0], int):
        name = os.path.realpath(os.fsdecode(found[0]))
        if not name.startswith(OUR_OWN):
            os.write(logs["opened"], f"{name}\n".encode("utf-8", "backslashreplace"))


if __name__ == "__main__":
    _serve()
