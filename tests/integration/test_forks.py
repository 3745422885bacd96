"""Work beside this process: the same results and problems as without, and never a process that is left.

Each case runs in an interpreter of its own: where threads run, as in a test runner, nothing is forked.
"""

import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fleetform import forks, kinds, pipeline, rules
from fleetform.forks import Beside
from fleetform.load import load
from fleetform.problems import SpecError
from fleetform.resolve.references import uses
from fleetform.tree import Map, Seq
from tests import generated
from tests.errors.cases import CASES as ERRORS
from tests.fleet import AGENT, API, write
from tests.golden.cases import CASES as GOLDEN
from tests.hostile.yaml_corpus import DOCUMENTS

ROOT = Path(__file__).parents[2]
MANY = forks.LEAST
PATIENCE = 60
"""Seconds after which a process that should have ended is said to be left."""
GENERATED = range(4)


def started(case: Callable[[], None], **how: Any) -> subprocess.Popen[str]:
    """Start a case in an interpreter of its own."""
    code = f"from tests.integration import test_forks; test_forks.{case.__name__}()"
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **how,
    )


def cores(count: int) -> None:
    """Say that this process may use some cores."""
    os.sched_getaffinity = lambda _: set(range(count))


def done_by(work: Callable[[], Any] = os.getpid, size: int = MANY) -> Any:
    """Return the result of work that may be done beside this process."""
    with Beside(work, size) as found:
        return found.result()


def left() -> bool:
    """Whether a child is left, running or not."""
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return False
    return True


def there_is_a_result() -> None:
    cores(2)
    assert done_by() != os.getpid()
    large = [("text", 1, True, None, "ü" * 1_000_000)] * 20
    assert done_by(lambda: large) == large
    assert not left()


def there_is_a_result_when_the_child_fails() -> None:
    cores(2)
    here = os.getpid()

    def killed() -> int:
        if os.getpid() != here:
            os.kill(os.getpid(), signal.SIGKILL)
        return here

    def raises() -> int:
        return here if os.getpid() == here else 1 // 0

    def unknown() -> Any:
        return here if os.getpid() == here else object()

    for work in (killed, raises, unknown):
        assert done_by(work) == here, work
    assert not left()


def an_error_is_raised_here() -> None:
    cores(2)

    def wrong() -> None:
        raise SpecError([])

    with pytest.raises(SpecError):
        done_by(wrong)
    assert not left()


def there_is_no_child_where_none_can_be() -> None:
    here, opened = os.getpid(), descriptors()
    cores(1)
    assert done_by() == here
    cores(2)
    assert done_by(size=MANY - 1) == here
    over = threading.Event()
    thread = threading.Thread(target=over.wait)
    thread.start()
    assert done_by() == here
    over.set()
    thread.join()
    assert done_by() != here
    fork, os.fork = os.fork, no_process
    assert done_by() == here
    os.fork, sys.platform = fork, "darwin"
    assert done_by() == here
    assert descriptors() == opened


def descriptors() -> set[str]:
    """Return the numbers of what is open."""
    return {path.name for path in Path("/proc/self/fd").iterdir()}


def no_process() -> int:
    raise BlockingIOError("no process is left")


def the_child_ends_with_the_block() -> None:
    cores(2)
    for error in (KeyboardInterrupt, ValueError):
        with pytest.raises(error), Beside(signal.pause, MANY):
            raise error
        assert not left()
    with Beside(signal.pause, MANY):
        pass
    assert not left()


def the_child_works_for_ever() -> None:
    # A shell ignores interrupts for what it starts in the background, and so would this process.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    cores(2)
    with Beside(signal.pause, MANY) as found:
        print(found._child, flush=True)
        found.result()


def fleets(folder: Path) -> list[tuple[Path, Path, str]]:
    """Return specs, environments and the name of one: all that has a message or a golden, and some by chance."""
    found = [
        (case / "spec.yaml", own if own.exists() else case.parent / "environment.yaml", "prod")
        for case in ERRORS
        if (own := case / "environment.yaml")
    ]
    found += [(case / "agents", case / "environments", "") for case in GOLDEN]
    for seed in GENERATED:
        root = write(folder / str(seed), generated.layered(seed))
        found.append((root / "agents", root / "environments", ""))
    return found


UNDECIDED = f"""{API}
kind: Environment
metadata: {{name: root}}
spec:
  abstract: true
  targets: [manifests, kustomize, helm]
  images: {{pins: {{fleetform/agent-runtime: {{tag: 1.0.0}}}}}}
"""
"""A rule says here of an agent that nobody has decided who may call it: it is not in the base."""
DECIDED = f"""{API}
kind: Environment
metadata: {{name: prod}}
spec:
  extends: root
  defaults: {{Agent: {{auth: {{type: none}}}}}}
"""
OPEN = AGENT.replace("  auth: {type: none}\n", "").replace("helper", "open")


