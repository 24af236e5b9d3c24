"""Very many tasks and Python's collector of cycles: what lives long is not looked at again.

A collection looks at every object there is. With a hundred thousand tasks that takes the better
part of a second, in which no lease is renewed; and while they are read it comes again and again.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def none_meanwhile() -> Iterator[None]:
    """No cycles are collected while the block runs."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


@contextlib.contextmanager
def set_aside() -> Iterator[None]:
    """What is there now is not looked at until the block ends."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
