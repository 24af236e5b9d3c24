"""The built wheel, unpacked elsewhere, is the same program with all its data."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds what `pip install` of the wheel would put into site-packages."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def run(site: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the unpacked program, far from the checkout."""
    environ = {k: v for k, v in os.environ.items() if not k.startswith("SPARKPLUG_")}
    return subprocess.run(
        [sys.executable, "-m", "sparkplug", *words],
        env={**environ, "PYTHONPATH": str(site), "HOME": str(site.parent)},
        cwd=site.parent,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


def test_the_data_folders_travel(site: Path) -> None:
    names = {str(path.relative_to(site)) for path in site.rglob("*") if path.is_file()}
    for wanted in (
        "sparkplug/_data/config/agents/sentinel.yaml",
        "sparkplug/_data/config/plans/host-brief.yaml",
        "sparkplug/_data/themes/neon.toml",
        "sparkplug/_data/plugins/README.md",
        "sparkplug/telemetry/gpu/fake/scenario.h",
        "sparkplug/py.typed",
    ):
        assert wanted in names
    assert not any(name.startswith(("tests/", "config/", "themes/")) for name in names)


def test_it_runs_from_there(site: Path) -> None:
    where = run(site, "config", "path")
    assert where.returncode == 0, where.stderr
    schema = run(site, "schema", "agent")
    assert json.loads(schema.stdout)["properties"]["entrypoint"]


@pytest.mark.slow
def test_its_demo_prints_a_brief(site: Path) -> None:
    result = run(site, "demo")
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("#")
    assert "MemAvailable" in result.stdout or "memory" in result.stdout.lower()
