"""Generate what of docs is derived from tables in the code: `docs.py [--check]`.

A part is enclosed in `<!-- table: NAME -->` and `<!-- end -->` and is replaced as a whole; the pages that
consist of nothing else are made by `reference.py`.
"""

import re
import sys
from collections.abc import Callable
from pathlib import Path

import lock
from reference import pages

from fleetform import prices
from fleetform.contract import EXTRAS, IMAGE_EXTRAS, PROVIDERS
from fleetform.platforms.kubernetes.kinds import KINDS
from fleetform.targets import DEFAULT, TARGETS

DOCS = Path(__file__).resolve().parents[1] / "docs"
RBAC = "rbac.authorization.k8s.io"
PART = re.compile(r"(<!-- table: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


def objects() -> str:
    """Return the table of the kinds of objects and when each is rendered."""
    rows = [f"| {kind.kind} | {kind.when} |" for kind in KINDS]
    return "\n".join(["| object | when |", "|---|---|", *rows])


def rights() -> str:
    """Return the role that may compare every rendered kind by a dry run."""
    groups: dict[str, list[str]] = {}
    for kind in KINDS:
        groups.setdefault(kind.group, []).append(kind.resource)
    lines = [
        "```yaml",
        "apiVersion: rbac.authorization.k8s.io/v1",
        "kind: ClusterRole",
        "metadata: {name: fleetform-plan}",
        "rules:",
    ]
    for group, resources in sorted(groups.items(), key=lambda item: item[0] == RBAC):
        verbs = "get, list, create, patch"
        if group == RBAC:
            lines += [
                "  # Rules of agents with rights of their own: the API server lets nobody grant, even in a",
                "  # dry run, what he does not have.",
            ]
            verbs += ", escalate, bind"
        lines += [
            f"  - apiGroups: [{group or chr(34) * 2}]",
            f"    resources: [{', '.join(resources)}]",
            f"    verbs: [{verbs}]",
        ]
    return "\n".join([*lines, "```"])


def targets() -> str:
    """Return the table of targets, where each writes and what."""
    rows = [
        f"| `{target.name}`{' (the default)' if target.name == DEFAULT else ''} "
        f"| `{target.folder.format('<env>')}/` | {target.writes} |"
        for target in TARGETS
    ]
    return "\n".join(["| target | folder | what |", "|---|---|---|", *rows])


def providers() -> str:
    """Return the table of model providers and the extra of the image that each needs."""
    rows = [
        f"| `{name}` | {f'`{EXTRAS[name]}`' if name in EXTRAS else 'none'} |" for name in PROVIDERS
    ]
    return "\n".join(["| `provider` of a model | extra |", "|---|---|", *rows])


def costs() -> str:
    """Return the table of known prices, and their day."""
    known = prices.known()
    cells = ("inputPerMillion", "outputPerMillion", "cachedInputPerMillion", "cacheWritePerMillion")
    rows = [
        " | ".join([f"| `{provider}`", f"`{model}`", *(f"{price.get(cell, '')}" for cell in cells)])
        + " |"
        for provider, models in known.models.items()
        for model, price in models.items()
    ]
    head = f"As of {known.date}; an empty cell of the last two costs what input does."
    titles = "| provider | model | input | output | read from cache | written to cache |"
    return "\n".join([head, "", titles, "|---|---|--:|--:|--:|--:|", *rows])


def images() -> str:
    """Return the table of the builds of the runtime image, and the extras in each."""
    rows = []
    for one in lock.LOCKS:
        name = Path(one.path).stem
        if one.sources == lock.RUNTIME and Path(one.path).parent.name == "requirements":
            known = [extra for extra in one.extras if extra in IMAGE_EXTRAS]
            rows.append(f"| `{name}` | `[{', '.join(known)}]` |")
    head = ["| `--build-arg REQUIREMENTS=` | `images.extras` of an environment |", "|---|---|"]
    return "\n".join([*head, *rows])


TABLES: dict[str, Callable[[], str]] = {
    "images": images,
    "objects": objects,
    "prices": costs,
    "providers": providers,
    "rights": rights,
    "targets": targets,
}


def _with_parts(text: str) -> str:
    return PART.sub(lambda part: f"{part[1]}{TABLES[part[2]]()}\n{part[3]}", text)


def main(arguments: list[str]) -> int:
    """Write parts and pages, or with --check report the pages that differ."""
    whole = {DOCS / name: text for name, text in pages().items()}
    stale = []
    for page in sorted({*DOCS.rglob("*.md"), *whole}):
        text = page.read_text("utf-8") if page.exists() else ""
        new = whole.get(page) or _with_parts(text)
        if new != text:
            stale.append(page.name)
            if "--check" not in arguments:
                page.write_text(new, "utf-8")
    if stale and "--check" in arguments:
        print(f"stale: {', '.join(stale)}: run `make schemas`", file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
