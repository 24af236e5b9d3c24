"""A memory whose libraries are not there says which line brings them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path


def test_what_is_missing_is_told_with_its_cure(tmp_path: Path) -> None:
    gone = "raise ModuleNotFoundError(\"No module named 'numpy'\", name='numpy')\n"
    (tmp_path / "numpy.py").write_text(gone)
    home = tmp_path / "home"
    home.mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "sparkplug.memory", "--home", str(home)],
        input=json.dumps({"url": "nats://127.0.0.1:1", "node": "here"}) + "\n",
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    error = json.loads(done.stdout)["error"]
    assert done.returncode == 1
    assert "numpy" in error["message"]
    assert "sparkplug-control[memory]" in error["hint"]
    assert "Traceback" not in done.stderr
