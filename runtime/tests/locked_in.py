"""Runs programs as a pod would: as another user, without new privileges, below a filter like containerd's.

A script of its own: `python locked_in.py FOLDER ENGINE < programs`, where FOLDER has a copy of the package `code`, and
of what the engine needs, and each program comes with its seconds. It prints a document with what each program gave, and what became of the process that ran
them.
"""

import asyncio
import ctypes
import json
import os
import resource
import struct
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

sys.path.insert(0, sys.argv[1])
from fleetform_runtime.code import CodeError, Limits, jail, monty, runner

ENGINES = {
    "python": SimpleNamespace(made=runner.Runner, obstacle=runner.obstacle),
    "monty": SimpleNamespace(made=monty.Monty, obstacle=monty.obstacle),
}
"""Those that run here; pods of the third are made by somebody else."""
USER = 10001
REFUSED = (
    155, 161, 163, 164, 165, 166, 167, 168, 169, 172, 173, 174, 175, 176, 177, 178, 179, 180, 212, 227, 237, 238, 239,
    246, 248, 249, 250, 256, 272, 279, 298, 304, 305, 308, 312, 313, 320, 321, 323, 425, 426, 427,
)  # fmt: skip
"""What containerd's default refuses to who has no capability: mounts, namespaces, modules, keys, bpf, io_uring, …"""
_NAMESPACES = 0x7E020080


def below_a_filter() -> None:
    """Install what stands around every container, before anything else."""
    step = jail._step
    steps = [step(jail._LOAD, 0)]
    for number in REFUSED:
        steps += [step(jail._EQUAL, number, 0, 1), step(jail._RETURN, jail._EPERM)]
    steps += [step(jail._EQUAL, jail._CLONE3, 0, 1), step(jail._RETURN, jail._ENOSYS)]
    steps += [step(jail._EQUAL, jail._CLONE, 0, 3), step(jail._LOAD, 16)]
    steps += [step(jail._ANY_OF, _NAMESPACES, 0, 1), step(jail._RETURN, jail._EPERM)]
    steps.append(step(jail._RETURN, jail._ALLOW))
    program = b"".join(steps)
    buffer = ctypes.create_string_buffer(program, len(program))
    head = struct.pack("=HxxxxxxQ", len(program) // 8, ctypes.addressof(buffer))
    jail._prctl(38, 1)
    jail._prctl(22, 2, ctypes.create_string_buffer(head, len(head)))


def state() -> list[object]:
    """Return what a program might have changed of this process."""
    limits = [resource.getrlimit(number) for number in range(16)]
    return [
        limits,
        os.getpriority(os.PRIO_PROCESS, 0),
        sorted(os.sched_getaffinity(0)),
        str(Path.cwd()),
    ]


async def main() -> None:
    programs = json.load(sys.stdin)
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(USER, USER, USER)
        os.setresuid(USER, USER, USER)
    below_a_filter()
    before = state()
    os.environ["CANARY"] = "a-secret-of-the-runtime"
    found, engine = {}, ENGINES[sys.argv[2]]
    for name, (seconds, program) in programs.items():
        running = engine.made(Limits(seconds, 128 * 1024 * 1024, 10_000))
        try:
            found[name] = ["printed", await running.run(program, {"number": 7})]
        except CodeError as error:
            found[name] = ["failed", str(error)]
        finally:
            await running.close()
    left = [str(place) for place in Path(tempfile.gettempdir()).glob("code-*")]
    told = {"obstacle": engine.obstacle(), "user": os.geteuid(), "found": found}
    json.dump({**told, "same": state() == before, "left": left}, sys.stdout)


asyncio.run(main())
