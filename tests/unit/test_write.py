"""Texts on disk: only what differs, only what is ours, each file old or new and never half."""

import contextlib
import json
import os
import threading
from pathlib import Path

import pytest

from fleetform import targets
from fleetform import write as writing
from fleetform.folder import TEMPORARY
from fleetform.problems import SpecError
from fleetform.write import RECORD, Output
from tests.fleet import AGENT, ENVIRONMENT, GOOD, fleetform, snapshot, write

OLD = {"a.yaml": "a: 1\n", "team/b.yaml": "b: 1\n", "team/c.yaml": "c: 1\n"}
NEW = {"a.yaml": "a: 2\n", "team/c.yaml": "c: 1\n", "other/d.yaml": "d: 1\n"}


def put(folder: Path, texts: dict[str, str]) -> writing.Changes:
    return Output(folder.parent, folder.name).write(texts)


def content(folder: Path) -> dict[str, str]:
    return {name: data.decode() for name, data in snapshot(folder).items() if name != RECORD}


def listed(folder: Path) -> set[str]:
    """Return the names in a record."""
    lines = (folder / RECORD).read_text().splitlines()
    return {line for line in lines if not line.startswith("#")}


def identities(folder: Path) -> dict[str, tuple[int, int]]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(file): (file.stat().st_ino, file.stat().st_mtime_ns) for file in files}


def refused(folder: Path, texts: dict[str, str]) -> list[tuple[str, str]]:
    """Return path and code of each problem; the folder must stay as it was."""
    before = snapshot(folder)
    with pytest.raises(SpecError) as caught:
        put(folder, texts)
    assert snapshot(folder) == before
    return [(os.path.relpath(item.file, folder), item.code) for item in caught.value.problems]


def test_texts_are_written_and_counted(tmp_path):
    changes = put(tmp_path / "out", OLD)
    assert content(tmp_path / "out") == OLD
    assert (sorted(changes.new), changes.changed, changes.stale) == (sorted(OLD), {}, {})


def test_a_second_run_touches_nothing(tmp_path):
    put(tmp_path, OLD)
    before = identities(tmp_path)
    changes = put(tmp_path, OLD)
    assert not changes
    assert changes.same == 3
    assert identities(tmp_path) == before


def test_only_what_differs_is_written(tmp_path):
    put(tmp_path, OLD)
    before = identities(tmp_path)
    put(tmp_path, NEW)
    after = identities(tmp_path)
    same = {name for name in before if before[name] == after.get(name)}
    assert same == {str(tmp_path / "team/c.yaml")}


