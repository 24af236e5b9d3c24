"""Every figure of a real GPU beside what `nvidia-smi -q -x` says of it. Only where there is one."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import xml.etree.ElementTree as ET

import pytest

from fakes.nvidia_smi import accounts_apart, differences
from sparkplug.schema.gpu import DriverState, Gpu
from sparkplug.telemetry.gpu.client import GpuSource


def has_gpu() -> bool:
    """Whether nvidia-smi is here and finds a GPU."""
    if shutil.which("nvidia-smi") is None:
        return False
    listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False)
    return listed.returncode == 0 and "GPU 0" in listed.stdout


pytestmark = pytest.mark.skipif(not has_gpu(), reason="this machine has no NVIDIA GPU")


async def read() -> tuple[list[Gpu], ET.Element]:
    """What both say, as near in time as they can."""
    source = GpuSource()
    try:
        async with asyncio.timeout(60):
            while True:
                reading = await source.read()
                slow = all(gpu.pcie is not None for gpu in reading.gpus)
                if reading.driver.state is DriverState.OK and reading.gpus and slow:
                    break
                await asyncio.sleep(1)
        said = await asyncio.to_thread(
            subprocess.run, ["nvidia-smi", "-q", "-x"], capture_output=True, check=True
        )
        return (await source.read()).gpus, ET.fromstring(said.stdout)
    finally:
        await source.close()


async def test_every_figure_agrees_with_nvidia_smi() -> None:
    gpus, said = await read()
    elements = said.findall("gpu")
    assert len(gpus) == len(elements)
    apart: list[str] = []
    compared = 0
    for gpu, element in zip(gpus, elements, strict=True):
        found, count = differences(gpu, element)
        apart += [*found, *accounts_apart(gpu, element)]
        compared += count
    assert not apart, "\n".join(apart)
    assert compared > 10 * len(gpus)


async def test_versions_and_processes_agree_with_nvidia_smi() -> None:
    gpus, said = await read()
    source = GpuSource()
    try:
        async with asyncio.timeout(60):
            while (reading := await source.read()).driver.state is not DriverState.OK:
                await asyncio.sleep(0.5)
    finally:
        await source.close()
    assert reading.driver.version == said.findtext("driver_version")
    assert reading.driver.cuda == said.findtext("cuda_version")
    for gpu, element in zip(gpus, said.findall("gpu"), strict=True):
        theirs = {
            int(p.findtext("pid") or 0): p.findtext("used_memory")
            for p in element.findall("processes/process_info")
        }
        ours = {process.pid: process.used_bytes for process in gpu.processes}
        assert set(ours) == set(theirs)
