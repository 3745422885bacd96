"""The page in a real browser, in front of real agents; what it looks like and does is tested in ui/test."""

import fcntl
import gzip
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.page import servers
from tests.tools import ROOT

UI = ROOT / "ui"
BUNDLE = ROOT / "runtime/fleetform_runtime/ui"
BROWSER = shutil.which("chromium")
NAMED = [f"--test-name-pattern={name}"] if (name := os.environ.get("ONLY")) else []
"""While one writes: `ONLY=axe make page`."""
TIMED = {"fast.test.mjs"}
"""Suites that judge by the clock: `make faults`."""
SUITES = [
    pytest.param(path.name, marks=pytest.mark.timed if path.name in TIMED else pytest.mark.browser)
    for path in sorted((UI / "test/browser").glob("*.test.mjs"))
]

needs_node = pytest.mark.skipif(
    shutil.which("npm") is None, reason="the page is built and tested with Node.js: install it"
)
needs_browser = pytest.mark.skipif(
    BROWSER is None, reason="the page is tested in Chromium: `apt-get install chromium`"
)


@pytest.fixture(scope="session")
def modules() -> Path:
    """The locked packages of the page, installed once for all processes of the tests."""
    done = UI / "node_modules/.package-lock.json"
    lock = UI / "package-lock.json"
    with lock.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if not done.exists() or done.stat().st_mtime < lock.stat().st_mtime:
            _run("npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts")
            done.touch()
    return UI / "node_modules"


def _run(*command: str, **variables: str) -> str:
    done = subprocess.run(
        command,
        cwd=UI,
        env={**os.environ, "CI": "true", "NO_COLOR": "1", **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.proof
@needs_node
@pytest.mark.usefixtures("modules")
def test_the_bundle_is_what_the_sources_make_to_the_byte(tmp_path):
    _run("npx", "tsc", "--noEmit")
    _run("npx", "vite", "build", "--outDir", str(tmp_path / "ui"), "--emptyOutDir")
    made, kept = (
        {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.*")}
        for folder in (tmp_path / "ui", BUNDLE)
    )
    assert made.keys() == kept.keys(), "run `make ui`"
    assert made == kept, "run `make ui`"
    script = next(text for name, text in kept.items() if name.endswith(".js"))
    assert len(gzip.compress(script, 9)) <= 45_000


@pytest.mark.proof
@needs_node
@pytest.mark.usefixtures("modules")
def test_parser_fold_and_markdown_do_what_their_tests_say():
    assert "passed" in _run("npx", "vitest", "run")


def test_no_source_writes_html_that_anybody_else_made():
    for path in (UI / "src").rglob("*.ts*"):
        text = path.read_text("utf-8")
        for word in ("dangerouslySetInnerHTML", "innerHTML", "insertAdjacentHTML", "DOMParser"):
            assert word not in text, path


def test_the_packages_that_reach_a_browser_are_the_four_that_are_named():
    lock = json.loads((UI / "package-lock.json").read_text("utf-8"))
    reach = {
        path.removeprefix("node_modules/"): item["license"]
        for path, item in lock["packages"].items()
        if path and not item.get("dev") and not item.get("optional") and not item.get("peer")
    }
    assert reach == dict.fromkeys(
        ("@preact/signals", "@preact/signals-core", "marked", "preact"), "MIT"
    )


@pytest.fixture(scope="session")
def addresses(tmp_path_factory) -> Iterator[dict[str, str]]:
    with servers.agents(tmp_path_factory.mktemp("page")) as found:
        yield found


@needs_node
@needs_browser
@pytest.mark.usefixtures("modules")
@pytest.mark.parametrize("suite", SUITES)
def test_the_page_does_in_a_browser_what_its_suite_says(suite, addresses):
    _run(
        *("node", "--test", "--test-concurrency=1", *NAMED, f"test/browser/{suite}"),
        AGENTS=json.dumps(addresses),
        CHROMIUM=str(BROWSER),
    )
