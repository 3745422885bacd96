"""`fleetform pin`: the digests that tags have now → the pins of an environment."""

from __future__ import annotations

from typing import Annotated

import typer

from fleetform import pins, pipeline, registries
from fleetform.cli import options
from fleetform.cli.report import Format, reported
from fleetform.migrate import files
from fleetform.plan.images import full_name
from fleetform.problems import Problem, SpecError, refuse
from fleetform.resolve import environment as spaces
from fleetform.tree import at


@reported
def command(
    images: Annotated[
        list[str],
        typer.Argument(
            metavar="IMAGE:TAG...",
            help="Repositories as specs name them, without the environment's registry, and tags.",
            show_default=False,
        ),
    ],
    env: Annotated[
        str, typer.Option("--env", "-e", envvar="ENV", help="Environment.", show_default=False)
    ],
    environments: options.Environments = options.ENVIRONMENTS,
    form: options.Form = Format.TEXT,
) -> None:
    """Pin images to what their tags are now.

    Asks the registry for each digest, and writes tag and digest to `images.pins` of the environment's
    own file; comments stay. Signs in as `docker login` did. Only what `git diff` shows is changed.

    Examples:

      fleetform pin fleetform/agent-runtime:0.2.0 --env prod

      fleetform pin team/agent:1.4.2 team/mcp-server:1.4.2 --env prod && make render ENV=prod
    """
    del form
    sources = pipeline.read([environments])
    refuse(sources.problems)
    chain = spaces.chain(sources.documents, env, str(environments))
    registry = at(spaces.merged(chain), ("spec", "images", "registry")) or ""
    found: dict[str, tuple[str, str]] = {}
    problems: list[Problem] = []
    for image in images:
        try:
            repository, tag = _split(image, registry)
            reference = registries.parse(f"{full_name(registry, repository)}:{tag}")
            found[repository] = tag, registries.digest(reference)
        except registries.RegistryError as error:
            problems.append(Problem("error", "no-digest", str(error), hint=error.hint))
        except ValueError:
            message = f"`{image}` is not an image with a tag"
            hint = "write it as REPOSITORY:TAG, such as `team/agent:1.4.2`"
            problems.append(Problem("error", "no-digest", message, hint=hint))
    if problems:
        raise SpecError(problems)
    file = chain[-1].file
    old = files.read(file).decode()
    new = pins.pinned(old, file, env, found)
    if new != old:
        files.replace(file, new)
    for repository, (tag, digest) in found.items():
        typer.echo(f"{repository}:{tag}@{digest}")
    typer.echo(f"{file}: {'pinned' if new != old else 'unchanged'}", err=True)


def _split(image: str, registry: str) -> tuple[str, str]:
    """Return repository and tag; the environment's registry may stand before them.

    Raises ValueError if there is no tag, or a digest behind it.
    """
    repository, _, tag = image.rpartition(":")
    if not repository or "/" in tag or "@" in repository:
        raise ValueError(image)
    return repository.removeprefix(f"{registry}/") if registry else repository, tag
