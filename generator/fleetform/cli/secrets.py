"""`fleetform secrets`: the secrets of a Compose environment, from .env to files next to compose.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, NoReturn

import typer

from fleetform import pipeline, targets
from fleetform.cli import options
from fleetform.cli.report import PROBLEMS, Format, reported, show, stop
from fleetform.local_values import EnvFileError, known_values
from fleetform.problems import errors


@reported
def command(
    env: options.Env = options.ENV,
    env_file: Annotated[
        Path | None,
        typer.Option("--env-file", help="File with NAME=VALUE lines. Default: .env, if it exists."),
    ] = None,
    agents: options.Agents = options.AGENTS,
    environments: options.Environments = options.ENVIRONMENTS,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder that contains `compose/`.")
    ] = Path(),
) -> None:
    """Write the secrets that a Compose environment needs to files that Git ignores.

    Values come from the environment and from .env. The key `api-key` of the secret `openai-api-key`
    is OPENAI_API_KEY_API_KEY, or in short OPENAI_API_KEY. Files are written to
    OUT/compose/ENV/secrets/, which only you can enter. If anything is missing, all of it is listed
    and nothing is written.

    Examples:

      fleetform secrets --env dev

      fleetform secrets --env dev --env-file ~/dev.env && docker compose -f compose/dev/compose.yaml
      up -d
    """
    from fleetform.platforms.compose import secrets  # noqa: PLC0415

    specs = pipeline.read(agents)
    found, problems = pipeline.judged(specs, environments, env, ["compose"])
    if found is None or errors(problems):
        stop(problems, Format.TEXT)
    show([problem for problem in problems if problem.severity == "error"], Format.TEXT)
    folder = out / targets.folder("compose", env)
    try:
        values = known_values(env_file)
    except EnvFileError as error:
        _leave([str(error)], error.hint)
    files, missing = secrets.collect(found.builds["compose"], values, folder)
    if missing:
        _leave([*missing], "set them in the environment or in .env; nothing was written")
    changed = secrets.write(folder, files)
    typer.echo(
        f"{(folder / 'secrets').as_posix()}: {changed} written, {len(files) - changed} unchanged",
        err=True,
    )


def _leave(lines: list[str], hint: str) -> NoReturn:
    for line in lines:
        typer.echo(f"error: {line}", err=True)
    typer.echo(f"  hint: {hint}", err=True)
    raise typer.Exit(PROBLEMS)
