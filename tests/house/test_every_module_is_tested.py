"""Where each module is tested: in a file named after it, or in the one that the map names."""

from pathlib import Path

from tests.tested import ELSEWHERE, PACKAGES

ROOT = Path(__file__).parents[2]
TESTS = {
    path.relative_to(ROOT).as_posix()
    for folder in ("tests", "runtime/tests")
    for path in (ROOT / folder).rglob("test_*.py")
}


def modules(package: str) -> list[str]:
    """Return the modules of a package by path; empty ones have nothing to test."""
    return sorted(
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / package).rglob("*.py")
        if len(path.read_text("utf-8").splitlines()) > 3
    )


def names(module: str, package: str) -> list[str]:
    """Return what a module may be called in the map, the shortest first: the ends of its path."""
    parts = module.removeprefix(f"{Path(package).parent}/").removesuffix(".py").split("/")
    shortest = 2 if parts[-1] == "__init__" else 1
    return ["/".join(parts[-length:]) for length in range(shortest, len(parts) + 1)]


def files_that_test(module: str, package: str) -> set[str]:
    """Return the files that test a module: those of its name, and those of the map."""
    own = PACKAGES[package]
    called = names(module, package)
    stem = called[0].removesuffix("/__init__")
    by_name = {test for test in TESTS if test.startswith(own) and Path(test).stem == f"test_{stem}"}
    return by_name.union(*(ELSEWHERE[own].get(name, ()) for name in called))


def test_every_module_is_tested_where_its_name_or_the_map_says():
    nowhere = [
        module
        for package in PACKAGES
        for module in modules(package)
        if not files_that_test(module, package)
    ]
    assert nowhere == [], "say in tests/tested.py which file tests them"


def test_every_entry_of_the_map_means_one_module():
    for package, own in PACKAGES.items():
        called = [set(names(module, package)) for module in modules(package)]
        count = {name: sum(name in some for some in called) for name in ELSEWHERE[own]}
        assert [name for name in count if count[name] == 0] == [], "gone"
        assert [name for name in count if count[name] > 1] == [], "say more of their paths"


def test_every_file_of_the_map_is_there():
    said = {
        file for own in PACKAGES.values() for files in ELSEWHERE[own].values() for file in files
    }
    assert said <= TESTS


def test_a_module_that_nobody_tests_is_named(tmp_path, monkeypatch):
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack/odd.py").write_text("a = 1\n" * 9)
    monkeypatch.setattr(f"{__name__}.ROOT", tmp_path)
    monkeypatch.setitem(PACKAGES, "pack", "tests")
    assert [m for m in modules("pack") if not files_that_test(m, "pack")] == ["pack/odd.py"]
