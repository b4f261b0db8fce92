"""Table definitions; importable only from `adapters.db`."""

import importlib
import pkgutil

from adapters.db.schema.base import SCHEMAS, metadata

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["SCHEMAS", "metadata"]
