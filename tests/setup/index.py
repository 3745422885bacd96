"""A package index on loopback (PEP 503) with wheels made here; it keeps what it is asked for."""

import hashlib
import html
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from threading import Thread
from urllib.parse import unquote

# Enough of a build backend to install a project that is not packed: one path file (PEP 660).
BACKEND = """
import zipfile
from pathlib import Path

def get_requires_for_build_editable(config_settings=None):
    return []

def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    name = "own-1.0-py3-none-any.whl"
    with zipfile.ZipFile(Path(wheel_directory, name), "w") as wheel:
        wheel.writestr("own.pth", str(Path.cwd()))
        wheel.writestr("own-1.0.dist-info/METADATA", "Metadata-Version: 2.1\\nName: own\\nVersion: 1.0\\n")
        wheel.writestr("own-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\\nTag: py3-none-any\\n")
        wheel.writestr("own-1.0.dist-info/RECORD", "")
    return name
"""


def wheel(name: str, version: str, requires: tuple[str, ...] = (), source: str = "") -> bytes:
    """Return a wheel of one module."""
    info = f"{name}-{version}.dist-info"
    extras = "".join("Provides-Extra: more\n" for one in requires if "extra" in one)
    needed = "".join(f"Requires-Dist: {one}\n" for one in requires)
    files = {
        f"{name}.py": source or f"version = {version!r}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{extras}{needed}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},,\n" for path in files) + f"{info}/RECORD,,\n"
    made = BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for path, text in (files | {f"{info}/RECORD": record}).items():
            archive.writestr(zipfile.ZipInfo(path), text)
    return made.getvalue()


@dataclass
class Index:
    """What an index serves, by file name, and the paths that it was asked for."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def add(self, name: str, version: str, *requires: str, source: str = "") -> str:
        """Serve a package; return its line of a lock."""
        content = wheel(name, version, requires, source)
        self.files[f"{name}-{version}-py3-none-any.whl"] = content
        digest = hashlib.sha256(content).hexdigest()
        return f"{name}=={version} \\\n    --hash=sha256:{digest}\n"

    def answer(self, path: str) -> bytes | None:
        """Return the page of a package, or a file."""
        kind, _, rest = path.strip("/").partition("/")
        if kind == "files":
            return self.files.get(rest)
        named = [file for file in self.files if file.split("-")[0] == rest.replace("-", "_")]
        if kind != "simple" or not named:
            return None
        links = (f'<a href="/files/{html.escape(file)}">{html.escape(file)}</a>' for file in named)
        return f"<!DOCTYPE html><html><body>{''.join(links)}</body></html>".encode()


@contextmanager
def serving() -> Iterator[Index]:
    """Serve an index as long as the block runs."""
    index = Index()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = unquote(self.path)
            index.asked.append(path)
            body = index.answer(path)
            self.send_response(404 if body is None else 200)
            kind = "text/html" if path.startswith("/simple") else "application/octet-stream"
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        index.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield index
        finally:
            server.shutdown()
            thread.join()
