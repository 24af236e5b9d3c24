"""`sparkplug top`: hosts, GPUs and the busiest processes, once or live."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sys
import termios
import tty
from collections.abc import Iterator
from typing import TYPE_CHECKING

from sparkplug.cli import figures
from sparkplug.cli.context import Cli
from sparkplug.cli.hosts import host_data
from sparkplug.cli.output import cell_text, cell_width, table
from sparkplug.schema.errors import DeadlineError, InvalidError, NoMeshError
from sparkplug.schema.host import DriverState, Gpu, HostSample, Process
from sparkplug.schema.host_needs import host_needs
from sparkplug.schema.node_services import HostView
from sparkplug.schema.plain import plain
from sparkplug.schema.text import one_line

if TYPE_CHECKING:
    from sparkplug.client.session import Client

_EVERY_S = 1.0
_BAR = 10
_CORES = "▁▂▃▄▅▆▇█"
_ALTERNATE_ON = "\x1b[?1049h\x1b[?25l"
_ALTERNATE_OFF = "\x1b[?25h\x1b[?1049l"
_HOME = "\x1b[H"
_LINE_END = "\x1b[K\n"
_CLEAR_BELOW = "\x1b[J"

Frame = list[tuple[HostView, list[Process]]]


async def top(cli: Cli) -> int:
    """One frame with -1, for scripts and without a terminal; else live until q or ctrl-c."""
    args = cli.args
    if args.rows < 0:
        raise InvalidError("--rows is not below zero")
    async with cli.connect() as client:
        if args.once or cli.out.structured or not (cli.out.live and sys.stdin.isatty()):
            frame = await read_frame(client, args.host, args.rows)
            if cli.out.structured:
                cli.out.data([_data(view, processes) for view, processes in frame])
            else:
                for line in frame_lines(frame):
                    cli.out.text(line)
            return 0
        await _live(client, args.host, args.rows)
    return 0


async def read_frame(client: Client, host: str | None, rows: int) -> Frame:
    """The hosts with a sample each, and their `rows` busiest processes."""
    from sparkplug.client import hosts as room

    views = [await room.describe(client, host)] if host else await room.list_hosts(client)

    async def busiest(view: HostView) -> list[Process]:
        if view.sample is None or not rows:
            return []
        try:
            reply = await room.processes(client, view.name)
        except (NoMeshError, DeadlineError):
            return []
        by_use = sorted(reply.processes, key=lambda p: (-p.cpu_percent, -p.rss_bytes, p.pid))
        return by_use[:rows]

    tables = await asyncio.gather(*(busiest(view) for view in views))
    return list(zip(views, tables, strict=True))


async def _live(client: Client, host: str | None, rows: int) -> None:
    """Redraw in place once a second."""
    leave = asyncio.Event()
    with _screen(leave):
        while not leave.is_set():
            draw(frame_lines(await read_frame(client, host, rows)))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(leave.wait(), _EVERY_S)


@contextlib.contextmanager
def _screen(leave: asyncio.Event) -> Iterator[None]:
    """The terminal's other screen without echo; `leave` is set by q and by a closed stdin."""
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    loop = asyncio.get_running_loop()

    def on_key() -> None:
        if os.read(descriptor, 64) in (b"", b"q", b"Q", b"\x1b", b"\x04"):
            leave.set()

    tty.setcbreak(descriptor)
    loop.add_reader(descriptor, on_key)
    sys.stdout.write(_ALTERNATE_ON)
    try:
        yield
    finally:
        loop.remove_reader(descriptor)
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
        sys.stdout.write(_ALTERNATE_OFF)
        sys.stdout.flush()


def draw(lines: list[str]) -> None:
    """A frame over the one before, cut to the terminal."""
    size = shutil.get_terminal_size()
    shown = [_cut(line, size.columns) for line in lines[: size.lines - 1]]
    sys.stdout.write(_HOME + "".join(line + _LINE_END for line in shown) + _CLEAR_BELOW)
    sys.stdout.flush()


def _cut(line: str, columns: int) -> str:
    while cell_width(line) > columns:
        line = line[: max(columns - 1, len(line) - (cell_width(line) - columns) - 1)]
    return line


def frame_lines(frame: Frame) -> list[str]:
    """The lines of one frame."""
    if not frame:
        return ["no host has joined this mesh"]
    lines: list[str] = []
    for view, processes in frame:
        if lines:
            lines.append("")
        lines += _host_lines(view)
        if processes:
            lines += ["", *_process_lines(processes)]
    return lines


def _host_lines(view: HostView) -> list[str]:
    sample = view.sample
    mark = "  SIMULATED" if view.node.simulated or (sample and sample.simulated) else ""
    if sample is None:
        silent = f"silent for {figures.span(view.age_seconds)}"
        return [one_line(f"{view.name}  {view.state}, {silent}") + mark]
    cpu, memory = sample.cpu, sample.memory
    used = memory.total_bytes - memory.available_bytes
    share = 100 * used / memory.total_bytes if memory.total_bytes else 0.0
    lines = [
        f"{one_line(view.name)}  {view.state}  up {figures.span(sample.uptime_seconds)}"
        f"  load {cpu.load1:.2f} {cpu.load5:.2f} {cpu.load15:.2f}{mark}",
        f"cpu {bar(cpu.percent)} {figures.percent(cpu.percent):>4} of {cpu.cores} cores"
        f"  steal {figures.percent(cpu.steal_percent)}"
        f"  iowait {figures.percent(cpu.iowait_percent)}",
        f"mem {bar(share)} {share:>3.0f}% {figures.size(used)}/{figures.size(memory.total_bytes)}"
        f"  swap {figures.size(sample.swap_used_bytes)}/{figures.size(sample.swap_total_bytes)}",
    ]
    if sample.pressure:
        waits = ", ".join(f"{n} {p.some_avg10:.1f}%" for n, p in sorted(sample.pressure.items()))
        lines.append(f"psi {waits} (some, 10 s)")
    return [
        *lines,
        *_need_lines(view),
        *_io_lines(sample),
        *_gpu_lines(sample),
        *_inference_lines(sample),
    ]


