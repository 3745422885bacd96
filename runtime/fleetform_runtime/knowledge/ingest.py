"""Takes documents into a collection: only those that have changed, and each in whole."""

import hashlib
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from fleetform_runtime.knowledge import (
    Chunk,
    KnowledgeError,
    MismatchError,
    Shape,
    Vectors,
    chunks,
    readers,
    words,
)
from fleetform_runtime.knowledge.embeddings import Embedder
from fleetform_runtime.knowledge.readers import UnreadableDocumentError
from fleetform_runtime.knowledge.search import check, model_of
from fleetform_runtime.sections.knowledge import Embedding

HIDDEN = "."
STDIN = "-"


class Document:
    """A document by its name, which is where it is from."""

    def __init__(self, name: str, data: bytes) -> None:
        self.name = name
        self.data = data

    def digest(self, model: str) -> str:
        """Return a hash that changes with all that its passages depend on."""
        made = hashlib.sha256(f"{chunks.VERSION}\n{model}\n{self.name}\n".encode())
        made.update(self.data)
        return made.hexdigest()


@dataclass
class Report:
    """What was done."""

    added: int = 0
    changed: int = 0
    unchanged: int = 0
    removed: int = 0
    passages: int = 0
    tokens: int = 0
    failed: list[str] = field(default_factory=list)
    """What could not be read, each with the reason."""

    def line(self) -> str:
        """Return one line for people."""
        counts = f"{self.added} added, {self.changed} changed, {self.unchanged} unchanged, {self.removed} removed"
        tokens = f", {self.tokens} tokens embedded" if self.tokens else ""
        failed = f", {len(self.failed)} failed" if self.failed else ""
        return f"{counts}{failed}; {self.passages} passages written{tokens}"


def found(paths: Sequence[str], name: str = "stdin.md") -> Iterator[Document | str]:
    """Yield the documents of files, folders and standard input, or what is wrong with one.

    A folder's documents are named by their path in it. Hidden files and symbolic links out of the folder are
    left out, so that a folder of documents gives away nothing else. Of two documents of one name the first is taken.
    """
    taken: dict[str, str] = {}
    for path in paths:
        for one in _of(path, name):
            if isinstance(one, Document):
                if (first := taken.get(one.name)) is not None:
                    yield f"{one.name}: it is in {first} and in {path}: name the folder above both, or rename one"
                    continue
                taken[one.name] = path
            yield one


def _of(path: str, name: str) -> Iterator[Document | str]:
    """Yield the documents of one path, or what is wrong with one; `name` is that of standard input."""
    if path == STDIN:
        yield Document(name, sys.stdin.buffer.read(readers.LARGEST + 1))
    elif Path(path).is_dir():
        yield from _folder(Path(path))
    else:
        yield _file(Path(path), Path(path).name)


def _folder(folder: Path) -> Iterator[Document | str]:
    top = folder.resolve()
    for file in sorted(folder.rglob("*")):
        name = PurePosixPath(file.relative_to(folder))
        # A volume of a ConfigMap holds its files behind links to hidden folders.
        if any(part.startswith(HIDDEN) for part in name.parts) or not file.is_file():
            continue
        if not file.resolve().is_relative_to(top):
            yield f"{name}: it is a link out of the folder"
        elif file.suffix.lower() in readers.READERS:
            yield _file(file, str(name))


def _file(file: Path, name: str) -> Document | str:
    if name != name.encode(errors="replace").decode():
        return f"{name.encode(errors='replace').decode()}: its name is not UTF-8"
    try:
        with file.open("rb") as opened:
            return Document(name, opened.read(readers.LARGEST + 1))
    except OSError as error:
        return f"{name}: {error.strerror}"


class Ingest:
    """Takes documents into one collection."""

    def __init__(
        self, store: Vectors, embedder: Embedder | None = None, embedding: Embedding | None = None
    ) -> None:
        self._store = store
        self._embedder = embedder
        self._embedding = embedding
        self._model = model_of(embedding)

    async def run(self, documents: Iterable[Document | str], *, prune: bool = False) -> Report:
        """Take documents in; what cannot be read is told of, and keeps nothing else from it.

        Raises:
            MismatchError: the collection was made by another model.
            KnowledgeError: the store or the embedding fails; what was taken in until then stays.
        """
        report = Report()
        shape = await self._store.describe()
        if shape is not None:
            check(shape, self._embedding)
            if not shape.ours:
                raise MismatchError(
                    "the collection is filled by others, and was left as it is: name another one"
                )
        known = await self._store.documents() if shape is not None else {}
        seen: set[str] = set()
        for document in documents:
            if isinstance(document, str):
                report.failed.append(document)
                seen.add(document.partition(":")[0])
                continue
            seen.add(document.name)
            digest = document.digest(f"{self._model} {self._dimension()}")
            if known.get(document.name) == digest:
                report.unchanged += 1
                continue
            try:
                made = cut(document)
            except UnreadableDocumentError as error:
                report.failed.append(f"{document.name}: {error}")
                continue
            made = await self._embedded(made)
            shape = shape or await self._create(made)
            await self._store.replace(document.name, digest, made)
            report.passages += len(made)
            if document.name in known:
                report.changed += 1
            else:
                report.added += 1
            known[document.name] = digest
        gone = sorted(known.keys() - seen) if prune else []
        if gone:
            await self._store.remove(gone)
        report.removed = len(gone)
        if shape is None:
            await self._create([])
        return report

    def _dimension(self) -> int:
        return (self._embedding.dimension or 0) if self._embedding else 0

    async def _embedded(self, made: list[Chunk]) -> list[Chunk]:
        if self._embedder is None or not made:
            return made
        vectors = await self._embedder.documents([chunk.content for chunk in made])
        return [
            Chunk(chunk.number, chunk.content, chunk.words, chunk.metadata, vector)
            for chunk, vector in zip(made, vectors, strict=True)
        ]

    async def _create(self, made: Sequence[Chunk]) -> Shape | None:
        """Create the collection; the first vector says how long they are if the specification does not."""
        first = next((chunk.vector for chunk in made if chunk.vector is not None), None)
        dimension = len(first) if first is not None else self._dimension()
        if self._embedder is not None and not dimension:
            return None
        shape = Shape(self._model, dimension)
        await self._store.create(shape)
        return shape


def cut(document: Document) -> list[Chunk]:
    """Return the passages of a document.

    Raises:
        UnreadableDocumentError: it cannot be read.
    """
    made: list[Chunk] = []
    for part in readers.read(document.name, document.data):
        for piece in chunks.cut(part.text, markdown=part.markdown, title=part.title):
            made.append(
                Chunk(
                    len(made),
                    piece.content,
                    words.of_passage(document.name, piece.content),
                    {**part.metadata, **_about(document.name, piece.headings)},
                )
            )
    return made


def _about(name: str, headings: tuple[str, ...]) -> dict[str, str]:
    """Return what every passage says of itself, whatever a document says of itself."""
    folder = str(PurePosixPath(name).parent)
    known = {"source": name}
    if folder != ".":
        known["folder"] = folder
    if headings:
        known["heading"] = " > ".join(headings)
    return known


__all__ = ["Document", "Ingest", "KnowledgeError", "Report", "cut", "found"]
