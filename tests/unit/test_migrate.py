"""Specs of a dialect in our own words: the same meaning, and the author's text wherever it can stay."""

import re
import stat
from pathlib import Path

import pytest

from fleetform import pipeline
from fleetform.migrate import migrate
from fleetform.models import model
from fleetform.parse import parse
from fleetform.problems import errors
from fleetform.tree import plain, without_nulls
from tests.fleet import fleetform, snapshot

SEEDS = Path(__file__).parents[1] / "fixtures/seeds"
OURS = "fleetform.dev/v1alpha1"
THEIRS = "kagent.dev/v1alpha1"
BLOCKS = sorted(
    path
    for path in SEEDS.glob("*/*.yaml")
    if THEIRS.encode() in path.read_bytes() and "status" not in path.name
)
HEAD = f"apiVersion: {THEIRS}\nkind: Agent\nmetadata:\n  name: one\nspec:\n"
NEW_HEAD = HEAD.replace(THEIRS, OURS)


def name(path: Path) -> str:
    return str(path.relative_to(SEEDS).with_suffix(""))


def migrated(text: str) -> str:
    """Return a file in our own dialect; it must be possible, and once is enough."""
    found = migrate(text.encode(), "x.yaml")
    assert errors(found.problems) == ()
    assert migrate(found.new.encode(), "x.yaml").new == found.new
    return found.new


def spec(text: str) -> str:
    """Return what becomes of the lines below an agent's `spec:`."""
    new = migrated(HEAD + text)
    assert new.startswith(NEW_HEAD)
    return new.removeprefix(NEW_HEAD)


def comments(text: str) -> list[str]:
    return re.findall(r"(?:^|(?<=\s))#.*", text)


def typed(path: Path) -> list:
    """Return the typed data of a file's documents."""
    sources = pipeline.read([path])
    assert errors(sources.problems) == ()
    return [
        model(document.kind).model_validate(plain(without_nulls(document.tree)))
        for document in sources.documents
    ]


# -- real files ---------------------------------------------------------------------------------


@pytest.mark.parametrize("path", BLOCKS, ids=name)
def test_a_migrated_file_means_the_same_and_is_ours(path, tmp_path):
    after = tmp_path / "after.yaml"
    after.write_text(migrated(path.read_text()))
    assert THEIRS not in after.read_text()
    assert typed(after) == typed(path)
    assert pipeline.read([after]).problems == []


@pytest.mark.parametrize("path", BLOCKS, ids=name)
def test_only_comments_of_dropped_fields_go(path):
    old = path.read_text()
    # `# Environment variables` stands above `env`, of which nothing is left.
    dropped = {"# Environment variables"} if path.stem == "customer-support-agent" else set()
    kept = [comment for comment in comments(old) if comment not in dropped]
    assert sorted(comments(migrated(old))) == sorted(kept)


@pytest.mark.parametrize("path", BLOCKS, ids=name)
def test_lines_that_say_the_same_are_the_same(path):
    new = migrated(path.read_text()).splitlines()
    old = path.read_text().splitlines()
    changed = [line for line in old if line not in new]
    assert len(changed) <= {"customer-support-agent": 30}.get(path.stem, 3)


def test_prompts_are_unchanged_byte_for_byte():
    for path in BLOCKS:
        old = path.read_text()
        for prompt in re.findall(r"system(?:Message|Prompt): \|\n((?:    .*\n|\n)+)", old):
            assert prompt in migrated(old)


def test_every_change_of_the_dialect_in_one_file():
    path = SEEDS / "004/customer-support-agent.yaml"
    assert (
        migrated(path.read_text())
        == (SEEDS.parent / "migrated/customer-support-agent.yaml").read_text()
    )


def test_a_run_that_only_shows_a_status_stays_as_it_is_with_a_note():
    data = (SEEDS / "004/research-run-001-status.yaml").read_bytes()
    found = migrate(data, "x.yaml")
    assert found.new.encode() == data
    assert [(item.severity, item.code) for item in found.problems] == [("note", "status-only")]


