"""Problems → text, JSON, SARIF or GitHub annotations, and the exit codes of all commands."""

from __future__ import annotations

import functools
import json
import os
import sys
from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Any, NoReturn, ParamSpec
from urllib.parse import quote

import fleetform
from fleetform.problems import Problem, SpecError, errors, shown, tidy

OK, PROBLEMS, USAGE, DRIFT = 0, 1, 2, 3

P = ParamSpec("P")


class Format(StrEnum):
    """Output formats of problems."""

    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"
    GITHUB = "github"


def echo(text: str, *, err: bool = False, nl: bool = True) -> None:
    """Print a text, and a line break behind it, at once.

    Typer takes long to import and does more only for terminals and streams that are not UTF-8.
    """
    stream = sys.stderr if err else sys.stdout
    if stream.isatty() or stream.encoding.lower() != "utf-8":
        import typer  # noqa: PLC0415

        typer.echo(text, err=err, nl=nl)
        return
    stream.write(f"{text}\n" if nl else text)
    stream.flush()


def where(problem: Problem) -> str:
    """Return `file:line:col`, as far as known."""
    return ":".join(str(part) for part in (problem.file, problem.line, problem.column) if part)


def text(problem: Problem) -> str:
    """Return one problem as two lines: the message and the hint."""
    head = f"{where(problem)}: {problem.severity}: " if problem.file else f"{problem.severity}: "
    path = f"{problem.path}: " if problem.path else ""
    hint = f"\n  hint: {problem.hint}" if problem.hint else ""
    return f"{head}{path}{problem.message}{hint}"


def as_json(problems: Iterable[Problem]) -> str:
    """Return problems as a JSON list."""
    rows = [
        {
            "severity": item.severity,
            "code": item.code,
            "file": item.file,
            "line": item.line,
            "column": item.column,
            "path": item.path,
            "message": item.message,
            "hint": item.hint,
        }
        for item in problems
    ]
    return json.dumps(rows, indent=2, ensure_ascii=False)


def as_sarif(problems: Iterable[Problem]) -> str:
    """Return problems as a SARIF 2.1.0 log, for code scanning."""
    found = list(problems)
    rules = [{"id": code} for code in sorted({item.code for item in found})]
    driver = {"name": "fleetform", "version": fleetform.__version__, "rules": rules}
    log = {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "results": [_result(item) for item in found]}],
    }
    return json.dumps(log, indent=2, ensure_ascii=False)


def _result(item: Problem) -> dict[str, Any]:
    message = f"{item.path}: {item.message}" if item.path else item.message
    result: dict[str, Any] = {
        "ruleId": item.code,
        "level": item.severity,
        "message": {"text": f"{message}. {item.hint}" if item.hint else message},
    }
    if item.file:
        place: dict[str, Any] = {"artifactLocation": {"uri": quote(item.file.replace(os.sep, "/"))}}
        if item.line:
            place["region"] = {"startLine": item.line, "startColumn": max(item.column, 1)}
        result["locations"] = [{"physicalLocation": place}]
    return result


def as_github(problem: Problem) -> str:
    """Return one problem as a workflow command of GitHub Actions."""
    level = {"error": "error", "warning": "warning", "note": "notice"}[problem.severity]
    place = {
        "file": problem.file,
        "line": problem.line,
        "col": problem.column,
        "title": problem.code,
    }
    properties = ",".join(
        f"{key}={_escape(str(value), ':,')}" for key, value in place.items() if value
    )
    path = f"{problem.path}: " if problem.path else ""
    hint = f" ({problem.hint})" if problem.hint else ""
    return f"::{level} {properties}::{_escape(path + problem.message + hint)}"


def _escape(value: str, more: str = "") -> str:
    for character in "%\r\n" + more:
        value = value.replace(character, f"%{ord(character):02X}")
    return value


def show(problems: Iterable[Problem], form: Format) -> None:
    """Print problems: text to stderr, other formats to stdout."""
    everything = tidy(problems)
    found = shown(everything)
    if form is Format.JSON:
        echo(as_json(found))
    elif form is Format.SARIF:
        echo(as_sarif(found))
    elif form is Format.GITHUB:
        for problem in found:
            echo(as_github(problem))
    else:
        for problem in found:
            echo(_coloured(problem), err=True)
        if found:
            echo(_summary(everything), err=True)


_COLOURS = {"error": "red", "warning": "yellow", "note": "cyan"}


def is_fancy() -> bool:
    """Whether stderr is a terminal that supports colour and progress."""
    return (
        sys.stderr.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    )


def _coloured(problem: Problem) -> str:
    line = text(problem)
    if not is_fancy():
        return line
    import typer  # noqa: PLC0415 - for terminals only

    word = typer.style(problem.severity, fg=_COLOURS[problem.severity], bold=True)
    return line.replace(f"{problem.severity}:", f"{word}:", 1)


def _summary(found: tuple[Problem, ...]) -> str:
    counts = {
        level: sum(item.severity == level for item in found)
        for level in ("error", "warning", "note")
    }
    return ", ".join(
        f"{count} {level}{'s' if count != 1 else ''}" for level, count in counts.items() if count
    )


def stop(problems: Iterable[Problem], form: Format) -> NoReturn:
    """Print problems and exit with the matching code."""
    found = tidy(problems)
    show(found, form)
    raise SystemExit(PROBLEMS if errors(found) else OK)


def reported(command: Callable[P, None]) -> Callable[P, None]:
    """Turn a command's SpecError into printed problems and exit code 1; the command needs a `form` argument."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
            sys.stdout.flush()
        except SpecError as error:
            form = kwargs.get("form", Format.TEXT)
            show(error.problems, form if isinstance(form, Format) else Format.TEXT)
            raise SystemExit(PROBLEMS) from None
        except BrokenPipeError:
            _silence()
            raise SystemExit(OK) from None
        except OSError as error:
            _silence()
            reason = error.strerror or str(error)
            sys.stderr.write(
                f"error: cannot write the output: {reason}\n  hint: check space and permissions\n"
            )
            raise SystemExit(PROBLEMS) from None

    return run


def _silence() -> None:
    """Keep the interpreter from writing to a broken stdout again on exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
