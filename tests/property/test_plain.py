"""The options of `render` that are read without Typer mean the same to Typer."""

import inspect
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from fleetform import targets
from fleetform.cli import application, plain, render, rendering

WORDS = (
    *plain.FLAGS,
    *plain.ONCE,
    *plain.LISTS,
    *("--target=helm", "-eprod", "--help", "--", "-", "", "-x", "--che"),
    *("prod", "json", "text", "sarif", "xml", "a/b.yaml", "ä", "a b", *targets.NAMES),
)


def read_by_typer(words, monkeypatch, variables=None):
    """Return what Typer gives to a rendering, None when it gives nothing."""
    calls = []
    with monkeypatch.context() as patch:
        patch.setattr(rendering, "run", lambda **options: calls.append(options))
        CliRunner().invoke(application.app("render"), ["render", *words], env=variables)
    return calls[0] if calls else None


@pytest.fixture(scope="module")
def monkeypatch():
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("ENV", raising=False)
        yield patch


@given(st.lists(st.sampled_from(WORDS), max_size=7))
def test_what_is_read_means_the_same_to_typer(monkeypatch, words):
    read = plain.read(words, {})
    if read is not None:
        assert read == read_by_typer(words, monkeypatch)


@given(st.data())
def test_every_plain_option_is_read_with_its_value(monkeypatch, data):
    names = data.draw(st.lists(st.sampled_from([*plain.ONCE, *plain.LISTS]), unique=True))
    once = [plain.ONCE[name] for name in names if name in plain.ONCE]
    flags = data.draw(st.lists(st.sampled_from([*plain.FLAGS]), unique=True))
    if "env" in once:  # either all environments or one
        flags = [flag for flag in flags if flag != "--all"]
    words = [*flags]
    for name in names:
        known = {"form": ["json", "github"], "targets": [*targets.NAMES]}
        field = plain.ONCE.get(name) or plain.LISTS[name]
        words += [name, data.draw(st.sampled_from(known.get(field, ["x", "x/y", "z z"])))]
    read = plain.read(words, {})
    assert (read is None) == (len(once) != len({*once}))
    if read is not None:
        assert read == read_by_typer(words, monkeypatch)


def test_every_option_of_the_command_is_plain():
    known = {*plain.FLAGS.values(), *plain.ONCE.values(), *plain.LISTS.values()}
    assert known | {"context"} == {*inspect.signature(render.command).parameters}


@pytest.mark.parametrize(
    ("words", "variables"),
    [
        ([], {"ENV": "dev"}),
        ([], {"ENV": ""}),
        (["--env", "dev"], {"_FLEETFORM_COMPLETE": "complete_bash"}),
        (["--help"], {}),
        (["--env"], {}),
        (["--env", "dev", "--env", "prod"], {}),
        (["--env=dev"], {}),
        (["--target", "nowhere"], {}),
        (["--format", "TEXT"], {}),
        (["dev"], {}),
    ],
)
def test_what_may_mean_more_is_left_to_typer(words, variables):
    assert plain.read(words, variables) is None


def test_an_environment_that_is_named_counts_before_the_variable(monkeypatch):
    words, variables = ["--env", "dev"], {"ENV": "prod"}
    read = plain.read(words, variables)
    assert read == read_by_typer(words, monkeypatch, variables)
    assert read is not None
    assert (read["env"], read["out"]) == ("dev", Path())
