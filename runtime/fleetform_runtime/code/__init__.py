"""Code that a model or a specification brings, run where it can reach nothing."""


class CodeError(Exception):
    """Code did not come to its end; the message is for who wrote it."""