# -- what stays ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        f"# ours\napiVersion:   {OURS}\nkind: Agent\nmetadata: {{name:  a}}\nspec: {{}}\n\n\n",
        "kind: ConfigMap\napiVersion: v1\ndata:   {a: 'b'}\n",
        "replicas:   1 # values of a chart",
    ],
)
def test_files_without_dialect_documents_keep_every_byte(text):
    found = migrate(text.encode(), "x.yaml")
    assert (found.new, found.problems, found.documents) == (text, (), 0)


def test_other_documents_of_a_file_keep_every_byte():
    ours = f"# ours\napiVersion:   {OURS}\nkind: Agent\nmetadata: {{name:  a}}\nspec: {{}}\n# end\n"
    new = migrated(f"{ours}--- # theirs\n{HEAD}  systemMessage: hi\n---\n---\n{ours}")
    assert new == f"{ours}--- # theirs\n{NEW_HEAD}  systemPrompt: hi\n---\n---\n{ours}"


def test_quotes_blocks_folds_gaps_and_indentation_stay():
    text = """\
    description:   "said: \\
      twice"   # why
    displayName: plain text
      on two lines

    systemMessage: >-  # folded
       one
       two

          three

    resources: {limits:   {cpu: "1",memory: '1Gi'}}
    peers:
          - "b"
          -   c
"""
    assert spec(text) == text.replace("systemMessage", "systemPrompt")


def test_a_name_keeps_its_place_its_quotes_and_its_comments():
    text = f"""\
# first
'apiVersion': "{THEIRS}"  # which
kind: ModelConfig
metadata: {{name: m}}
spec:
  # who
  "model": 'gpt-4'  # what
  provider: openai
"""
    expected = text.replace(THEIRS, OURS).replace('"model"', '"name"')
    assert migrated(text) == expected


# -- what moves ---------------------------------------------------------------------------------


def test_tools_become_maps_with_the_comments_around_them():
    old = "  tools:  # all\n    # one\n    - a  # eol\n\n    - 'b-b'\n    # two\n    - name: c\n  # end\n"
    new = old.replace("- a", "- name: a").replace("- 'b-b'", "- name: 'b-b'")
    assert spec(old) == new
    assert spec("  tools: [a,  'b-b', {name:  c}]  # all\n") == (
        "  tools: [{name: a}, {name: 'b-b'}, {name:  c}]  # all\n"
    )


def test_moved_settings_take_their_comments_along():
    old = """\
  memory:
    type: redis
    # connection
    config:  # inline
      host: h.example  # where
      # seconds
      ttl: 60  # one minute
    # sign-in
    secretRef:
      # which
      name: r
      key: p  # which key
    # end of memory
  description: x
"""
    new = """\
  memory:
    type: redis
    # connection
    redis:  # inline
      host: h.example  # where
      auth:
        # sign-in
        secretRef:
          # which
          name: r
          key: p  # which key
    policy:
      # seconds
      sessionTTL: 60  # one minute
    # end of memory
  description: x
"""
    assert spec(old) == new


def test_a_variable_that_becomes_a_setting_takes_all_that_was_said_of_it():
    old = """\
  env:
    # stays
    - {name: OTHER, value: x}

    # quiet please
    - name: LOG_LEVEL  # verbosity
      # not debug
      value: "warn"  # why

  # what we see
  observability:
    metrics: {enabled: true}
"""
    new = """\
  env:
    # stays
    - {name: OTHER, value: x}

  # what we see
  observability:
    metrics: {enabled: true}
    logging:
      # quiet please
      # verbosity
      # not debug
      level: "warning"  # why
"""
    assert spec(old) == new


def test_a_secret_of_a_variable_moves_as_it_is():
    old = """\
  env:
  - name: LANGFUSE_PUBLIC_KEY
    valueFrom: {secretKeyRef: {name: langfuse, key: "public"}}  # rotated
"""
    new = """\
  observability:
    tracing:
      # rotated
      publicKeySecretRef: {name: langfuse, key: "public"}
      provider: langfuse
"""
    assert spec(old) == new


