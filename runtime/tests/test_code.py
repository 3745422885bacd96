"""Code that a tool runs reaches nothing but itself, as a container's user below a container's filter."""

import asyncio
import json
import os
from pathlib import Path

import pytest

from fleetform_runtime.code import CodeError, Limits, jail, runner
from fleetform_runtime.code.runner import Runner
from runtime.tests.harness import serving
from runtime.tests.jailed import CANARY, in_a_pod

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(
        bool(runner.obstacle()), reason=f"needs Linux with Landlock on x86-64: {runner.obstacle()}"
    ),
]

HARMLESS = {
    "arguments": ("print(inputs['number'] + 1)", "8\n"),
    "the standard library": (
        (
            "import json, re, csv, math, statistics, datetime, decimal, fractions, collections, itertools, hashlib, "
            "zlib, random, uuid, string, textwrap, bisect, heapq, unicodedata, base64, io, functools\n"
            "print(json.dumps(sorted(re.findall('[a-z]+', 'b a'))), statistics.mean([1, 2]), zlib.crc32(b'x'))"
        ),
        '["a", "b"] 1.5 2363233923\n',
    ),
    "threads": (
        (
            "import threading, queue\nfound = queue.Queue()\n"
            "for n in range(4):\n    threading.Thread(target=found.put, args=(n,)).start()\n"
            "print(sum(found.get() for _ in range(4)))"
        ),
        "6\n",
    ),
    "files of its own": (
        (
            "import os, shutil\nos.makedirs('a/b')\nopen('a/b/c', 'w').write('text')\n"
            "shutil.copy('a/b/c', 'd')\nos.rename('d', 'a/e')\n"
            "print(open('a/e').read(), sorted(os.listdir('a')))\nos.remove('a/e')"
        ),
        "text ['b', 'e']\n",
    ),
    "a database of its own": (
        (
            "import sqlite3\nd = sqlite3.connect('x.db')\nd.execute('create table t(a)')\n"
            "d.execute('insert into t values (3)')\nd.commit()\nprint(d.execute('select a from t').fetchall())"
        ),
        "[(3,)]\n",
    ),
    "an event loop": ("import asyncio\nprint(asyncio.run(asyncio.sleep(0, 'done')))", None),
    "texts of the world": ("print('환불 ✓')", "환불 ✓\n"),
    "a normal end": ("import sys\nprint('a')\nsys.exit(0)", "a\n"),
}

CALL = "import ctypes, os\nc = ctypes.CDLL(None, use_errno=True)\n"


def called(text):
    """Return a program that makes a call of the C library, and is refused."""
    return f"{CALL}done = c.{text}\nassert done != -1, os.strerror(ctypes.get_errno())"


