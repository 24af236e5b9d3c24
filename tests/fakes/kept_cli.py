"""The command line kept warm: each call is a process of its own, forked from one that imported it.

A call by a fresh interpreter spends most of its time on importing what the call before it
imported too, and the tests make thousands. A fork has the caller's words, environment, folder
and descriptors, runs what `python -m sparkplug` runs and ends as that does. Where a fresh
interpreter would be another one (by its `PYTHON…`, `LC_…` or `LD_…` variables) the call is
one. What only a fresh interpreter shows is told by `tests/unit/cli/test_process.py` and
`tests/unit/cli/test_imports.py`.
"""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from fakes import kept_call

_TESTS = Path(__file__).resolve().parents[1]


class KeptCli:
    """The warm process, and a folder with a `sparkplug` that calls it."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="sp-cli-"))
        self._socket = str(self._folder / "socket")
        #: First on a PATH it makes `sparkplug` a call of this.
        self.bin = self._folder / "bin"
        self.bin.mkdir()
        script = self.bin / "sparkplug"
        script.write_text(
            f"#!{sys.executable} -IS\nimport sys\nsys.path.append({str(_TESTS / 'fakes')!r})\n"
            f"import kept_call\nsys.exit(kept_call.main({self._socket!r}))\n"
        )
        script.chmod(0o755)
        reader, writer = os.pipe()
        # It ends with its stdin: with us, however we end.
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-c",
                f"import sys; sys.path[:1] = [{str(_TESTS.parent)!r}, {str(_TESTS)!r}]\n"
                f"from fakes.kept_server import main\nmain({self._socket!r}, {writer})",
            ],
            stdin=subprocess.PIPE,
            pass_fds=(writer,),
        )
        os.close(writer)
        with os.fdopen(reader, "rb") as ready:
            assert ready.read(1) == b"1", "the kept command line did not come up"

    def run(
        self, words: Sequence[str], env: Mapping[str, str], stdin: str, timeout: float
    ) -> subprocess.CompletedProcess[str]:
        """Run a verb to its end, its output captured.

        Raises subprocess.TimeoutExpired after `timeout` seconds; the verb is killed then.
        """
        with (
            tempfile.TemporaryFile() as given,
            tempfile.TemporaryFile() as out,
            tempfile.TemporaryFile() as err,
        ):
            given.write(stdin.encode())
            given.seek(0)
            files = [given.fileno(), out.fileno(), err.fileno()]
            try:
                code = kept_call.ask(self._socket, words, env, files, timeout=timeout)
            except TimeoutError:
                raise subprocess.TimeoutExpired(list(words), timeout) from None
            texts = []
            for file in (out, err):
                file.seek(0)
                texts.append(file.read().decode())
        return subprocess.CompletedProcess(list(words), code, *texts)

    def calls(self) -> list[psutil.Process]:
        """The calls that are under way."""
        return psutil.Process(self._process.pid).children()

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()
        shutil.rmtree(self._folder, ignore_errors=True)


@functools.cache
def kept_cli() -> KeptCli:
    """The one of this process; it ends with it."""
    kept = KeptCli()
    atexit.register(kept.close)
    return kept
