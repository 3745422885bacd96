"""PyYAML, imported without compiling the patterns of its own reader: libyaml reads in its place, and needs none of them.

They are compiled when somebody uses them, so PyYAML stays whole. Their compilation takes half of its import.
"""

from __future__ import annotations

import re
import sys

from fleetform.lazy import regex

if "yaml" in sys.modules:
    import yaml
else:
    compiled = re.compile
    re.compile = regex  # type: ignore[assignment]
    try:
        import yaml
    finally:
        re.compile = compiled

from yaml._yaml import CParser

__all__ = ["CParser", "yaml"]
