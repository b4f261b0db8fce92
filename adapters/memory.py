"""Memory of this process that nothing uses any more, handed back to the system."""

import ctypes
import gc

import pyarrow as pa


def give_back_memory() -> None:
    """Return what freed frames left behind; allocators keep it for the next request otherwise.

    Notes
    -----
    A step that held a gigabyte would else keep it while PostgreSQL works on the next one.
    """
    gc.collect()
    pa.default_memory_pool().release_unused()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # the GNU C library's; others have none
    if trim is not None:
        trim(0)
