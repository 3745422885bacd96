"""Play the kubelet for one container of a rendered Deployment, inside namespaces of its own.

`unshare --mount --net python pod.py FOLDER` with FOLDER/pod.json: mounts the files where the manifest
says, makes read-only what it says, starts the command as its user, walks the probes, ends it by
SIGTERM, and prints what it saw as JSON. Nothing of it is seen outside of the namespaces.
"""

import fcntl
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any


def mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


def raise_loopback() -> None:
    with socket.socket() as made:
        request = struct.pack("16sh", b"lo", 0x1 | 0x40)
        fcntl.ioctl(made, 0x8914, request)  # SIOCSIFFLAGS


def reachable(paths: list[str]) -> None:
    """Let another user reach folders below ones that only root may enter, and below /tmp."""
    aside = Path("/mnt")
    mount("-t", "tmpfs", "tmpfs", str(aside))
    kept = []
    for number, path in enumerate(paths):
        place = aside / str(number)
        place.mkdir()
        mount("--rbind", path, str(place))
        kept.append((place, Path(path)))
    tops = {Path("/tmp"), *(Path("/", path.parts[1]) for _, path in kept)}
    for top in tops:
        if top == Path("/tmp") or not top.stat().st_mode & 0o001:
            mount(
                "-t",
                "tmpfs",
                "-o",
                "mode=1777" if top == Path("/tmp") else "mode=755",
                "tmpfs",
                str(top),
            )
            for place, path in kept:
                if top in path.parents:
                    path.mkdir(parents=True)
                    mount("--rbind", str(place), str(path))


def place_files(pod: dict[str, Any]) -> None:
    """Mount each folder of files; a folder that is not there is made on a layer of its own."""
    for target, files in pod["files"].items():
        folder = Path(target)
        if not folder.exists():
            layered(folder)
        mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", target)
        for name, text in files.items():
            file = folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
            os.chown(file, 0, pod["group"])
            file.chmod(0o440)
        mount("-o", "remount,ro", target)


def layered(folder: Path) -> None:
    """Make a folder without touching the disk: above what is there lies a layer in memory."""
    base = folder
    while not base.exists():
        base = base.parent
    layer = Path("/mnt/layers") / base.name
    for name in ("upper", "work"):
        (layer / name).mkdir(parents=True)
    options = f"lowerdir={base},upperdir={layer}/upper,workdir={layer}/work"
    mount("-t", "overlay", "-o", options, "overlay", str(base))
    folder.mkdir(parents=True)
    mount("-o", "remount,ro", str(base))


def probe(port: int, path: str) -> int | None:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=120) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None


def is_writable(folder: str) -> bool:
    try:
        Path(folder, ".probe").write_bytes(b"")
    except OSError:
        return False
    return True


def main(folder: str) -> None:
    pod = json.loads(Path(folder, "pod.json").read_text())
    mount("--make-rprivate", "/")
    raise_loopback()
    reachable(pod["needs"])
    place_files(pod)
    mount("--rbind", "/", "/")
    mount("-o", "remount,bind,ro", "/")
    seen: dict[str, Any] = {}
    folders = ["/", "/tmp", *pod["files"]]
    seen["writable"] = [folder for folder in folders if is_writable(folder)]
    log = Path("/tmp/log")
    with log.open("wb") as out:
        process = subprocess.Popen(
            ["setpriv", f"--reuid={pod['user']}", f"--regid={pod['group']}", "--clear-groups",
             "--no-new-privs", "--bounding-set=-all", *pod["command"]],
            env=pod["env"], cwd="/", stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            until = time.monotonic() + 120
            while probe(*pod["probes"]["startup"]) != 200:
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < until, log.read_text()
                time.sleep(0.05)
            seen["probes"] = {name: probe(*where) for name, where in pod["probes"].items()}
            seen["metrics"] = probe(pod["metrics"], "/metrics")
            status = Path(f"/proc/{process.pid}/status").read_text()
            seen["uid"] = status.split("Uid:\t")[1].split("\t")[0]
        finally:
            process.send_signal(signal.SIGTERM)
            seen["exit"] = process.wait(120)
    seen["log"] = log.read_text()
    print(json.dumps(seen))


if __name__ == "__main__":
    main(sys.argv[1])
