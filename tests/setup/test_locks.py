"""The proof that locks are closed: it holds for ours, and each way to open one is told."""

import json
import re
import shutil

import pytest

from tests.tools import ROOT, module

lock = module("tools/lock.py")
closure = module("tools/closure.py")


@pytest.fixture
def tree(tmp_path):
    """The locks, what they are made from, and the graph."""
    files = [lock.GRAPH.relative_to(ROOT)]
    for one in lock.LOCKS:
        files += [one.path, *one.sources]
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, tmp_path / file)
    return tmp_path


def without(text: str, name: str) -> str:
    """Return a lock without one of its packages."""
    left, count = re.subn(
        rf"^{name}==[^\n]*\n(?:    --hash[^\n]*\n)+", "", text, flags=re.MULTILINE
    )
    assert count == 1
    return left


def problems(tree, path: str, change) -> list[str]:
    """Return what is told of the locks after a change of one file."""
    file = tree / path
    before = file.read_text("utf-8")
    file.write_text(change(before), "utf-8")
    assert file.read_text("utf-8") != before
    return closure.check(tree, ())


def test_our_locks_are_closed(tree):
    assert closure.check(tree, ()) == []


def test_each_package_that_another_one_requires_is_missed():
    (one,) = [one for one in lock.LOCKS if one.path == "requirements/render.txt"]
    held = lock.pins((ROOT / one.path).read_text("utf-8"))
    entries = json.loads(lock.GRAPH.read_text("utf-8"))
    graph = {pin.key: closure.package(entries[pin.key]) for pin in held}
    roots = closure.root_packages(one)
    assert len(held) > 20
    for missing in held:
        rest = tuple(pin for pin in held if pin != missing)
        told = [p.replace("_", "-") for p in closure.Closure(one, rest, graph, roots).problems()]
        assert any(f"requires {missing.name}" in problem.lower() for problem in told), missing


def test_what_only_an_extra_of_another_package_asks_for_is_missed(tree):
    told = problems(tree, "runtime/requirements/providers.txt", lambda t: without(t, "requests"))
    assert any("google-auth==2.62.2[requests] requires requests<" in problem for problem in told)


def test_a_version_that_nobody_takes_is_told(tree):
    told = problems(
        tree,
        "requirements/render.txt",
        lambda text: re.sub(
            r"^pydantic-core==\S+", "pydantic-core==1.0.0", text, flags=re.MULTILINE
        ),
    )
    assert any("pydantic-core==1.0.0 is not in graph.json" in problem for problem in told)
    assert any("requires pydantic-core==" in problem for problem in told)
    assert any("pydantic-core==1.0.0 is not in requirements/dev.txt" in problem for problem in told)


def test_a_source_that_asks_for_more_than_was_locked_is_told(tree):
    told = problems(
        tree, "pyproject.toml", lambda t: t.replace('"jinja2>=3.1,<4"', '"jinja2>=99", "attrdict"')
    )
    assert "requirements/render.txt requires attrdict: locked is nothing" in told[-1].split(" (")[0]
    assert any("requires jinja2>=99: locked is jinja2==" in problem for problem in told)


def test_a_package_of_render_that_dev_lacks_is_told(tree):
    told = problems(tree, "requirements/dev.txt", lambda text: without(text, "markupsafe"))
    assert any(
        "render.txt" in p and "is not in requirements/dev.txt, which has nothing" in p for p in told
    )


def test_a_package_without_a_hash_is_told(tree):
    told = problems(
        tree, "tools/uv/requirements.txt", lambda text: text.replace("--hash=sha256:", "--x:")
    )
    assert told == ["tools/uv/requirements.txt:1: uv==0.13.9 has no hash"]


def test_a_record_that_no_lock_has_is_told(tree):
    told = problems(
        tree, "requirements/graph.json", lambda t: t.replace('"uv==0.13.9"', '"uv==0.1"')
    )
    assert "graph.json: uv==0.1 is in no lock: run `make lock`" in told


