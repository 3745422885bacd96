"""The process that runs code: it locks itself in, and then executes what its standard input says.

It is started as a script of its own, with nothing of the runtime: `python -I -S -B jail.py`. What the code can reach
afterwards is Python's standard library to read, a folder to work in, and its own standard streams. Three walls stand
in its way, each enough by itself for most of what it might try:

- Landlock: no file outside of the folder and of the library, no TCP port, no signal to another process;
- a list of system calls, beside which there are none: no process, no program, no socket, no look at another process,
  nothing that changes an owner, a mode, a limit or a priority. The calls that remain are held to this process and to
  harmless commands where their arguments decide;
- limits of memory, of processor time, and of the size of a file.

Nothing here may need a package, and everything that may fail does so before the code runs: a wall that cannot be
built ends the process. docs/adr/0022-code-in-a-jail.md says why it looks like this.
"""

import ctypes
import json
import os
import resource
import struct
import sys
import traceback

WALL = 3
"""Exit code of a process that could not lock itself in."""
FAILED = 1
"""Exit code of code that ended with an error; its traceback is on standard error."""

_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.syscall.restype = ctypes.c_long

# -- files: Landlock ---------------------------------------------------------------------------------

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_EXECUTE, _WRITE, _READ, _LIST, _REMOVE_FOLDER, _REMOVE_FILE = (1 << bit for bit in range(6))
_MAKE_FOLDER, _MAKE_FILE, _MOVE, _TRUNCATE = 1 << 7, 1 << 8, 1 << 13, 1 << 14
_KNOWN_FILES = {1: 13, 2: 14, 3: 15, 4: 15}
"""Rights that each version of Landlock knows; all since know 16."""
_WORK = _WRITE | _READ | _LIST | _REMOVE_FOLDER | _REMOVE_FILE | _MAKE_FOLDER | _MAKE_FILE | _MOVE | _TRUNCATE  # fmt: skip
_LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/share/zoneinfo")
_FILES = ("/etc/ld.so.cache", "/etc/localtime", "/dev/urandom", "/dev/random", "/dev/zero")


def landlock() -> int:
    """Return the version of Landlock that the kernel has, 0 if it has none or does not use it."""
    return int(max(_LIBC.syscall(_CREATE_RULESET, None, 0, 1), 0))


def _enclose(work: str, version: int) -> None:
    rights = (1 << _KNOWN_FILES.get(version, 16)) - 1
    handled = struct.pack("=Q", rights)
    if version >= 4:
        handled += struct.pack("=Q", 0b11)  # no TCP port is bound or connected to
    if version >= 6:
        handled += struct.pack("=Q", 0b11)  # no abstract socket, no signal to others
    rules = _called(_CREATE_RULESET, handled, len(handled), 0)
    library = os.__file__.rpartition("/")[0]
    for place in (*_LIBRARIES, library):
        _allow(rules, place, (_READ | _LIST) & rights)
    for place in _FILES:
        _allow(rules, place, _READ)
    _allow(rules, "/dev/null", (_READ | _WRITE | _TRUNCATE) & rights)
    _allow(rules, work, _WORK & rights)
    _called(_RESTRICT_SELF, rules, 0)
    os.close(rules)


