"""CrewAI kept to itself: what has to be set before it is imported.

Imported as it comes, it sends telemetry, replaces the handlers of SIGINT and SIGTERM, asks on
the terminal whether to trace, looks for a newer version, reads a `.env` of any folder above,
and writes keys and settings under `$HOME` whatever else is set.
"""

from __future__ import annotations

import atexit
import importlib
import os
import shutil
import sys
import tempfile
from pathlib import Path

#: Of its storage folder, the home it is imported with.
_HOME = "home"

_SET = {
    "CREWAI_DISABLE_TELEMETRY": "true",
    "CREWAI_DISABLE_TRACKING": "true",
    "CREWAI_DISABLE_VERSION_CHECK": "true",
    "CREWAI_TRACING_ENABLED": "false",
    "OTEL_SDK_DISABLED": "true",
    "PYTHON_DOTENV_DISABLED": "1",
}
#: Set for the import alone: OpenBLAS makes its threads then, and a zygote must have none.
_WHILE = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


def import_quietly() -> None:
    """Import CrewAI so that it calls nobody, starts no thread and leaves `$HOME` alone.

    What it keeps goes under `$CREWAI_STORAGE_DIR`, which a node sets; else into a folder for
    temporary files. Raises ImportError when it is not installed.
    """
    if "crewai" in sys.modules:
        os.environ.update(_SET)
        return
    storage = Path(os.environ.setdefault("CREWAI_STORAGE_DIR", "") or _temporary())
    home = storage / _HOME
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.environ.update(_SET | {"CREWAI_STORAGE_DIR": str(storage)})
    before = {name: os.environ.get(name) for name in ("HOME", "XDG_DATA_HOME", *_WHILE)}
    os.environ.pop("XDG_DATA_HOME", None)
    os.environ.update(_WHILE | {"HOME": str(home)})
    try:
        importlib.import_module("crewai")
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _temporary() -> str:
    folder = tempfile.mkdtemp(prefix="sparkplug-crewai-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
