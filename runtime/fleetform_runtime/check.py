"""Validation of an agent.json, a workflow.json or a fleet.json before anything is served."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from fleetform_runtime.access.identity import SHORTEST_KEY
from fleetform_runtime.net.tls import build
from fleetform_runtime.secrets import SecretMissingError, Secrets, references
from fleetform_runtime.sections.access import ApiKeyAuth
from fleetform_runtime.sections.base import Tls
from fleetform_runtime.sections.knowledge import Embedding, Knowledge
from fleetform_runtime.sections.model import Model
from fleetform_runtime.sections.tools import CodeTool
from fleetform_runtime.settings import Settings
from fleetform_runtime.telemetry.logs import one_line

Found = TypeVar("Found", bound=BaseModel)


def load(path: Path, kind: type[Found]) -> tuple[Found | None, list[str]]:
    """Read a configuration; return it, or its problems, one line each with JSON path."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        return None, [f"{path}: cannot be read: {error.strerror}"]
    try:
        return kind.model_validate_json(raw), []
    except ValidationError as error:
        return None, lines(path, error, raw)


def problems(
    settings: Settings, folder: Path, secrets: Secrets, *, models: bool = True
) -> list[str]:
    """Return what prevents a valid document from being served here: prompts, secrets, extras."""
    found = _prompt(settings, folder)
    unused = () if models else tuple(f"{path}." for path, _ in settings.every_model)
    found += missing(settings, secrets, unused)
    found += _short_keys(settings, secrets)
    found += [f"{path}: {why}" for path, tls in sections(settings, Tls) if (why := _broken(tls))]
    found += _knowledge(settings)
    found += _code(settings)
    if models:
        found += _extras(settings.every_model)
    return found


def begun(
    options: argparse.Namespace,
    kind: type[Found],
    begin: Callable[[Found, argparse.Namespace, Secrets], int],
) -> int:
    """Read a configuration and its secrets, and begin something with them; return the exit code."""
    settings, found = load(options.config, kind)
    if settings is None:
        return refused(found, 1)
    secrets = Secrets()
    wrong = [*missing(settings, secrets), *_short_keys(settings, secrets)]
    if wrong:
        return refused([f"{options.config}: {line}" for line in wrong], 1)
    return begin(settings, options, secrets)


def refused(lines: Iterable[str], code: int) -> int:
    """Print what is wrong; return the exit code."""
    for line in lines:
        sys.stderr.write(f"error: {one_line(line)}\n")
    return code


def missing(settings: BaseModel, secrets: Secrets, unused: tuple[str, ...] = ()) -> list[str]:
    """Return the secrets that are not here, but for those at paths that begin with one of `unused`."""
    found = []
    for path, reference in references(settings):
        if path.startswith(unused):
            continue
        try:
            secrets.value(reference)
        except SecretMissingError as error:
            found.append(f"{path}: {error}")
    return found


def _prompt(settings: Settings, folder: Path) -> list[str]:
    file = folder / settings.prompt.system.file
    try:
        file.read_text("utf-8")
    except OSError as error:
        return [f"$.prompt.system.file: {file} cannot be read: {error.strerror}"]
    except UnicodeDecodeError:
        return [f"$.prompt.system.file: {file} is not UTF-8"]
    return []


def _short_keys(settings: BaseModel, secrets: Secrets) -> list[str]:
    found, auth = [], getattr(settings, "auth", None)
    if isinstance(auth, ApiKeyAuth):
        for index, key in enumerate(auth.keys):
            try:
                value = secrets.value(key.secret)
            except SecretMissingError:
                continue
            if len(value) < SHORTEST_KEY:
                what = f"the key has {len(value)} characters, fewer than {SHORTEST_KEY}"
                found.append(f"$.auth.keys[{index}].secret: {what}")
    return found


def _extras(asked: Iterable[tuple[str, Model | Embedding]]) -> list[str]:
    return [
        f"{path}.provider: this image lacks the extra {one.provider}"
        for path, one in asked
        if one.facts.module and not _installed(one.facts.module)
    ]


def _knowledge(settings: Settings) -> list[str]:
    lacking = [
        f"{path}.embedding: this image lacks the extra knowledge"
        for path, knowledge in sections(settings, Knowledge)
        if knowledge.embedding is not None
        and knowledge.store.type == "embedded"
        and not _installed("numpy")
    ]
    return lacking + _extras(sections(settings, Embedding))


def _code(settings: Settings) -> list[str]:
    tools = [*sections(settings, CodeTool)]
    if not tools:
        return []
    from fleetform_runtime.code.engines import obstacle  # noqa: PLC0415 - few agents need it

    reasons = [(path, obstacle(tool.engine)) for path, tool in tools]
    return [f"{path}: code cannot be locked in here: {why}" for path, why in reasons if why]


def sections(node: Any, kind: type[Found], path: str = "$") -> Iterator[tuple[str, Found]]:
    """Yield every section of a kind, with its JSON path."""
    if isinstance(node, kind):
        yield path, node
    elif isinstance(node, BaseModel):
        for name, field in type(node).model_fields.items():
            yield from sections(getattr(node, name), kind, f"{path}.{field.alias or name}")
    elif isinstance(node, tuple):
        for index, item in enumerate(node):
            yield from sections(item, kind, f"{path}[{index}]")


def _broken(tls: Tls) -> str | None:
    for name in (tls.ca_file, tls.cert_file, tls.key_file):
        if name is not None and not os.access(name, os.R_OK):
            return f"{name} cannot be read"
    try:
        build(tls)
    except (OSError, ValueError) as error:
        return f"its files are not usable for TLS: {error}"
    return None


def _installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def lines(path: Path, error: ValidationError, raw: bytes) -> list[str]:
    """Return how a document violates its contract, one line each."""
    try:
        document = json.loads(raw)
    except ValueError:
        document = None
    return [
        f"{path}: {_path(item['loc'], document)}: {item['msg'].removeprefix('Value error, ')}"
        for item in error.errors(include_url=False, include_input=False)
    ]


def _path(location: Sequence[int | str], document: Any) -> str:
    """Return a location as a path in the document, without the tags of unions."""
    path, node = "$", document
    for index, step in enumerate(location):
        if isinstance(step, int):
            path += f"[{step}]"
            is_there = isinstance(node, list) and step < len(node)
            node = node[step] if is_there else None
        elif isinstance(node, Mapping) and step in node:
            path += f".{step}"
            node = node[step]
        elif index + 1 == len(location) and not step[:1].isupper():
            path += f".{step}"
    return path
