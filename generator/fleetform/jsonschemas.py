"""jsonschema-rs, imported without the modules that it needs to read its own build date."""

from __future__ import annotations

import sys
from types import ModuleType

DATES = "email.utils"
"""Its import takes as long as that of jsonschema-rs, for one call: `parsedate_to_datetime` of the build date."""

if DATES in sys.modules or "jsonschema_rs" in sys.modules:
    import jsonschema_rs
else:
    stub = ModuleType(DATES)
    stub.__dict__["parsedate_to_datetime"] = str
    sys.modules[DATES] = stub
    try:
        import jsonschema_rs
    finally:
        del sys.modules[DATES]

__all__ = ["jsonschema_rs"]
