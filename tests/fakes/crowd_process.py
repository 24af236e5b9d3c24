"""A crowd in a process of its own, see `fakes.crowd`."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

_TESTS = Path(__file__).resolve().parents[1]
_END_S = 20.0


@contextlib.contextmanager
def crowd(**size: int) -> Iterator[dict[str, str]]:
    """A mesh with a crowd of this `crowd.Size` on it; the environment that opens it."""
    with tempfile.TemporaryDirectory(prefix="sp-crowd-") as folder:
        environ = {k: v for k, v in os.environ.items() if not k.startswith("SPARKPLUG_")}
        path = os.pathsep.join(filter(None, (str(_TESTS), environ.get("PYTHONPATH"))))
        state = str(Path(folder) / "state")
        words = [f"--{name}={value}" for name, value in size.items()]
        process = subprocess.Popen(
            [sys.executable, "-m", "fakes.crowd", state, *words],
            env={**environ, "PYTHONPATH": path},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n", "the crowd did not come"
            yield {**environ, "SPARKPLUG_HOME": state, "XDG_CONFIG_HOME": str(Path(folder) / "c")}
        finally:
            process.terminate()
            try:
                process.wait(_END_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
