"""Programs in an interpreter of a part of Python: what runs, what is refused, and which engine is taken where."""

import asyncio
import json
import os
import subprocess
import sys
import time

import pytest

from fleetform_runtime.check import problems
from fleetform_runtime.code import CodeError, Limits, engines, monty, runner
from fleetform_runtime.code.monty import Monty
from fleetform_runtime.secrets import Secrets
from runtime.tests.harness import serving, settings
from runtime.tests.jailed import in_a_pod
from runtime.tests.test_code import REFUSED

pytestmark = pytest.mark.anyio

RUNS = {
    "arguments": ("print(inputs['number'] + 1)", "8\n"),
    "its library": (
        (
            "import json, math, re, datetime, collections\n"
            "print(json.dumps(sorted(re.findall('[a-z]+', 'b a'))), math.sqrt(16), collections.Counter('aab')['a'])"
        ),
        '["a", "b"] 4.0 2\n',
    ),
    "a class": ("class A:\n    def f(self): return 3\nprint(A().f())", "3\n"),
    "texts of the world": ("print('환불 ✓')", "환불 ✓\n"),
}
STOPPED = {
    "a loop": ("while True: pass", "longer than 1 s"),
    "a flood": ("while True: print('x' * 1000)", "printed more than 10000 bytes"),
    "memory": ("x = [0] * 10**9", "MemoryError"),
    "a recursion": ("def f(): f()\nf()", "RecursionError"),
    "a large number": ("print(7 ** (10 ** 9) > 1)", "MemoryError"),
    "an error": ("print('so far')\n1 / 0", "ZeroDivisionError: division by zero"),
    "a mistake": ("def", "SyntaxError"),
    "another module": ("import statistics", "No module named 'statistics'"),
}
OTHERS = {
    "a library to install": "# /// script\n# dependencies = ['six']\n# ///\nimport six",
    "a way by classes": "print(().__class__.__base__.__subclasses__())",
    "its environment": "import os\nprint(os.environ)",
}


@pytest.fixture(scope="module")
def outcome():
    programs = {name: (100, program) for name, (program, _) in RUNS.items()}
    programs |= {name: (1, program) for name, (program, _) in STOPPED.items()}
    programs |= {name: (100, program) for name, program in REFUSED.items()}
    programs |= {name: (100, program) for name, program in OTHERS.items()}
    programs["a variable"] = (100, "import os\nprint(os.getenv('CANARY'))")
    return in_a_pod(programs, "monty")


@pytest.mark.proof
def test_the_process_that_runs_code_is_as_before(outcome):
    assert outcome["obstacle"] == ""
    assert outcome["user"] == (10001 if os.geteuid() == 0 else os.geteuid())
    assert outcome["same"]
    assert outcome["canary"] == ["whole", 0o666, True]
    assert "a-secret-of-the-runtime" not in json.dumps(outcome["found"])


@pytest.mark.proof
@pytest.mark.parametrize("name", RUNS)
def test_what_is_harmless_runs(outcome, name):
    assert outcome["found"][name] == ["printed", RUNS[name][1]]


@pytest.mark.proof
@pytest.mark.parametrize("name", [*REFUSED, *OTHERS])
def test_what_reaches_further_is_refused(outcome, name):
    assert outcome["found"][name][0] == "failed"


@pytest.mark.proof
@pytest.mark.parametrize("name", STOPPED)
def test_what_takes_too_much_is_stopped(outcome, name):
    kind, text = outcome["found"][name]
    assert kind == "failed"
    assert STOPPED[name][1] in text


@pytest.mark.proof
def test_what_was_printed_before_an_error_is_told(outcome):
    assert "It printed until then:\nso far" in outcome["found"]["an error"][1]


async def test_runs_take_turns_share_nothing_and_a_cancelled_one_ends():
    it = Monty(Limits(60, 2**27, 1000))
    first = asyncio.create_task(it.run("kept = 1\nwhile True: pass", {}))
    second = asyncio.create_task(it.run("print('second')", {}))
    await asyncio.sleep(0.3)
    assert not second.done()
    first.cancel()
    assert await second == "second\n"
    with pytest.raises(asyncio.CancelledError):
        await first
    with pytest.raises(CodeError, match="NameError"):
        await it.run("print(kept)", {})
    await it.close()


@pytest.mark.proof
@pytest.mark.parametrize("program", ["print(1)", "while True: print('x' * 1000)"])
def test_a_process_that_ran_code_ends_as_any_other(program):
    script = (
        "import asyncio\n"
        "from contextlib import suppress\n"
        "from fleetform_runtime.code import CodeError, Limits, monty\n"
        "async def main():\n"
        "    with suppress(CodeError):\n"
        f"        await monty.Monty(Limits(1, 2**27, 1000)).run({program!r}, {{}})\n"
        "asyncio.run(main())\n"
    )
    for _ in range(12):
        assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


async def test_a_run_that_is_cancelled_at_once_ends():
    it = Monty(Limits(60, 2**27, 1000))
    for turns in range(4):
        work = asyncio.create_task(it.run("while True: pass", {}))
        for _ in range(turns):
            await asyncio.sleep(0)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
    assert await it.run("print('next')", {}) == "next\n"
    await it.close()


@pytest.mark.timed
async def test_the_loop_goes_on_meanwhile():
    it = Monty(Limits(60, 2**27, 1000))
    work = asyncio.create_task(it.run("n = 0\nwhile n < 3000000: n += 1\nprint(n)", {}))
    worst = 0.0
    while not work.done():
        began = time.perf_counter()
        await asyncio.sleep(0.001)
        worst = max(worst, time.perf_counter() - began)
    assert await work == "3000000\n"
    assert worst < 0.05
    await it.close()


TOOL = {"type": "code", "name": "python", "description": "Computes.", "allowModelCode": True}


async def test_an_agent_runs_what_a_model_writes():
    async with serving(tools=[TOOL | {"engine": "monty"}]) as client:
        answer = await client.chat('call python {"code": "print(6 * 7)"}')
        assert "42" in answer["output"]
        answer = await client.chat('call python {"code": "import statistics"}')
        assert "No module named 'statistics'" in answer["output"]


NOWHERE = "nowhere to lock it in"


@pytest.mark.parametrize(
    ("engine", "python", "other", "taken", "why"),
    [
        ("auto", "", "", "python", ""),
        ("auto", NOWHERE, "", "monty", ""),
        ("auto", NOWHERE, "none", "python", f"python: {NOWHERE}; monty: none"),
        ("python", NOWHERE, "", "python", NOWHERE),
        ("monty", "", "none", "monty", "none"),
    ],
)
def test_code_runs_locked_in_or_not_at_all(
    monkeypatch, engine, python, other, taken, why, tmp_path
):
    ways = {
        "python": engines.Way(lambda: python, runner.Runner),
        "monty": engines.Way(lambda: other, Monty),
    }
    monkeypatch.setattr(engines, "WAYS", ways)
    assert engines.chosen(engine) == taken
    assert engines.obstacle(engine) == why
    (tmp_path / "system.md").write_text("hi")
    found = problems(settings(tools=[TOOL | {"engine": engine}]), tmp_path, Secrets())
    told = [line for line in found if "tools" in line]
    assert told == ([f"$.tools[0]: code cannot be locked in here: {why}"] if why else [])


def test_an_image_without_the_extra_says_so(monkeypatch):
    monkeypatch.setattr(monty, "MODULE", "not_there_at_all")
    assert monty.obstacle() == "this image lacks the extra monty"