def _allow(rules: int, place: str, rights: int) -> None:
    try:
        descriptor = os.open(place, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    _called(_ADD_RULE, rules, 1, struct.pack("=Qi", rights, descriptor), 0)
    os.close(descriptor)


def _called(number: int, *arguments: object) -> int:
    words = [ctypes.c_long(word) if isinstance(word, int) else word for word in arguments]
    done = _LIBC.syscall(number, *words)
    if done < 0:
        raise OSError(ctypes.get_errno(), f"system call {number}")
    return int(done)


# -- system calls: seccomp ---------------------------------------------------------------------------

_X86_64 = 0xC000003E
_ALLOWED = {
    "read": 0, "write": 1, "open": 2, "close": 3, "stat": 4, "fstat": 5, "lstat": 6, "poll": 7, "lseek": 8,
    "mmap": 9, "mprotect": 10, "munmap": 11, "brk": 12, "rt_sigaction": 13, "rt_sigprocmask": 14,
    "rt_sigreturn": 15, "pread64": 17, "pwrite64": 18, "readv": 19, "writev": 20, "access": 21, "pipe": 22,
    "select": 23, "sched_yield": 24, "mremap": 25, "madvise": 28, "dup": 32, "dup2": 33, "nanosleep": 35,
    "getpid": 39, "exit": 60, "uname": 63, "flock": 73, "fsync": 74, "fdatasync": 75,
    "ftruncate": 77, "getdents": 78, "getcwd": 79, "chdir": 80, "fchdir": 81, "rename": 82, "mkdir": 83,
    "rmdir": 84, "creat": 85, "unlink": 87, "readlink": 89, "umask": 95, "gettimeofday": 96, "getrlimit": 97,
    "getrusage": 98, "sysinfo": 99, "times": 100, "getuid": 102, "getgid": 104, "geteuid": 107, "getegid": 108,
    "getppid": 110, "getpgrp": 111, "getgroups": 115, "sigaltstack": 131, "gettid": 186, "time": 201, "futex": 202,
    "sched_getaffinity": 204, "getdents64": 217, "set_tid_address": 218, "restart_syscall": 219, "fadvise64": 221,
    "clock_gettime": 228, "clock_getres": 229, "clock_nanosleep": 230, "exit_group": 231, "epoll_wait": 232,
    "epoll_ctl": 233, "openat": 257, "mkdirat": 258, "newfstatat": 262, "unlinkat": 263, "renameat": 264,
    "readlinkat": 267, "faccessat": 269, "pselect6": 270, "ppoll": 271, "set_robust_list": 273, "epoll_pwait": 281,
    "fallocate": 285, "eventfd2": 290, "epoll_create1": 291, "dup3": 292, "pipe2": 293, "preadv": 295, "pwritev": 296,
    "renameat2": 316, "getrandom": 318, "membarrier": 324, "copy_file_range": 326, "statx": 332, "rseq": 334,
    "faccessat2": 439, "futex_waitv": 449,
}  # fmt: skip
"""All of them work on what the process has: its memory, its time, its descriptors, and files that Landlock opens.

`truncate` takes a path, which Landlock knows only since its third version: descriptors are truncated by `ftruncate`.
"""
_CLONE, _CLONE3, _FCNTL, _IOCTL, _LIMIT, _KILL_THREAD = 56, 435, 72, 16, 302, 234
_THREAD = 0x10000
_NAMESPACES = 0x7E020080
_COMMANDS = (0, 1, 2, 3, 4, 5, 6, 7, 36, 37, 38, 1030)
"""Of fcntl: duplicates, flags and locks; those that say which process gets a signal are not among them."""
_ALLOW, _KILL = 0x7FFF0000, 0x80000000
_EPERM, _ENOTTY, _ENOSYS = (0x00050000 | number for number in (1, 25, 38))
_DONE = 0x00050000
_ANSWERED = (
    # As if there were none: libraries know what to do then.
    (_CLONE3, _ENOSYS),
    (_IOCTL, _ENOTTY),
    # As if it were done, modes and times of files: copies set them, and Landlock does not know whose they are.
    *((number, _DONE) for number in (90, 91, 268, 280, 452)),
)
_LOAD, _EQUAL, _ABOVE, _ANY_OF, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16


def _step(code: int, value: int, then: int = 0, otherwise: int = 0) -> bytes:
    return struct.pack("=HBBI", code, then, otherwise, value)


def _filter(own: int) -> bytes:
    """Return the program that the kernel runs at each system call of a process with this number."""
    first, second = _ARGUMENTS, _ARGUMENTS + 8
    steps = [
        _step(_LOAD, _ARCHITECTURE),
        _step(_EQUAL, _X86_64, 1, 0),
        _step(_RETURN, _KILL),
        _step(_LOAD, _NUMBER),
        _step(_ABOVE, 0x40000000, 0, 1),  # the calls of x32
        _step(_RETURN, _KILL),
    ]
    for number in _ALLOWED.values():
        steps += [_step(_EQUAL, number, 0, 1), _step(_RETURN, _ALLOW)]
    for number, answer in _ANSWERED:
        steps += [_step(_EQUAL, number, 0, 1), _step(_RETURN, answer)]
    threads = [
        _step(_LOAD, first),
        _step(_ANY_OF, _NAMESPACES, 2, 0),
        _step(_ANY_OF, _THREAD, 0, 1),
        _step(_RETURN, _ALLOW),
        _step(_RETURN, _EPERM),
    ]
    own_limits = [
        _step(_LOAD, first),
        _step(_EQUAL, 0, 0, 3),
        _step(_LOAD, first + 4),
        _step(_EQUAL, 0, 0, 1),
        _step(_RETURN, _ALLOW),
        _step(_RETURN, _EPERM),
    ]
    own_threads = [
        _step(_LOAD, first),
        _step(_EQUAL, own, 0, 1),
        _step(_RETURN, _ALLOW),
        _step(_RETURN, _EPERM),
    ]
    commands = [_step(_LOAD, second)]
    for command in _COMMANDS:
        commands += [_step(_EQUAL, command, 0, 1), _step(_RETURN, _ALLOW)]
    commands.append(_step(_RETURN, _EPERM))
    for number, block in (
        (_CLONE, threads),
        (_LIMIT, own_limits),
        (_KILL_THREAD, own_threads),
        (_FCNTL, commands),
    ):
        steps += [_step(_EQUAL, number, 0, len(block)), *block]
    steps.append(_step(_RETURN, _EPERM))
    return b"".join(steps)


def _silence() -> None:
    program = _filter(os.getpid())
    buffer = ctypes.create_string_buffer(program, len(program))
    head = struct.pack("=HxxxxxxQ", len(program) // 8, ctypes.addressof(buffer))
    _prctl(22, 2, ctypes.create_string_buffer(head, len(head)))


def _prctl(option: int, value: int, pointer: object = None) -> None:
    zero = ctypes.c_ulong(0)
    if _LIBC.prctl(option, ctypes.c_ulong(value), pointer or zero, zero, zero) != 0:
        raise OSError(ctypes.get_errno(), f"prctl {option}")


# -- the process -------------------------------------------------------------------------------------


SANDBOXED = "--in-a-sandbox"
"""Argument of a process in a pod that is wall enough: it has the limits alone."""


def lock(work: str, memory: int, seconds: int, file: int) -> None:
    """Build the walls; raises OSError if one of them cannot be built."""
    version = landlock()
    if version < 1:
        raise OSError("the kernel has no Landlock")
    limit(work, memory, seconds, file)
    _enclose(work, version)
    _silence()


def limit(work: str, memory: int, seconds: int, file: int) -> None:
    """Set the limits of this process; raises OSError if one of them cannot be set."""
    os.chdir(work)
    os.closerange(3, 1024)
    _prctl(1, 9)  # dies with who started it
    _prctl(38, 1)  # no new privileges
    os.nice(10)  # answers of the agent go first
    for kind, most in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_FSIZE, file),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 64),
    ):
        resource.setrlimit(kind, (most, most))


def main() -> int:
    """Lock in, and run what standard input says; the exit code is 0 when the code came to its end."""
    asked = json.load(sys.stdin.buffer)
    begin = limit if sys.argv[1:] == [SANDBOXED] else lock
    try:
        begin(asked["work"], asked["memory"], asked["seconds"], asked["file"])
    except OSError as error:
        sys.stderr.write(f"{error}\n")
        return WALL
    names = {"__name__": "__main__", "inputs": asked["inputs"]}
    try:
        exec(compile(asked["code"], "code", "exec"), names)  # noqa: S102 - what all of this is for
    except SystemExit as ended:
        if ended.code:
            sys.stderr.write(f"SystemExit: {ended.code}\n")
        return FAILED if ended.code else 0
    except BaseException as error:
        told = traceback.TracebackException.from_exception(error, compact=True)
        told.stack = traceback.StackSummary.from_list(
            frame for frame in told.stack if frame.filename != __file__
        )
        sys.stderr.write("".join(told.format()))
        return FAILED
    return 0


if __name__ == "__main__":
    status = main()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        # Threads of the code keep nobody waiting.
        os._exit(status)
