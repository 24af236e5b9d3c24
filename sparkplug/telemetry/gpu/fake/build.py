"""Compiling the scripted NVML library with the machine's own C compiler."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from sparkplug.schema.errors import SparkplugError

SOURCES = Path(__file__).parent
LIBRARY = "libnvidia-ml.so.1"
COMPILE_SECONDS = 60.0


class NoCompilerError(SparkplugError):
    """There is no C compiler to build the scripted driver with."""

    code = "no_compiler"


def build_fake_nvml(folder: Path) -> Path:
    """Compile the scripted NVML into `folder` and return the path of its libnvidia-ml.so.1.

    The library lies in a folder of `folder` named for the hash of its source, so a second call
    compiles nothing; a build is moved into place whole, so several processes may ask at once.
    Raises NoCompilerError without a C compiler, SparkplugError when compiling fails.
    """
    files = sorted(SOURCES.glob("*.[ch]"))
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:16]
    library = folder / f"fake-nvml-{digest}" / LIBRARY
    if library.exists():
        return library
    compiler = _compiler()
    library.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=library.parent) as scratch:
        built = Path(scratch) / LIBRARY
        command = [compiler, "-std=gnu11", "-O2", "-fPIC", "-shared", "-fvisibility=hidden"]
        command += ["-Wl,-soname," + LIBRARY, "-o", str(built)]
        command += [*(str(path) for path in files if path.suffix == ".c"), "-lpthread", "-lm"]
        try:
            result = subprocess.run(
                command, capture_output=True, text=True, timeout=COMPILE_SECONDS, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise SparkplugError(
                f"compiling the scripted driver took more than {COMPILE_SECONDS:.0f} s",
                where=str(SOURCES),
                hint="try again when the machine is less busy",
            ) from error
        if result.returncode != 0:
            raise SparkplugError(
                f"the C compiler refused the scripted driver: {result.stderr.strip()[:500]}",
                where=str(SOURCES),
                hint="check that the C library's headers are there: apt-get install libc6-dev",
            )
        built.replace(library)
    return library


def _compiler() -> str:
    for name in (os.environ.get("CC"), "cc", "gcc", "clang"):
        found = shutil.which(name) if name else None
        if found:
            return found
    raise NoCompilerError(
        "the scripted GPU driver needs a C compiler and none was found",
        hint="apt-get install gcc libc6-dev, or set CC",
    )
