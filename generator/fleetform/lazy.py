"""Regular expressions that are compiled when they are first used: most runs need few of them, and start sooner."""

from __future__ import annotations

import re
from functools import cached_property
from typing import Any, cast


class _Lazy:
    """Stands for a pattern, and becomes it for whoever asks for one of its methods."""

    def __init__(self, text: str, flags: re.RegexFlag) -> None:
        self._text, self._flags = text, flags

    @cached_property
    def _compiled(self) -> re.Pattern[str]:
        return re.compile(self._text, self._flags)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._compiled, name)
        self.__dict__[name] = found  # the next use costs no more than that of the pattern itself
        return found


def regex(text: str, flags: re.RegexFlag = re.NOFLAG) -> re.Pattern[str]:
    """Return a pattern that is compiled at its first use; tests/unit/test_lazy.py compiles all of them."""
    return cast("re.Pattern[str]", _Lazy(text, flags))