REFUSED = {
    "passwords": "open('/etc/passwd').read()",
    "the root": "import os; os.listdir('/')",
    "the runtime's configuration": "open('/etc/hostname').read()",
    "its own environment in /proc": "open('/proc/self/environ').read()",
    "the runtime's environment": "import os; open(f'/proc/{os.getppid()}/environ').read()",
    "the runtime's memory": "import os; open(f'/proc/{os.getppid()}/mem', 'rb').read()",
    "a file elsewhere": "open('/tmp/elsewhere', 'w')",
    "a file above": "open('../elsewhere', 'w')",
    "a file of others to remove": f"import os; os.remove('{CANARY}')",
    "a file of others to empty": f"import os; os.truncate('{CANARY}', 0)",
    "a file of others to move here": f"import os; os.rename('{CANARY}', 'mine')",
    "a link": "import os; os.symlink('/etc/passwd', 'l')",
    "a hard link": "import os; os.link('/etc/passwd', 'l')",
    "an owner": f"import os; os.chown('{CANARY}', 1, 1)",
    "a device": "import os; os.mknod('d', 0o20666, 0x103)",
    "a fifo": "import os; os.mkfifo('f')",
    "a child": "import os; os.fork()",
    "a child by the C library": called("fork()"),
    "a process of the standard library": "import multiprocessing as m; p = m.Process(target=print); p.start()",
    "a program": "import subprocess; subprocess.run(['/bin/true'])",
    "a program in its place": "import os; os.execv('/bin/true', ['true'])",
    "a shell": "import os; assert os.system('true') == 0, 'not permitted'",
    "IPv4": "import socket; socket.socket(socket.AF_INET)",
    "IPv6": "import socket; socket.socket(socket.AF_INET6)",
    "a datagram": "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
    "a raw socket": "import socket; socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)",
    "a netlink": "import socket; socket.socket(16, socket.SOCK_RAW, 0)",
    "a Unix socket": "import socket; socket.socket(socket.AF_UNIX)",
    "a pair of sockets": "import socket; socket.socketpair()",
    "a page": "import urllib.request; urllib.request.urlopen('http://127.0.0.1:1')",
    "a signal to the runtime": "import os; os.kill(os.getppid(), 0)",
    "a signal to all": "import os; os.kill(-1, 9)",
    "a signal by a thread of the runtime": CALL
    + "p = os.getppid()\nassert c.syscall(234, p, p, 0) == 0, 'not permitted'",
    "a signal by a descriptor": "import fcntl, os; r, w = os.pipe(); fcntl.fcntl(r, fcntl.F_SETOWN, os.getppid())",
    "another signal by a descriptor": "import fcntl, os; r, w = os.pipe(); fcntl.fcntl(r, 10, 9)",
    "a signal by ioctl": CALL
    + "p = ctypes.c_int(os.getppid())\nr, w = os.pipe()\nassert c.ioctl(r, 0x8901, ctypes.byref(p)) == 0, 'not permitted'",
    "a handle of the runtime": "import os; os.pidfd_open(os.getppid())",
    "limits of the runtime": "import os, resource; resource.prlimit(os.getppid(), resource.RLIMIT_CPU, (1, 1))",
    "limits of the runtime to read": "import os, resource; resource.prlimit(os.getppid(), resource.RLIMIT_CPU)",
    "more for itself": "import resource; resource.setrlimit(resource.RLIMIT_AS, (2**40, 2**40))",
    "the runtime's priority": "import os; os.setpriority(os.PRIO_PROCESS, os.getppid(), 19)",
    "the runtime's cores": "import os; os.sched_setaffinity(os.getppid(), {0})",
    "the runtime's trace": called("ptrace(16, os.getppid(), 0, 0)"),
    "the runtime's memory by a call": called("process_vm_readv(os.getppid(), 0, 0, 0, 0, 0)"),
    "another user": "import os; os.setuid(0)",
    "a session": "import os; os.setsid()",
    "a namespace": called("unshare(0x10000000)"),
    "a mount": called("mount(b'none', b'/tmp', b'tmpfs', 0, 0)"),
    "another root": "import os; os.chroot('.')",
    "shared memory": called("shmget(0, 4096, 0o1666)"),
    "a queue": called("msgget(1, 0o1666)"),
    "an anonymous file": "import os; os.memfd_create('m')",
    "a key": called("syscall(248, b'user', b'a', b'b', 1, -3)"),
    "bpf": called("syscall(321, 0, 0, 0)"),
    "io_uring": called("syscall(425, 1, 0)"),
    "a name of the kernel's": "open('/sys/kernel/mm/transparent_hugepage/enabled').read()",
}

STOPPED = {
    # Whoever looks first: a busy machine may notice the processor time before the clock.
    "a loop": ("while True: pass", "it took "),
    "a sleep": ("import time; time.sleep(100)", "longer than 1 s"),
    "a flood": ("while True: print('x' * 1000)", "printed more than 10000 bytes"),
    "a flood of errors": ("import sys\nwhile True: sys.stderr.write('x' * 1000)", "printed more"),
    "memory": ("x = 'a' * 10**9", "MemoryError"),
    "threads without end": (
        (
            "import threading, time\n"
            "while True: threading.Thread(target=time.sleep, args=(99,)).start()"
        ),
        "can't start new thread",
    ),
    "a large file": ("open('x', 'wb').write(b'x' * 10**8)", "File too large"),
    "many files": (
        "n = 0\nwhile True:\n    n += 1\n    open(str(n), 'wb').write(b'x' * 10**6)",
        "its files are more than",
    ),
    "empty files": ("n = 0\nwhile True:\n    n += 1\n    open(str(n), 'wb')", "its files are more"),
    "a deep folder": (
        "import os\nwhile True:\n    os.mkdir('d' * 100)\n    os.chdir('d' * 100)",
        "its files are more than",
    ),
    "a recursion": ("def f(): f()\nf()", "RecursionError"),
    "a crash": ("import ctypes; ctypes.string_at(0)", "stopped by signal 11"),
    "an error": ("print('so far')\n1 / 0", "ZeroDivisionError: division by zero"),
    "a mistake": ("def", "SyntaxError"),
    "an exit": ("import sys; sys.exit('no more')", "SystemExit: no more"),
    "many open files": ("f = [open(str(n), 'w') for n in range(100)]", "Too many open files"),
}


@pytest.fixture(scope="module")
def outcome():
    """Run every program once, one after the other, as the user of a pod."""
    programs = {name: program for name, (program, _) in {**HARMLESS, **STOPPED}.items()}
    programs |= REFUSED
    programs |= {
        "its environment": "import os; print(sorted(os.environ))",
        "a mode": f"import os; os.chmod('{CANARY}', 0)",
        "a mode by a descriptor": "import os; f = os.open('x', 65); os.fchmod(f, 0o4777)",
        "a time": f"import os; os.utime('{CANARY}', (1, 1))",
    }
    # Only what never ends is told to in time; the others have as much as a busy machine needs.
    timed = {
        name: (1 if "longer than" in STOPPED.get(name, ("", ""))[1] else 100, program)
        for name, program in programs.items()
    }
    return in_a_pod(timed, "python")


