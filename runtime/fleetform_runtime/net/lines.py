"""Lines of a body that arrives in pieces of any size."""


class Lines:
    """Cuts a stream of bytes into lines, and holds the one that is not complete yet.

    A line may be megabytes long and come in thousands of pieces: none is copied more than twice.
    """

    def __init__(self) -> None:
        self._rest = bytearray()

    @property
    def held(self) -> int:
        """Return the bytes of the line that is not complete yet."""
        return len(self._rest)

    def feed(self, data: bytes) -> list[bytes]:
        """Return the lines that are complete now, without their ends."""
        self._rest += data
        if b"\n" not in data:
            return []
        lines = bytes(self._rest).replace(b"\r\n", b"\n").split(b"\n")
        self._rest = bytearray(lines.pop())
        return lines

    def end(self) -> bytes:
        """Return what stands behind the last end of a line, and hold nothing any more."""
        rest, self._rest = bytes(self._rest), bytearray()
        return rest.removesuffix(b"\r")
