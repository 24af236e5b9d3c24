"""The host's figures for Prometheus, on loopback alone: GET /metrics.

Written by prometheus_client from the last sample. Names follow Prometheus's conventions: base
units, `_total` for what only rises. What a device does not support is not there.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from sparkplug.schema.errors import SparkplugError
from sparkplug.schema.gpu import Gpu
from sparkplug.schema.host import HostSample

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

LOG = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"
_REQUEST_SECONDS = 5.0
_HEAD_BYTES = 16 << 10
_CONNECTIONS = 8
_TYPE = "text/plain; version=0.0.4; charset=utf-8"
#: Figures of a GPU by name: what they are, and how they are read.
_GPU: dict[str, tuple[str, Callable[[Gpu], float | None]]] = {
    "utilization_ratio": ("Share of time a kernel ran.", lambda g: _ratio(g.utilization_percent)),
    "memory_bus_ratio": (
        "Share of time memory was read or written.",
        lambda g: _ratio(g.memory_bus_percent),
    ),
    "encoder_ratio": ("Use of the video encoder.", lambda g: _ratio(g.encoder_percent)),
    "decoder_ratio": ("Use of the video decoder.", lambda g: _ratio(g.decoder_percent)),
    "memory_total_bytes": ("Memory.", lambda g: g.memory.total_bytes if g.memory else None),
    "memory_used_bytes": ("Memory in use.", lambda g: g.memory.used_bytes if g.memory else None),
    "power_watts": ("Power drawn.", lambda g: g.power_watts),
    "power_limit_watts": ("Power limit enforced.", lambda g: g.power_limit_watts),
    "temperature_celsius": ("Temperature of the core.", lambda g: g.temperature_celsius),
    "memory_temperature_celsius": (
        "Temperature of the memory.",
        lambda g: g.temperature_memory_celsius,
    ),
    "sm_clock_hertz": (
        "SM clock.",
        lambda g: _hertz(g.sm_clock_mhz),
    ),
    "fan_ratio": ("Fan speed.", lambda g: _ratio(g.fan_percent)),
    "remapped_rows_pending": (
        "Whether rows wait for a reset.",
        lambda g: None if g.remapped_rows_pending is None else float(g.remapped_rows_pending),
    ),
    "pcie_receive_bytes_per_second": (
        "Received over PCIe.",
        lambda g: g.pcie.receive_bytes_per_second if g.pcie else None,
    ),
    "pcie_transmit_bytes_per_second": (
        "Sent over PCIe.",
        lambda g: g.pcie.transmit_bytes_per_second if g.pcie else None,
    ),
    "nvlink_receive_bytes_per_second": (
        "Received over NVLink.",
        lambda g: g.nvlink.receive_bytes_per_second if g.nvlink else None,
    ),
    "nvlink_transmit_bytes_per_second": (
        "Sent over NVLink.",
        lambda g: g.nvlink.transmit_bytes_per_second if g.nvlink else None,
    ),
    "nvlinks_active": ("NVLinks that are up.", lambda g: g.nvlink.active if g.nvlink else None),
    "tensor_ratio": ("Use of tensor cores.", lambda g: _ratio(g.gpm and g.gpm.tensor_percent)),
    "sm_ratio": ("SMs that were busy.", lambda g: _ratio(g.gpm and g.gpm.sm_percent)),
}
_GPU_TOTALS: dict[str, tuple[str, Callable[[Gpu], float | None]]] = {
    "energy_joules": ("Energy since the driver was loaded.", lambda g: g.energy_joules),
    "ecc_uncorrected_errors": (
        "Uncorrected memory errors since the driver was loaded.",
        lambda g: g.ecc_uncorrected_volatile,
    ),
    "ecc_corrected_errors": (
        "Corrected memory errors since the driver was loaded.",
        lambda g: g.ecc_corrected_volatile,
    ),
    "pcie_replays": ("PCIe replays.", lambda g: g.pcie.replays if g.pcie else None),
}
_INFERENCE = (
    ("requests_running", "Requests in hand.", "requests_running", False),
    ("requests_waiting", "Requests that wait.", "requests_waiting", False),
    ("prompt_tokens", "Tokens read.", "prompt_tokens_total", True),
    ("generated_tokens", "Tokens generated.", "generated_tokens_total", True),
    ("first_token_seconds", "Mean time to first token.", "first_token_seconds", False),
    ("kv_cache_ratio", "KV cache in use.", "kv_cache_percent", False),
)


def _ratio(percent: Any) -> float | None:
    return None if percent is None else float(percent) / 100


def _hertz(megahertz: float | None) -> float | None:
    return None if megahertz is None else megahertz * 1e6


class Exporter:
    """Answers for `latest`, the last sample, on `port` of loopback."""

    def __init__(self, latest: Callable[[], HostSample | None], port: int) -> None:
        self._latest = latest
        self._port = port
        self._open = 0

    async def run(self) -> None:
        """Serve until cancelled. Raises SparkplugError when the port is taken."""
        try:
            server = await asyncio.start_server(
                self._serve, LOOPBACK, self._port, limit=_HEAD_BYTES
            )
        except OSError as error:
            raise SparkplugError(
                f"the Prometheus endpoint cannot listen on {LOOPBACK}:{self._port}: {error}",
                hint="telemetry.prometheus_port names another port; 0 is none",
            ) from error
        async with server:
            await server.serve_forever()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        try:
            if self._open > _CONNECTIONS:
                return
            async with asyncio.timeout(_REQUEST_SECONDS):
                line = (await reader.readuntil(b"\r\n")).decode("latin-1").split()
                while await reader.readuntil(b"\r\n") != b"\r\n":
                    pass
                status, body = self._answer(line)
                writer.write(
                    f"HTTP/1.1 {status}\r\nContent-Type: {_TYPE}\r\n"
                    f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
                )
                writer.write(body)
                await writer.drain()
        except (TimeoutError, OSError, EOFError, asyncio.LimitOverrunError) as error:
            LOG.debug("a scrape was not answered: %s", error)
        finally:
            self._open -= 1
            with contextlib.suppress(OSError):
                writer.close()

    def _answer(self, words: list[str]) -> tuple[str, bytes]:
        if len(words) < 2 or words[0] != "GET":
            return "405 Method Not Allowed", b"only GET is answered\n"
        if words[1].partition("?")[0] not in ("/metrics", "/"):
            return "404 Not Found", b"the figures are at /metrics\n"
        sample = self._latest()
        if sample is None:
            return "503 Service Unavailable", b"there is no sample yet\n"
        return "200 OK", exposition(sample)


def exposition(sample: HostSample) -> bytes:
    """A sample as Prometheus reads it."""
    from prometheus_client import CollectorRegistry, generate_latest

    class Collected:
        def collect(self) -> Iterable[Metric]:
            return _families(sample)

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Collected())
    return generate_latest(registry)


def _families(sample: HostSample) -> Iterator[Metric]:
    from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily

    def gauge(name: str, help_text: str, value: float | None) -> Iterator[Metric]:
        if value is not None:
            yield GaugeMetricFamily(f"sparkplug_host_{name}", help_text, value=value)

    yield from gauge("cpu_ratio", "Busy share of all cores.", sample.cpu.percent / 100)
    yield from gauge("load1", "Load over a minute.", sample.cpu.load1)
    yield from gauge("memory_total_bytes", "Memory.", sample.memory.total_bytes)
    yield from gauge("memory_available_bytes", "MemAvailable.", sample.memory.available_bytes)
    yield from gauge("uptime_seconds", "Since the host booted.", sample.uptime_seconds)
    yield from gauge("simulated", "1: GPU figures are scripted.", float(sample.simulated))
    stall = GaugeMetricFamily(
        "sparkplug_host_pressure_ratio", "Stalled share of 10 s.", labels=["resource"]
    )
    for resource, pressure in sample.pressure.items():
        stall.add_metric([resource], pressure.some_avg10 / 100)
    yield stall
    well = GaugeMetricFamily("sparkplug_gpu_up", "1: the GPU answers.", labels=["gpu", "uuid"])
    for gpu in sample.gpus:
        well.add_metric([str(gpu.index), gpu.uuid], float(str(gpu.state) == "ok"))
    yield well
    for name, (help_text, read) in _GPU.items():
        family = GaugeMetricFamily(f"sparkplug_gpu_{name}", help_text, labels=["gpu", "uuid"])
        yield _filled(family, sample.gpus, read)
    for name, (help_text, read) in _GPU_TOTALS.items():
        total = CounterMetricFamily(f"sparkplug_gpu_{name}", help_text, labels=["gpu", "uuid"])
        yield _filled(total, sample.gpus, read)
    reasons = GaugeMetricFamily(
        "sparkplug_gpu_clock_limited", "1 for each reason clocks are low.", labels=["gpu", "reason"]
    )
    for gpu in sample.gpus:
        for reason in gpu.clock_event_reasons:
            reasons.add_metric([str(gpu.index), reason], 1.0)
    yield reasons
    for name, help_text, attribute, rises in _INFERENCE:
        made: Any = CounterMetricFamily if rises else GaugeMetricFamily
        served = made(f"sparkplug_inference_{name}", help_text, labels=["kind", "url"])
        for server in sample.inference:
            value = getattr(server, attribute)
            if value is not None:
                share = 100 if attribute.endswith("percent") else 1
                served.add_metric([server.kind, server.url], float(value) / share)
        yield served


def _filled(family: Any, gpus: Iterable[Gpu], read: Callable[[Gpu], float | None]) -> Metric:
    for gpu in gpus:
        value = read(gpu)
        if value is not None:
            family.add_metric([str(gpu.index), gpu.uuid], float(value))
    found: Metric = family
    return found