def test_stale_files_and_their_empty_folders_are_removed(tmp_path):
    put(tmp_path, OLD)
    changes = put(tmp_path, {"a.yaml": "a: 1\n"})
    assert sorted(changes.stale) == ["team/b.yaml", "team/c.yaml"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [RECORD, "a.yaml"]


def test_files_of_others_and_their_folders_stay(tmp_path):
    put(tmp_path, OLD)
    write(tmp_path, {"team/mine.txt": "mine", "mine.yaml": "mine", "team/deep/mine": "mine"})
    put(tmp_path, {"a.yaml": "a: 1\n"})
    expected = {"team/mine.txt": "mine", "mine.yaml": "mine", "team/deep/mine": "mine"}
    assert content(tmp_path) == {"a.yaml": "a: 1\n", **expected}


def test_a_file_of_others_in_the_way_is_a_problem(tmp_path):
    write(tmp_path, {"team/b.yaml": "mine"})
    assert refused(tmp_path, OLD) == [("team/b.yaml", "foreign-file")]


def test_a_file_of_others_that_says_the_same_is_adopted(tmp_path):
    write(tmp_path, {"a.yaml": OLD["a.yaml"]})
    put(tmp_path, OLD)
    put(tmp_path, {})
    assert content(tmp_path) == {}


def test_a_file_where_a_folder_belongs_is_a_problem(tmp_path):
    write(tmp_path, {"team": "mine"})
    assert refused(tmp_path, OLD) == [("team", "foreign-file")]


def test_a_folder_where_a_file_belongs_is_a_problem(tmp_path):
    (tmp_path / "a.yaml").mkdir()
    assert refused(tmp_path, OLD) == [("a.yaml", "not-written")]


def test_an_edited_file_of_ours_is_written_again(tmp_path):
    put(tmp_path, OLD)
    (tmp_path / "a.yaml").write_bytes(b"\xff\x00edited")
    assert sorted(put(tmp_path, OLD).changed) == ["a.yaml"]
    assert content(tmp_path) == OLD


def test_a_deleted_file_of_ours_is_written_again(tmp_path):
    put(tmp_path, OLD)
    (tmp_path / "team/b.yaml").unlink()
    put(tmp_path, OLD)
    assert content(tmp_path) == OLD


# -- links ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("link", "target", "code"),
    [
        ("a.yaml", "victim", "symlink"),
        ("a.yaml", "nowhere", "symlink"),
        ("team", "victims", "symlink"),
        (RECORD, "victim", "symlink"),
        ("a.yaml", "a.yaml", "symlink"),
    ],
    ids=["a file", "to nothing", "a folder", "the record", "a loop"],
)
def test_a_link_in_the_output_is_never_followed(link, target, code, tmp_path):
    write(tmp_path, {"victim": "precious", "victims/b.yaml": "precious"})
    out = tmp_path / "out"
    out.mkdir()
    (out / link).symlink_to(tmp_path / target if target != link else out / link)
    with pytest.raises(SpecError) as caught:
        put(out, OLD)
    assert [item.code for item in caught.value.problems] == [code]
    assert (tmp_path / "victim").read_text() == "precious"
    assert (tmp_path / "victims/b.yaml").read_text() == "precious"
    assert [path.name for path in out.iterdir()] == [link]


def test_the_folder_of_an_environment_is_no_link(tmp_path):
    (tmp_path / "victims").mkdir()
    (tmp_path / "out").symlink_to("victims")
    with pytest.raises(SpecError):
        put(tmp_path / "out", OLD)
    assert snapshot(tmp_path / "victims") == {}


def test_a_record_does_not_lead_out_of_the_folder(tmp_path):
    write(tmp_path, {"victim.yaml": "precious", "deep/er/victim.yaml": "precious"})
    out = tmp_path / "out"
    out.mkdir()
    (out / "chain").symlink_to(tmp_path / "deep")
    names = ["../victim.yaml", "/etc/passwd", "a/../../victim.yaml", "", "x\0y", ".", RECORD]
    (out / RECORD).write_text("\n".join(names))
    put(out, {})
    assert (tmp_path / "victim.yaml").exists()
    (out / RECORD).write_text("chain/er/victim.yaml\n")
    with pytest.raises(SpecError):
        put(out, OLD)
    assert (tmp_path / "deep/er/victim.yaml").read_text() == "precious"


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[" * 100_000, b"\xff\n", b"\0\n", b"<<<<<<< ours\n"], ids=range(6)
)
def test_without_a_record_no_file_is_ours(data, tmp_path):
    put(tmp_path, OLD)
    (tmp_path / RECORD).write_bytes(data)
    assert refused(tmp_path, NEW) == [("a.yaml", "foreign-file")]
    put(tmp_path, OLD)
    assert listed(tmp_path) == {*OLD}


def test_only_new_and_removed_files_change_the_record(tmp_path):
    put(tmp_path, OLD)
    before = (tmp_path / RECORD).read_bytes()
    put(tmp_path, {**OLD, "a.yaml": "a: 2\n"})
    assert (tmp_path / RECORD).read_bytes() == before