def test_a_dropped_field_goes_with_its_own_comment_only():
    old = """\
  scaling:
    keda:
      enabled: true
      triggers:
        - type: prometheus
          metadata:
            # about the query

            # dead
            metricName: m  # dead too
            # about the threshold
            threshold: "5"
"""
    assert spec(old) == "".join(
        line for line in old.splitlines(keepends=True) if "dead" not in line
    )


def test_a_map_of_which_nothing_is_left_is_empty():
    old = f"apiVersion: {THEIRS}\nkind: Agent\nmetadata:\n  name: a\n  labels:  # ours\n    app: a\nspec: {{}}\n"
    new = f"apiVersion: {OURS}\nkind: Agent\nmetadata:\n  name: a\n  # ours\n  labels: {{}}\nspec: {{}}\n"
    assert migrated(old) == new


def test_json_stays_readable():
    old = f"""\
{{
  "apiVersion": "{THEIRS}",
  "kind": "Agent",
  "metadata": {{"name": "a", "labels": {{"app": "a"}}}},
  "spec": {{
    "systemMessage": "one\\ntwo",
    "memory": {{"type": "redis", "config": {{"host": "h"}}}}
  }}
}}
"""
    new = old.replace(THEIRS, OURS).replace('{"app": "a"}', "{}")
    new = new.replace("systemMessage", "systemPrompt").replace("config", "redis")
    assert migrated(old) == new


# -- anchors ------------------------------------------------------------------------------------


def test_anchors_and_aliases_that_still_say_the_same_stay():
    old = """\
  resources:
    requests: &size {cpu: 1, memory: 1Gi}
    limits: *size
  systemMessage: &text |
    one
  description: *text
"""
    assert spec(old) == old.replace("systemMessage", "systemPrompt")


def test_an_alias_of_what_changes_is_written_out():
    old = """\
  env: &all  # everything
    - {name: LOG_LEVEL, value: info}
    - {name: OTHER, value: x}
  podTemplate:
    sidecars:
      - name: s
        image: {repository: a/b, tag: "1"}
        env: *all  # the same
"""
    new = """\
  env:  # everything
    - {name: OTHER, value: x}
  podTemplate:
    sidecars:
      - name: s
        image: {repository: a/b, tag: "1"}
        # the same
        env:
        - name: LOG_LEVEL
          value: info
        - name: OTHER
          value: x
  observability:
    logging:
      level: info
"""
    assert spec(old) == new


def test_an_alias_that_moves_before_its_anchor_is_written_out():
    old = """\
  observability: {metrics: {enabled: true}}
  description: &level info
  env:
    - {name: LOG_LEVEL, value: *level}
"""
    new = """\
  observability: {metrics: {enabled: true}, logging: {level: info}}
  description: &level info
"""
    assert spec(old) == new


# -- edges --------------------------------------------------------------------------------------


def test_a_file_without_a_last_line_break_keeps_what_its_text_says():
    old = "  env: [{name: LOG_LEVEL, value: info}]\n  systemMessage: |\n    one\n    two"
    new = (
        "  systemPrompt: |-\n    one\n    two\n  observability:\n    logging:\n      level: info\n"
    )
    assert spec(old) == new


def test_text_that_keeps_its_last_line_breaks_keeps_them():
    old = "  systemMessage: |+\n    one\n\n  env: [{name: LOG_LEVEL, value: info}]\n\n  tools: []\n"
    assert (
        parse(migrated(HEAD + old).encode(), "x").documents[0].tree["spec"]["systemPrompt"]
        == "one\n\n"
    )


def test_keys_with_question_marks_are_renamed_too():
    old = f"apiVersion: {THEIRS}\nkind: ModelConfig\nmetadata: {{name: m}}\nspec:\n  ? model\n  : gpt-4\n"
    assert migrated(old) == old.replace(THEIRS, OURS).replace("? model", "? name")