@pytest.mark.proof
def test_the_process_that_runs_code_is_as_before(outcome):
    assert outcome["obstacle"] == ""
    assert outcome["user"] == (10001 if os.geteuid() == 0 else os.geteuid())
    assert outcome["same"], "limits, priority, cores and folder of the runtime"
    assert outcome["left"] == [], "every folder is removed"
    assert outcome["canary"] == ["whole", 0o666, True]
    assert "a-secret-of-the-runtime" not in json.dumps(outcome["found"])


@pytest.mark.proof
@pytest.mark.parametrize("name", HARMLESS)
def test_what_is_harmless_runs(outcome, name):
    kind, text = outcome["found"][name]
    if name == "an event loop":  # which wants a pair of sockets
        assert kind == "failed"
        assert "PermissionError" in text
        return
    assert (kind, text) == ("printed", HARMLESS[name][1])


@pytest.mark.proof
@pytest.mark.parametrize("name", [name for name, program in REFUSED.items()])
def test_what_reaches_further_is_refused(outcome, name):
    kind, text = outcome["found"][name]
    assert kind == "failed"
    words = ("PermissionError", "Operation not permitted", "not permitted", "not allowed")
    words += ("Permission denied", "Function not implemented", "exceeds maximum limit")
    assert any(word in text for word in words), text


@pytest.mark.proof
@pytest.mark.parametrize("name", STOPPED)
def test_what_takes_too_much_is_stopped(outcome, name):
    kind, text = outcome["found"][name]
    assert kind == "failed"
    assert STOPPED[name][1] in text


@pytest.mark.proof
def test_the_environment_is_that_of_the_code_alone(outcome):
    kind, text = outcome["found"]["its environment"]
    assert kind == "printed"
    assert text == "['HOME', 'LANG', 'TMPDIR']\n"


@pytest.mark.proof
def test_what_was_printed_before_an_error_is_told(outcome):
    assert "It printed until then:\nso far" in outcome["found"]["an error"][1]


def test_nothing_is_allowed_twice_or_by_accident():
    numbers = [*jail._ALLOWED.values()]
    assert len(numbers) == len({*numbers})
    special = {jail._CLONE, jail._CLONE3, jail._FCNTL, jail._IOCTL, jail._LIMIT, jail._KILL_THREAD}
    assert not special & {*numbers}


@pytest.mark.parametrize("wall", ["landlock", "_enclose", "_silence"])
async def test_without_a_wall_no_code_runs(tmp_path, monkeypatch, wall):
    broken = tmp_path / "jail.py"
    text = Path(jail.__file__).read_text()
    refusing = f'def {wall}(*arguments):\n    raise OSError("no such wall")\n'
    if wall == "landlock":
        refusing = "def landlock():\n    return 0\n"
    broken.write_text(text.replace('if __name__ == "__main__"', f'{refusing}\n\nif __name__ == "__main__"'))  # fmt: skip
    monkeypatch.setattr(runner, "SCRIPT", str(broken))
    with pytest.raises(CodeError, match="cannot be locked in"):
        await Runner(Limits(5, 2**27, 1000)).run("print('it ran')", {})


async def test_runs_take_turns_and_a_cancelled_one_ends(tmp_path):
    it = Runner(Limits(60, 2**27, 1000))
    first = asyncio.create_task(it.run("import time; time.sleep(60)", {}))
    second = asyncio.create_task(it.run("print('second')", {}))
    await asyncio.sleep(0.3)
    assert not second.done()
    first.cancel()
    assert await second == "second\n"
    with pytest.raises(asyncio.CancelledError):
        await first


# -- an agent -------------------------------------------------------------------------------------

FIXED = {
    "type": "code",
    "name": "median",
    "description": "Returns a median.",
    "code": "import statistics\nprint(statistics.median(inputs['numbers']), inputs['unit'])",
    "parameters": [
        {"name": "numbers", "type": "array", "required": True, "items": {"type": "number"}},
        {"name": "unit", "type": "string", "default": "ms"},
    ],
}
FREE = {"type": "code", "name": "python", "description": "Computes.", "allowModelCode": True}


async def test_an_agent_runs_a_program_of_its_own():
    async with serving(tools=[FIXED]) as client:
        answer = await client.chat('call median {"numbers": [3, 1, 2]}')
        assert answer["output"].strip() == "median: 2 ms"
        answer = await client.chat('call median {"numbers": "x"}')
        assert "The arguments are invalid" in answer["output"]


async def test_a_model_writes_a_program_and_hears_what_is_wrong_with_it():
    async with serving(tools=[FREE]) as client:
        answer = await client.chat('call python {"code": "print(6 * 7)"}')
        assert "42" in answer["output"]
        answer = await client.chat('call python {"code": "print(6 * x)"}')
        assert "NameError: name 'x' is not defined" in answer["output"]
        answer = await client.chat('call python {"code": "pass"}')
        assert "The code printed nothing." in answer["output"]
