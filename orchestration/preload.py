"""What a run needs, read once in the process from which runs are forked (`orchestration.code_server`)."""

import gc
from contextlib import suppress

import great_expectations  # noqa: F401  six seconds, for the quality suites
import matplotlib.backends.backend_agg
import matplotlib.figure
import PIL.Image
import scipy.stats  # noqa: F401  two seconds, for what step 8 tests
from dbt.cli import main  # noqa: F401  three seconds, for the marts
from dbt.task import build  # noqa: F401  what the first of them imports

import adapters.uploads.collection  # noqa: F401  a second, for step 1 where there is a MongoDB
import orchestration.definitions  # noqa: F401  the assets and what they import
from assets.dbt import RUNNER
from propdesk.core.errors import PropdeskError

GC_THRESHOLD = 100_000
_DRAWING = (matplotlib.figure.Figure, matplotlib.backends.backend_agg.FigureCanvasAgg, PIL.Image.Image)

# Whoever runs reads the project anew if it could not be read here; a fault now would leave no run a parent.
with suppress(PropdeskError, OSError):
    _PROJECT = RUNNER.parsed

# What stands here is never garbage. Without this every run walks through all of it again and again, and
# makes a copy of the pages that it shares with this process.
gc.collect()
gc.freeze()
# A step holds a million rows' objects while it works, and none of them in a cycle.
gc.set_threshold(GC_THRESHOLD, *gc.get_threshold()[1:])