def test_what_cannot_be_rewritten_is_refused_and_left_alone():
    # The blank line below `env` would become one more of the prompt.
    text = (
        f"apiVersion: {THEIRS}\nkind: Agent\nspec:\n  observability: {{logging: {{level: info}}}}\n"
        "  systemMessage: |+\n    one\n\n  env: [{name: LOG_LEVEL, value: info}]\n\n"
        "metadata: {name: a}\n"
    )
    found = migrate(text.encode(), "x.yaml")
    assert found.new == text
    assert [item.code for item in errors(found.problems)] == ["not-migrated"]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (HEAD + "  tools: [a\n", (7, 1, "yaml-syntax")),
        (HEAD + "  displayName: on\n", (6, 16, "ambiguous-scalar")),
        (HEAD + "  systemMessage: a\n  systemPrompt: b\n", (6, 3, "said-twice")),
        (HEAD + "  sytemMessage: a\n", (6, 3, "unknown-field")),
        (HEAD.replace("Agent", "Agnet") + "  {}\n", (2, 7, "unknown-kind")),
    ],
)
def test_broken_input_stays_with_a_problem_at_its_place(text, place):
    found = migrate(text.encode(), "x.yaml")
    assert found.new == text
    assert place in [(item.line, item.column, item.code) for item in found.problems]


# -- the command --------------------------------------------------------------------------------

OLD = f"{HEAD}  systemMessage: hi\n"
NEW = f"{NEW_HEAD}  systemPrompt: hi\n"


def test_the_command_prints_the_result_and_writes_nothing(tmp_path):
    (tmp_path / "a.yaml").write_text(OLD)
    done = fleetform("migrate", "a.yaml", cwd=tmp_path)
    assert (done.code, done.out) == (0, NEW)
    assert (tmp_path / "a.yaml").read_text() == OLD


def test_several_files_are_printed_as_one_stream(tmp_path):
    (tmp_path / "a.yaml").write_text(OLD)
    (tmp_path / "b.yaml").write_text(f"---\n{NEW}")
    (tmp_path / "c.yaml").write_text(OLD)
    assert fleetform("migrate", ".", cwd=tmp_path).out == f"{NEW}---\n{NEW}---\n{NEW}"


def test_write_replaces_files_and_keeps_their_mode_and_links(tmp_path):
    (tmp_path / "real").mkdir()
    real = tmp_path / "real/a.yaml"
    real.write_text(OLD)
    real.chmod(0o640)
    (tmp_path / "link.yaml").symlink_to("real/a.yaml")
    done = fleetform("migrate", "link.yaml", "-w", cwd=tmp_path)
    assert (done.code, done.out) == (0, "")
    assert real.read_text() == NEW
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    assert (tmp_path / "link.yaml").is_symlink()
    assert [path.name for path in (tmp_path / "real").iterdir()] == ["a.yaml"]


def test_a_file_that_is_ours_is_not_even_written(tmp_path):
    (tmp_path / "a.yaml").write_text(NEW)
    before = (tmp_path / "a.yaml").stat().st_ino
    assert fleetform("migrate", "a.yaml", "--write", cwd=tmp_path).err == "nothing to migrate\n"
    assert (tmp_path / "a.yaml").stat().st_ino == before


def test_a_broken_file_is_not_touched_while_others_are_written(tmp_path):
    (tmp_path / "a.yaml").write_text(OLD)
    broken = OLD + "  nonsense: 1\n"
    (tmp_path / "b.yaml").write_text(broken)
    done = fleetform("migrate", "a.yaml", "b.yaml", "--write", cwd=tmp_path)
    assert done.code == 1
    assert "b.yaml:7:3: error: spec.nonsense: unknown field `nonsense`" in done.err
    assert snapshot(tmp_path) == {"a.yaml": NEW.encode(), "b.yaml": broken.encode()}


def test_diff_shows_what_would_change(tmp_path):
    (tmp_path / "a.yaml").write_text(OLD)
    lines = fleetform("migrate", "a.yaml", "--diff", cwd=tmp_path).out.splitlines()
    assert lines[:2] == ["--- a/a.yaml", "+++ b/a.yaml"]
    assert "-  systemMessage: hi" in lines
    assert "+  systemPrompt: hi" in lines
    assert (tmp_path / "a.yaml").read_text() == OLD