MERGED = {
    "without a conflict": ("d.yaml\n", "e.yaml\n"),
    "with a conflict": ("<<<<<<< ours\nd.yaml\n=======\ne.yaml\n>>>>>>> theirs\n",),
    "with a conflict that shows its base": (
        "<<<<<<< ours\nd.yaml\n||||||| base\ng.yaml\n=======\ne.yaml\n>>>>>>> theirs\n",
    ),
    "by hand, in any order and twice": ("e.yaml\n", "d.yaml\n", "e.yaml\n"),
    "on Windows": ("d.yaml\r\n", "e.yaml\r\n"),
}


@pytest.mark.parametrize("lines", MERGED.values(), ids=MERGED)
def test_a_record_that_was_merged_owns_what_both_sides_wrote(lines, tmp_path):
    added = {"d.yaml": "d: 1\n", "e.yaml": "e: 1\n"}
    put(tmp_path, OLD)
    write(tmp_path, added)
    with (tmp_path / RECORD).open("a", newline="") as record:
        record.writelines(lines)
    output = Output(tmp_path.parent, tmp_path.name)
    assert bool(output.compare({**OLD, **added})) is ("<<<<<<<" in lines[0])
    put(tmp_path, NEW)
    assert content(tmp_path) == NEW
    assert (tmp_path / RECORD).read_text().splitlines()[2:] == sorted(NEW)


def test_a_name_without_a_file_changes_nothing(tmp_path):
    put(tmp_path, OLD)
    with (tmp_path / RECORD).open("a") as record:
        record.write("gone.yaml\n")
    assert not Output(tmp_path.parent, tmp_path.name).compare(OLD)


@pytest.mark.parametrize(
    "unfinished", [{}, {"unfinished": ["f.yaml"]}], ids=["whole", "broken off"]
)
def test_a_record_of_former_versions_is_read_and_replaced(unfinished, tmp_path):
    write(tmp_path, {**OLD, "f.yaml": "f: 1\n", "mine.yaml": "mine"})
    body = {"fleetform": "0.1.0", "files": dict.fromkeys(OLD, "digest"), **unfinished}
    (tmp_path / ".fleetform.json").write_text(json.dumps(body))
    put(tmp_path, NEW)
    rest = {"mine.yaml": "mine"} if unfinished else {"mine.yaml": "mine", "f.yaml": "f: 1\n"}
    assert content(tmp_path) == {**NEW, **rest}
    assert listed(tmp_path) == {*NEW}


def test_a_record_of_former_versions_that_a_merge_brought_back_goes(tmp_path):
    put(tmp_path, NEW)
    former = tmp_path / ".fleetform.json"
    former.write_text(json.dumps({"fleetform": "0.1.0", "files": dict.fromkeys(OLD, "digest")}))
    assert Output(tmp_path.parent, tmp_path.name).compare(NEW)
    put(tmp_path, NEW)
    assert content(tmp_path) == NEW
    assert not former.exists()


# Where the output stands when somebody swaps a folder for a link: the folder itself, and what is around it.
SWAPPED = ("out/rendered/prod/team", "out/rendered/prod", "out/rendered")


def swap(monkeypatch, root: Path, folder: str, victims: Path, count: int) -> list[str]:
    """Put a link to the victims in a folder's place right before the n-th call of the disk."""
    calls: list[str] = []

    def swapping(name, real):
        def call(*arguments, **keywords):
            calls.append(name)
            if len(calls) == count and not (root / folder).is_symlink():
                renamed(root / folder, root / "out/aside")
                (root / folder).symlink_to(victims / Path(folder).name)
            return real(*arguments, **keywords)

        return call

    renamed = os.rename
    for name in ("open", "replace", "unlink", "rmdir", "mkdir", "stat", "dup"):
        monkeypatch.setattr(writing.os, name, swapping(name, getattr(os, name)))
    return calls


