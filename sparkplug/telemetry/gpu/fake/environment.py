"""The environment in which a process finds the scripted NVML instead of NVIDIA's."""

from __future__ import annotations

import os
from pathlib import Path

from sparkplug.schema.errors import NotFoundError
from sparkplug.telemetry.gpu.fake.build import build_fake_nvml

SCENARIO_VARIABLE = "SPARKPLUG_FAKE_NVML"


def fake_nvml_environment(scenario: Path, folder: Path) -> dict[str, str]:
    """The variables to add to a process's environment before it starts, so NVML is scripted.

    `scenario` is a .scenario file; the library is built into `folder` where it is not yet there.
    The dynamic linker reads LD_LIBRARY_PATH once, at the start of a process: setting it in a
    running one changes nothing (ld.so(8)). Raises NotFoundError for a scenario that is not there,
    and what `build_fake_nvml` raises.
    """
    if not scenario.is_file():
        raise NotFoundError(
            f"there is no scenario file {scenario.name}",
            where=str(scenario),
            hint="the shipped ones lie in config/scenarios",
        )
    library = build_fake_nvml(folder)
    paths = [str(library.parent), os.environ.get("LD_LIBRARY_PATH", "")]
    return {
        "LD_LIBRARY_PATH": ":".join(path for path in paths if path),
        SCENARIO_VARIABLE: str(scenario.resolve()),
    }