def _need_lines(view: HostView) -> list[str]:
    """What of it a person has to see to."""
    lines = []
    for need in host_needs(view):
        place = f"{need.place} " if need.place.startswith("gpu") else ""
        remedy = f" → {need.remedy}" if need.remedy else ""
        detail = f"  {need.detail}" if need.detail else ""
        lines.append(one_line(f"needs you: {place}{need.what}{remedy}{detail}"))
    return lines


def _io_lines(sample: HostSample) -> list[str]:
    """The cores, what comes in and goes out, the disks at work."""
    lines = []
    if len(sample.cpu.per_core_percent) > 1:
        cells = "".join(_CORES[min(7, int(p / 12.5))] for p in sample.cpu.per_core_percent)
        lines.append(f"cores {cells}")
    if sample.network is not None:
        down, up = sample.network.receive_bytes_per_second, sample.network.transmit_bytes_per_second
        lines.append(f"net in {figures.rate(down)}, out {figures.rate(up)}")
    busy = [d for d in sample.block_devices if d.busy_percent >= 1]
    if busy:
        told = ", ".join(
            f"{one_line(d.name)} {d.busy_percent:.0f}% busy, reads "
            f"{figures.rate(d.read_bytes_per_second)}, writes "
            f"{figures.rate(d.write_bytes_per_second)}"
            for d in busy[:4]
        )
        lines.append(f"io {told}")
    lines += [
        one_line(f"rdma {p.device}/{p.port} {p.state} {p.link} {p.rate or ''}")
        for p in sample.rdma_ports
    ]
    return lines


def _inference_lines(sample: HostSample) -> list[str]:
    if not sample.inference:
        return []
    titles = ["server", "model", "state", "run", "wait", "in tok/s", "out tok/s", "first", "kv"]
    rows = [
        [
            cell_text(cell)
            for cell in (
                f"{server.kind} {server.url.removeprefix('http://127.0.0.1')}",
                ", ".join(m.name for m in server.models if m.loaded is not False) or None,
                str(server.state),
                server.requests_running,
                server.requests_waiting,
                figures.number(server.prompt_tokens_per_second),
                figures.number(server.generated_tokens_per_second),
                None
                if server.first_token_seconds is None
                else f"{server.first_token_seconds:.2f}s",
                figures.percent(server.kv_cache_percent),
            )
        ]
        for server in sample.inference
    ]
    right = [False, False, False, True, True, True, True, True, True]
    return table(titles, rows, right).splitlines()


def _gpu_lines(sample: HostSample) -> list[str]:
    driver = sample.driver
    if not sample.gpus:
        words = "no NVIDIA driver" if driver.state is DriverState.NO_DRIVER else str(driver.state)
        return [one_line(f"gpu {words.replace('_', ' ')} {driver.reason or ''}")]
    titles = ["gpu", "name", "", "util", "memory", "temp", "power", "sm clock", "limited by"]
    rows = [_gpu_row(gpu) for gpu in sample.gpus]
    right = [True, False, False, True, True, True, True, True, False]
    lines = table(titles, rows, right).splitlines()
    if driver.state is not DriverState.OK:
        lines.append(
            f"the driver does not respond: figures are {figures.span(driver.age_seconds)} old"
        )
    return lines


def _gpu_row(gpu: Gpu) -> list[str]:
    memory = gpu.memory
    held = (
        f"{figures.size(memory.used_bytes)}/{figures.size(memory.total_bytes)}" if memory else None
    )
    power = figures.number(gpu.power_watts, "W")
    if gpu.power_limit_watts is not None:
        power += f"/{figures.number(gpu.power_limit_watts, 'W')}"
    reasons = ", ".join(gpu.clock_event_reasons)
    if gpu.state != "ok":
        old = "" if gpu.age_seconds is None else f" {figures.span(gpu.age_seconds)}"
        reasons = f"{gpu.state}{old}"
    cells = (
        gpu.index,
        gpu.name,
        bar(gpu.utilization_percent) if gpu.utilization_percent is not None else None,
        figures.percent(gpu.utilization_percent),
        held,
        figures.number(gpu.temperature_celsius, "°C"),
        power,
        figures.number(gpu.sm_clock_mhz, "MHz"),
        reasons,
    )
    return [cell_text(cell) for cell in cells]


def _process_lines(processes: list[Process]) -> list[str]:
    titles = ["pid", "user", "s", "cpu", "rss", "agent", "command"]
    rows = [
        [
            cell_text(cell)
            for cell in (
                p.pid,
                p.user,
                p.state,
                f"{p.cpu_percent:.1f}%",
                figures.size(p.rss_bytes),
                p.agent,
                p.command or p.name,
            )
        ]
        for p in processes
    ]
    return table(titles, rows, [True, False, False, True, True, False, False]).splitlines()


def bar(percent: float) -> str:
    """A share of 100 as a bar of ten cells."""
    filled = round(min(max(percent, 0.0), 100.0) / 100 * _BAR)
    return "▇" * filled + "▁" * (_BAR - filled)


def _data(view: HostView, processes: list[Process]) -> dict[str, object]:
    table_data = [plain(process) for process in processes]
    return {**host_data(view), "processes": table_data}