def a_base_leaves_out_what_rules_refuse() -> None:
    children = forked()
    with tempfile.TemporaryDirectory() as folder:
        files = {"agents/a.yaml": AGENT, "agents/b.yaml": OPEN}
        environments = {"environments/r.yaml": UNDECIDED, "environments/p.yaml": DECIDED}
        root = write(Path(folder), files | environments)
        case = root / "agents", root / "environments", "prod"
        cores(1)
        alone = everything(*case)
        cores(2)
        assert everything(*case) == alone
        texts = alone["prod"][0]["kustomize/base"]
    assert "default/helper/resources.yaml" in texts
    assert "default/open/resources.yaml" not in texts
    assert children


def everything(specs: Path, environments: Path, name: str) -> Any:
    """Return the texts and problems of a fleet, for one of its environments or for all."""
    try:
        made = pipeline.render_all([specs], environments, [name] if name else [])
    except SpecError as error:
        return error.problems
    return {name: (rendering.folders, rendering.problems) for name, rendering in made.items()}


def forked() -> list[int]:
    """Let forks happen wherever they can, and return the children, to which each fork adds one."""
    forks.LEAST = 1
    children: list[int] = []
    fork = os.fork

    def noted() -> int:
        children.append(fork())
        return children[-1]

    os.fork = noted
    return children


def texts_and_problems_are_the_same() -> None:
    children = forked()
    with tempfile.TemporaryDirectory() as folder:
        for case in fleets(Path(folder)):
            cores(1)
            alone = everything(*case)
            cores(2)
            assert everything(*case) == alone, case
    assert len(children) > len(GOLDEN) + len(GENERATED)
    assert not left()


def test_rules_that_are_checked_beside_a_process_count_no_references(tmp_path):
    looked = 0
    for specs, environments, name in fleets(tmp_path):
        documents, spaces = pipeline.read([specs]).whole(), pipeline.read([environments]).whole()
        for one in [name] if name else pipeline.concrete(spaces):
            fleet, _ = pipeline.fleet_of(documents, spaces, one, "")
            if fleet is None or fleet.referred.said:
                continue
            used = {agent.key: uses(fleet, agent) for agent in fleet.of(kinds.AGENT)}
            before = fleet.referred.weight
            rules.problems(fleet, used)
            assert fleet.referred.weight == before, specs
            looked += 1
    assert looked > len(ERRORS) / 2


def every_node(node: Any) -> Any:
    """Return a tree with the type and all marks of every node."""
    if isinstance(node, Map):
        rows: Any = [(key, every_node(value)) for key, value in node.items()]
        return Map, type(node.mark), node.mark, rows, list(node.marks.items())
    if isinstance(node, Seq):
        return Seq, type(node.mark), node.mark, [*map(every_node, node)], node.marks
    return type(node), node


def trees_and_marks_are_the_same() -> None:
    children = forked()
    with tempfile.TemporaryDirectory() as folder:
        corpus = [content for content, _ in DOCUMENTS.values()]
        named = {f"{n:03}.yaml": content for n, content in enumerate(corpus)}
        # Read in this order, all but a few are read by the copy; and then all but a few are not.
        write(Path(folder) / "a", {f"0-{name}": "a: 1" for name in named} | named)
        write(Path(folder) / "b", {f"1-{name}": "a: 1" for name in named} | named)
        for place in (Path(folder) / "a", Path(folder) / "b", ROOT / "tests", ROOT / "agents"):
            cores(1)
            alone = load([place])
            cores(2)
            beside = load([place])
            assert beside.problems == alone.problems
            pairs = zip(beside.documents, alone.documents, strict=True)
            for mine, other in pairs:
                assert mine[:2] == other[:2]
                assert every_node(mine.tree) == every_node(other.tree)
    assert len(children) == 4


@pytest.mark.proof
@pytest.mark.parametrize(
    "case",
    [
        there_is_a_result,
        there_is_a_result_when_the_child_fails,
        an_error_is_raised_here,
        there_is_no_child_where_none_can_be,
        the_child_ends_with_the_block,
        texts_and_problems_are_the_same,
        a_base_leaves_out_what_rules_refuse,
        trees_and_marks_are_the_same,
    ],
    ids=lambda case: case.__name__,
)
def test_work_beside_a_process(case):
    process = started(case)
    out, err = process.communicate()
    assert (process.returncode, out, err) == (0, "", "")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_the_child_ends_with_its_parent_however_that_ends(how):
    parent = started(the_child_works_for_ever, start_new_session=True)
    with parent:
        child = os.pidfd_open(int(parent.stdout.readline()))
        parent.send_signal(how)
        ended, _, _ = select.select([child], [], [], PATIENCE)
        os.close(child)
        parent.wait(PATIENCE)
    assert ended


def test_an_interrupt_of_both_ends_both_without_a_word_of_the_child():
    parent = started(the_child_works_for_ever, start_new_session=True)
    with parent:
        child = os.pidfd_open(int(parent.stdout.readline()))
        os.killpg(parent.pid, signal.SIGINT)
        ended, _, _ = select.select([child], [], [], PATIENCE)
        os.close(child)
        _, err = parent.communicate()
    assert ended
    assert err.count("Traceback") == 1