@pytest.mark.parametrize("folder", SWAPPED)
def test_a_folder_that_becomes_a_link_in_mid_run_leads_nowhere(folder, tmp_path, monkeypatch):
    """At each call of the disk: the victims have everything that the output has, and none of it changes."""
    victims = tmp_path / "victims"
    ways = (
        "team/team/",
        "rendered/prod/team/",
        "rendered/prod/",
        "prod/team/",
        "prod/",
        "team/",
    )
    write(victims, {f"{way}{name}.yaml": "precious" for way in ways for name in "abcd"})
    for way in ways[1:5]:
        (victims / way / RECORD).write_text("b.yaml\n")
    before = snapshot(victims)
    count, calls, refused, said = 0, [""], 0, set()
    while count < len(calls):
        count += 1
        root = tmp_path / str(count)
        Output(root / "out", "rendered/prod").write(OLD)
        with monkeypatch.context() as patched:
            calls = swap(patched, root, folder, victims, count)
            try:
                Output(root / "out", "rendered/prod").write(NEW)
            except SpecError as error:
                said |= {item.code for item in error.problems}
                refused += 1
        assert snapshot(victims) == before
    assert said <= {"symlink", "moved", "not-written"}
    assert count > 40
    assert refused > 30 or folder.endswith("team")


@pytest.mark.parametrize("folder", SWAPPED)
def test_a_link_around_the_output_is_refused(folder, tmp_path):
    root = write(tmp_path, {"outside/victim": "precious", "out/rendered/x": ""})
    (tmp_path / "out/rendered/prod").mkdir()
    place = tmp_path / folder
    if place.exists():
        place.rename(tmp_path / "out/aside")
    place.symlink_to(tmp_path / "outside")
    with pytest.raises(SpecError) as caught:
        Output(root / "out", "rendered/prod").write(OLD)
    assert [(item.file, item.code) for item in caught.value.problems] == [(str(place), "symlink")]
    assert snapshot(tmp_path / "outside") == {"victim": b"precious"}


def test_the_way_to_the_output_may_lead_over_links(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "out").symlink_to("real")
    Output(tmp_path / "out", "rendered/prod").write(OLD)
    assert content(tmp_path / "real/rendered/prod") == OLD


# -- runs that die -------------------------------------------------------------------------------


class Killed(BaseException):
    """Ends a run as SIGKILL would: nothing of it is caught."""


def deaths(monkeypatch, count: int) -> None:
    """Let the run die at its n-th change of the disk."""
    left = iter(range(count))

    def dying(real):
        def call(*arguments, **keywords):
            if next(left, None) is None:
                raise Killed
            return real(*arguments, **keywords)

        return call

    for name in ("open", "replace", "unlink", "rmdir", "mkdir"):
        monkeypatch.setattr(writing.os, name, dying(getattr(os, name)))


@pytest.mark.parametrize("count", range(45))
def test_a_run_that_dies_leaves_files_old_or_new_and_the_next_one_heals(
    count, tmp_path, monkeypatch
):
    put(tmp_path, OLD)
    write(tmp_path, {"team/mine.txt": "mine"})
    with monkeypatch.context() as patched:
        deaths(patched, count)
        try:
            put(tmp_path, NEW)
            died = False
        except Killed:
            died = True
    for name, text in content(tmp_path).items():
        assert name.endswith((TEMPORARY, "mine.txt")) or text in (OLD.get(name), NEW.get(name))
    if not died:
        assert content(tmp_path) == {**NEW, "team/mine.txt": "mine"}
    assert listed(tmp_path) in ({*OLD}, {*OLD, *NEW}, {*NEW})
    assert listed(tmp_path) != {*NEW} or content(tmp_path) == {**NEW, "team/mine.txt": "mine"}
    put(tmp_path, NEW)
    assert content(tmp_path) == {**NEW, "team/mine.txt": "mine"}
    assert listed(tmp_path) == {*NEW}


@pytest.mark.parametrize("count", range(0, 45, 4))
def test_the_next_run_may_want_something_else(count, tmp_path, monkeypatch):
    put(tmp_path, OLD)
    with monkeypatch.context() as patched, contextlib.suppress(Killed):
        deaths(patched, count)
        put(tmp_path, NEW)
    put(tmp_path, {"e.yaml": "e: 1\n"})
    assert content(tmp_path) == {"e.yaml": "e: 1\n"}


