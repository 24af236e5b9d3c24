"""The Prometheus endpoint: read back by Prometheus's own parser, on loopback, and unharmed."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from sparkplug.schema.errors import SparkplugError
from sparkplug.schema.gpu import Driver, DriverState, Gpu, GpuState
from sparkplug.schema.host import Cpu, HostSample, Memory
from sparkplug.schema.inference import InferenceServer
from sparkplug.telemetry.exporter import Exporter, exposition
from sparkplug.telemetry.inference.http import NoAnswerError, get


def sample() -> HostSample:
    """A host with a GPU at work, one that is lost, and a server of models."""
    return HostSample(
        host="here",
        sequence=1,
        uptime_seconds=5,
        cpu=Cpu(percent=50, user_percent=0, system_percent=0, cores=2, load1=1, load5=0, load15=0),
        memory=Memory(total_bytes=100, available_bytes=75),
        driver=Driver(state=DriverState.OK),
        gpus=[
            Gpu(
                index=0,
                uuid="GPU-0",
                name="any",
                utilization_percent=93,
                energy_joules=1e6,
                clock_event_reasons=["software power cap"],
            ),
            Gpu(index=1, uuid="GPU-1", name="any", state=GpuState.LOST),
        ],
        inference=[
            InferenceServer(kind="vllm", url="http://127.0.0.1:8000", kv_cache_percent=38.0)
        ],
    )


def figures(text: str) -> dict[tuple[str, str], float]:
    """Every value, by its name and its GPU, or other first label."""
    return {
        (one.name, next(iter(one.labels.values()), "")): one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
    }


def test_a_sample_is_read_back_by_prometheus() -> None:
    found = figures(exposition(sample()).decode())
    assert found["sparkplug_host_cpu_ratio", ""] == 0.5
    assert found["sparkplug_gpu_utilization_ratio", "0"] == 0.93
    assert found["sparkplug_gpu_energy_joules_total", "0"] == 1e6
    assert found["sparkplug_gpu_clock_limited", "0"] == 1
    assert found["sparkplug_gpu_up", "0"] == 1
    assert found["sparkplug_gpu_up", "1"] == 0
    assert ("sparkplug_gpu_utilization_ratio", "1") not in found, "a lost GPU has no figures"
    assert ("sparkplug_gpu_fan_ratio", "0") not in found, "what is not supported is not there"
    assert found["sparkplug_inference_kv_cache_ratio", "vllm"] == 0.38


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextlib.asynccontextmanager
async def exporting(latest: HostSample | None) -> AsyncIterator[str]:
    """The URL of an exporter."""
    port = free_port()
    task = asyncio.create_task(Exporter(lambda: latest, port).run())
    url = f"http://127.0.0.1:{port}"
    try:
        async with asyncio.timeout(30):
            while True:
                with contextlib.suppress(NoAnswerError):
                    await get(url, "/", deadline=60)
                    break
                await asyncio.sleep(0.01)
        yield url
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_it_answers_over_http_and_says_what_is_wrong() -> None:
    async with exporting(sample()) as url:
        answer = await get(url, "/metrics", deadline=60)
        assert answer.status == 200
        assert ("sparkplug_gpu_up", "0") in figures(answer.body.decode())
        assert (await get(url, "/other", deadline=60)).status == 404
        port = int(url.rpartition(":")[2])
        for rubbish in (b"POST /metrics HTTP/1.1\r\n\r\n", b"\r\n\r\n", b"\xff" * 100_000):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(rubbish)
            said = b""
            with contextlib.suppress(ConnectionError):
                said = await asyncio.wait_for(reader.read(), 30)
            assert not said.startswith(b"HTTP/1.1 200")
            writer.close()
        assert (await get(url, "/metrics", deadline=60)).status == 200
    async with exporting(None) as url:
        assert (await get(url, "/metrics", deadline=60)).status == 503


async def test_a_port_that_is_taken_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = int(taken.getsockname()[1])
        with pytest.raises(SparkplugError, match=f"127.0.0.1:{port}"):
            await Exporter(lambda: None, port).run()