def test_metadata_that_are_installed_otherwise_are_told(tmp_path):
    folder = tmp_path / "one-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: One\nVersion: 1.0\nRequires-Dist: two (>=1)\n"
    )
    same = {"one==1.0": {"python": "", "extras": [], "requires": ["two>=1"]}}
    other = {"one==1.0": {"python": "", "extras": [], "requires": []}}
    assert list(closure.unlike(same, tmp_path)) == []
    assert "one==1.0 says other than graph.json" in next(closure.unlike(other, tmp_path))


def told(locked: str, roots: list[str], extras: tuple[str, ...] = (), **packages: str) -> list[str]:
    """Return the problems of a small lock; a package is NAME=\"requirement; marker|…\"."""
    graph = {}
    for pin in lock.pins(locked):
        requires = [text for text in packages.get(pin.name, "").split("|") if text]
        entry = {"python": ">=3.11", "extras": list(extras), "requires": requires}
        graph[pin.key] = closure.package(entry)
    root = closure.Package("", frozenset(), tuple(map(closure.Requirement, roots)))
    one = lock.Lock("x.txt")
    return list(closure.Closure(one, tuple(lock.pins(locked)), graph, (root,)).problems())


HASH = " \\\n    --hash=sha256:0\n"


@pytest.mark.parametrize(
    ("marker", "required", "place"),
    [
        ("", 'b ; python_version < "3.12"', ""),
        (" ; python_full_version < '3.12'", 'b ; python_version < "3.12"', ""),
        (" ; python_full_version < '3.12'", 'b ; python_version < "3.13"', "3.12.0"),
        (" ; python_full_version < '3.11.3'", 'b ; python_full_version < "3.11.4"', "3.11.3"),
        (" ; sys_platform == 'win32'", 'b ; os_name == "nt"', ""),
        (" ; sys_platform == 'linux'", 'b ; platform_system != "Windows"', "darwin"),
        (" ; platform_machine == 'x86_64'", "b", "riscv64"),
        (" ; implementation_name == 'cpython'", "b", "pypy"),
        (" ; python_full_version < '3.15'", "b", "3.15.0"),
    ],
)
def test_what_is_required_somewhere_is_locked_there(marker, required, place):
    found = told(f"a==1{HASH}b==1{marker}{HASH}", ["a"], a=required)
    assert [place in problem for problem in found] == ([True] if place else [])


def test_an_extra_of_an_extra_is_followed():
    packages = {"a": "b[x]; extra == 'more'", "b": "c[y]; extra == 'x'", "c": "d>=2; extra == 'y'"}
    pinned = f"a==1{HASH}b==1{HASH}c==1{HASH}"
    extras = ("more", "x", "y")
    assert told(pinned, ["a"], extras, **packages) == []
    missing = told(pinned, ["a[more]"], extras, **packages)
    assert [p.split(" (")[0] for p in missing] == [
        'x.txt:5: c==1[y] requires d>=2; extra == "y": locked is nothing'
    ]
    assert told(f"{pinned}d==2{HASH}", ["a[more]"], extras, **packages) == []
    assert "locked is d==1" in told(f"{pinned}d==1{HASH}", ["a[more]"], extras, **packages)[0]


def test_an_extra_that_a_package_does_not_have_is_told():
    assert told(f"a==1{HASH}", ["a[nope]"]) == ["x.txt:1: a==1[nope] has no such extra"]


def test_a_package_that_is_locked_twice_for_one_place_is_told():
    halves = f"a==1 ; python_full_version < '3.12'{HASH}a==2 ; python_full_version >= '3.12'{HASH}"
    assert told(halves, ["a"]) == []
    assert told(f"a==1{HASH}a==2{HASH}", ["a"]) == ["x.txt:3: a==2 is locked twice"]


def test_locks_name_versions_and_hashes_and_no_address():
    for one in lock.LOCKS:
        text = (ROOT / one.path).read_text("utf-8")
        assert "://" not in text
        assert not re.search(r"^-", text, re.MULTILINE), one.path


def test_every_lock_of_the_repository_is_proven():
    listed = {one.path for one in lock.LOCKS}
    found = [*ROOT.glob("requirements/*.txt"), *ROOT.glob("runtime/requirements/*.txt")]
    found += ROOT.glob("tools/*/requirements*.txt")
    assert {str(path.relative_to(ROOT)) for path in found} == listed
