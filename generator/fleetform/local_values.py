"""Values of secrets on this machine: environment variables and an env file, named after Secret and key."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

THE_SHELLS_OWN = frozenset(
    [
        "DISPLAY",
        "EDITOR",
        "GROUPS",
        "HOME",
        "HOSTNAME",
        "IFS",
        "LANG",
        "LANGUAGE",
        "LOGNAME",
        "MAIL",
        "OLDPWD",
        "PAGER",
        "PATH",
        "PWD",
        "SHELL",
        "SHLVL",
        "TERM",
        "TMPDIR",
        "TZ",
        "UID",
        "USER",
        "USERNAME",
        "VISUAL",
    ]
)
"""Variables that are set without anybody's wish: none is a secret in short."""


class EnvFileError(Exception):
    """An env file cannot be read; the message says why, the hint what to do."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


def variables(secret: str, key: str) -> tuple[str, ...]:
    """Return the environment variables that may hold a key of a secret, the most specific first.

    `openai-api-key`, key `api-key`, is OPENAI_API_KEY_API_KEY, or in short OPENAI_API_KEY. There is no short form for a
    secret that is called like a variable of the shell, such as `path`.
    """
    whole = re.sub(r"[^A-Za-z0-9]+", "_", f"{secret}_{key}").upper()
    short = re.sub(r"[^A-Za-z0-9]+", "_", secret).upper()
    names = (whole,) if short in THE_SHELLS_OWN else (whole, short)
    return tuple(f"_{name}" if name[0].isdigit() else name for name in names)


def known_values(file: Path | None) -> dict[str, str]:
    """Return the environment merged over an env file, by default `.env`.

    Raises EnvFileError if the given file does not exist or is not UTF-8.
    """
    path = file or Path(".env")
    if not path.is_file():
        if file is not None:
            raise EnvFileError(
                f"{file} does not exist", "omit --env-file to use only the environment"
            )
        return dict(os.environ)
    from dotenv import dotenv_values  # noqa: PLC0415 - only commands that need secrets have such a file

    try:
        found = dotenv_values(path, interpolate=False, encoding="utf-8")
    except UnicodeDecodeError as error:
        raise EnvFileError(
            f"{path} is not UTF-8: byte {error.start + 1}", "save it as UTF-8"
        ) from None
    return {name: value for name, value in found.items() if value is not None} | os.environ


def lookup(values: Mapping[str, str], secret: str, key: str) -> str | None:
    """Return the value of a key of a secret, None if no variable has it."""
    name = _source(values, secret, key)
    return None if name is None else values[name]


def _source(values: Mapping[str, str], secret: str, key: str) -> str | None:
    return next((name for name in variables(secret, key) if values.get(name)), None)


def shared(values: Mapping[str, str], asked: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Yield a line for each variable that would be several keys or secrets at once; `asked` has secrets and keys."""
    takers: dict[str, list[tuple[str, str]]] = {}
    for secret, key in dict.fromkeys(asked):
        name = _source(values, secret, key)
        if name is not None:
            takers.setdefault(name, []).append((secret, key))
    for name, several in takers.items():
        if len(several) > 1:
            told = " and ".join(f"secret {secret}, key {key}" for secret, key in several)
            whole = sorted({variables(*one)[0] for one in several})
            hint = "rename one" if len(whole) < len(several) else f"set {' and '.join(whole)}"
            yield f"{name} would be {told}: {hint}"