def test_the_record_is_the_last_file_that_is_written(tmp_path, monkeypatch):
    names = []

    def replace(source, target, real=os.replace, **folders):
        names.append(target)
        real(source, target, **folders)

    monkeypatch.setattr(writing.os, "replace", replace)
    put(tmp_path, OLD)
    assert (names[0], names[-1]) == (RECORD, RECORD)
    assert sorted(names[1:-1]) == ["a.yaml", "b.yaml", "c.yaml"]


def test_runs_at_the_same_time_wait_for_each_other(tmp_path):
    texts = [{f"{n}/{k}.yaml": f"n: {n}\n" for k in range(20)} for n in range(4)]
    threads = [threading.Thread(target=put, args=(tmp_path, text)) for text in texts * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert content(tmp_path) in texts
    assert listed(tmp_path) == {*content(tmp_path)}


# -- through the command -------------------------------------------------------------------------


def test_check_writes_nothing_prints_the_diff_and_leaves_with_3(tmp_path):
    write(tmp_path, GOOD)
    outcome = fleetform("render", "--check", cwd=tmp_path)
    assert outcome.code == 3
    assert not (tmp_path / "rendered").exists()
    assert "+++ b/rendered/prod/default/helper.yaml" in outcome.out
    assert fleetform("render", cwd=tmp_path).code == 0
    before = identities(tmp_path)
    assert fleetform("render", "--check", cwd=tmp_path).code == 0
    write(tmp_path, {"agents/a.yaml": AGENT.replace("You help.", "You advise.")})
    outcome = fleetform("render", "--check", cwd=tmp_path)
    assert outcome.code == 3
    assert "-  system-prompt.md: You help." in outcome.out
    assert "+  system-prompt.md: You advise." in outcome.out
    rendered = {name: mark for name, mark in before.items() if "/rendered/" in name}
    assert {k: v for k, v in identities(tmp_path).items() if "/rendered/" in k} == rendered


def test_check_sees_stale_and_edited_files(tmp_path):
    write(tmp_path, GOOD)
    fleetform("render", cwd=tmp_path)
    (tmp_path / "rendered/prod/default/helper.yaml").write_text("edited")
    assert fleetform("render", "--check", cwd=tmp_path).code == 3
    fleetform("render", cwd=tmp_path)
    write(tmp_path, {"agents/a.yaml": AGENT.replace("name: helper", "name: other")})
    outcome = fleetform("render", "--check", cwd=tmp_path)
    assert outcome.code == 3
    assert "--- a/rendered/prod/default/helper.yaml\n+++ /dev/null" in outcome.out


def test_a_renamed_agent_leaves_no_old_file(tmp_path):
    write(tmp_path, GOOD)
    fleetform("render", cwd=tmp_path)
    write(tmp_path, {"agents/a.yaml": AGENT.replace("name: helper", "name: other")})
    fleetform("render", cwd=tmp_path)
    names = {path.name for path in (tmp_path / "rendered/prod/default").iterdir()}
    assert names == {"other.yaml", "kustomization.yaml"}


def test_a_folder_of_a_former_target_is_named_and_left_alone(tmp_path):
    write(tmp_path, GOOD)
    assert fleetform("render", "--target", "helm", "--target", "manifests", cwd=tmp_path).code == 0
    outcome = fleetform("render", cwd=tmp_path)
    assert outcome.code == 0
    assert (
        "warning: charts/values/prod is not updated any more: `prod` has no target `helm`\n"
        "  hint: delete it, or run `fleetform render --all`, which removes what Fleetform wrote there\n"
    ) in outcome.err
    assert (tmp_path / "charts/values/prod/default/helper.yaml").is_file()
    assert "warning" not in fleetform("render", "--target", "manifests", cwd=tmp_path).err


def test_the_folders_of_targets_are_those_that_are_written(tmp_path):
    everything = "  targets: [manifests, helm, kustomize, flux]\n"
    write(tmp_path, {**GOOD, "environments/prod.yaml": ENVIRONMENT + everything})
    assert fleetform("render", cwd=tmp_path).code == 0
    for name in ("manifests", "helm", "kustomize", "flux"):
        assert (tmp_path / targets.folder(name, "prod") / RECORD).is_file(), name


STAGING = {"environments/staging.yaml": ENVIRONMENT.replace("prod", "staging")}


def test_all_renders_every_environment_that_is_not_abstract(tmp_path):
    abstract = ENVIRONMENT.replace("prod", "base") + "  abstract: true\n"
    write(tmp_path, {**GOOD, **STAGING, "environments/base.yaml": abstract})
    assert fleetform("render", "--all", "--check", cwd=tmp_path).code == 3
    assert not (tmp_path / "rendered").exists()
    assert fleetform("render", "--all", cwd=tmp_path).code == 0
    assert {path.name for path in (tmp_path / "rendered").iterdir()} == {"prod", "staging"}
    assert fleetform("render", "--all", "--check", cwd=tmp_path).code == 0


def test_all_or_one(tmp_path):
    write(tmp_path, GOOD)
    outcome = fleetform("render", "--all", "--env", "prod", cwd=tmp_path)
    assert outcome.code == 2
    assert "`--all` renders every environment: leave out `--env`" in outcome.err


def test_the_errors_of_all_environments_are_told_at_once_and_nothing_is_written(tmp_path):
    gone = "  patches: [{target: {kind: Agent, name: gone}, spec: {memory: {ref: none}}}]\n"
    broken = {name: text + gone for name, text in STAGING.items()}
    write(
        tmp_path,
        {**GOOD, **broken, "environments/qa.yaml": ENVIRONMENT.replace("prod", "qa") + gone},
    )
    outcome = fleetform("render", "--all", cwd=tmp_path)
    assert outcome.code == 1
    assert "environments/staging.yaml" in outcome.err
    assert "environments/qa.yaml" in outcome.err
    assert not (tmp_path / "rendered").exists()


def test_the_folder_of_an_environment_that_is_gone_is_told_of_and_removed_by_all(tmp_path):
    write(tmp_path, {**GOOD, **STAGING})
    assert fleetform("render", "--all", cwd=tmp_path).code == 0
    write(tmp_path, {"rendered/staging/mine.txt": "mine", "rendered/other/theirs.yaml": "theirs"})
    (tmp_path / "environments/staging.yaml").unlink()
    outcome = fleetform("render", "--env", "prod", cwd=tmp_path)
    why = "rendered/staging is not updated any more: there is no environment `staging`"
    assert f"warning: {why}" in outcome.err
    assert (tmp_path / "rendered/staging/default/helper.yaml").exists()
    outcome = fleetform("render", "--all", "--check", cwd=tmp_path)
    assert outcome.code == 3
    assert "rendered/staging is stale: run `fleetform render --all`" in outcome.err
    outcome = fleetform("render", "--all", cwd=tmp_path)
    assert outcome.code == 0
    assert "removed: there is no environment `staging`" in outcome.err
    assert snapshot(tmp_path / "rendered/staging") == {"mine.txt": b"mine"}
    assert "staging" not in fleetform("render", "--all", cwd=tmp_path).err
    assert (tmp_path / "rendered/other/theirs.yaml").exists()


def test_all_removes_the_folders_of_former_targets(tmp_path):
    write(tmp_path, GOOD)
    assert fleetform("render", "--target", "helm", "--target", "manifests", cwd=tmp_path).code == 0
    assert fleetform("render", "--all", cwd=tmp_path).code == 0
    assert not (tmp_path / "charts/values/prod").exists()
    assert (tmp_path / "rendered/prod").exists()


def test_drift_is_mended_by_the_command_that_is_named(tmp_path):
    write(tmp_path, {**GOOD, **STAGING})
    outcome = fleetform("render", "--env", "staging", "--check", cwd=tmp_path)
    assert "rendered/staging is stale: run `fleetform render --env staging`" in outcome.err
