"""Processes of a GPU in lines: those that run, and what was accounted of those that ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sparkplug.schema.text import one_line
from sparkplug.tui.cells import Line, Span, fit
from sparkplug.tui.figures import UNSUPPORTED, duration, number, size

if TYPE_CHECKING:
    from sparkplug.schema.gpu import AccountedProcess, Gpu, GpuProcess

LABEL = 8
_PROCESSES = 12
_ACCOUNTED = 8


def process_lines(gpu: Gpu, *, brief: bool = False) -> list[Line]:
    """As a tree: those that one process started stand below it."""
    lines: list[Line] = []
    shown = gpu.processes[:_PROCESSES]
    parents = _shared_parents(shown)
    told: set[int] = set()
    for process in sorted(shown, key=lambda p: (parents.get(p.pid, (p.pid, ""))[0], p.pid)):
        parent = parents.get(process.pid)
        if parent is not None and parent[0] not in told:
            told.add(parent[0])
            if all(parent[0] != other.pid for other in shown):
                use = "" if brief else f"{'':9}"
                head = ("dim", f"{'':18} {'':5} {'':7} {use}{one_line(parent[1])}")
                lines.append(figure_line(f"{parent[0]:>7}", head))
        lines.append(_process(process, below=parent is not None, brief=brief))
    if len(gpu.processes) > _PROCESSES:
        more = len(gpu.processes) - _PROCESSES
        lines.append(figure_line("", ("dim", f"and {more} more processes")))
    return lines


def _shared_parents(processes: Sequence[GpuProcess]) -> dict[int, tuple[int, str]]:
    """For each process the nearest above it that is one of them, or is above another too."""
    above: dict[int, int] = {}
    for process in processes:
        for link in process.ancestors:
            above[link.pid] = above.get(link.pid, 0) + 1
    own = {process.pid for process in processes}
    found: dict[int, tuple[int, str]] = {}
    for process in processes:
        for link in process.ancestors[:3]:
            # What everything descends from (a shell, a session) makes no family.
            several = above[link.pid] > 1 and link.name not in ("bash", "sh", "zsh", "sshd", "tmux")
            if link.pid in own or several:
                found[process.pid] = (link.pid, link.name)
                break
    return found


def _process(process: GpuProcess, *, below: bool, brief: bool) -> Line:
    owner = process.agent or process.user or ""
    where = [process.container, f"job {process.slurm_job}" if process.slurm_job else None]
    where.append(f"user {process.user}" if process.agent and process.user else None)
    where.append(process.kind if process.kind not in (None, "compute") else None)
    engines = (("encoder", process.encoder_percent), ("decoder", process.decoder_percent))
    where += [f"{name} {share:.0f}%" for name, share in engines if share]
    if process.gpu_instance is not None:
        where.append(f"gi {process.gpu_instance}")
    branch = "└ " if below else ""
    return figure_line(
        f"{process.pid:>7}",
        ("focus" if process.agent else "dim", fit(owner, 18) + " "),
        ("text", f"{size(process.used_bytes):>5} "),
        ("dim", f"sm {number(process.sm_percent, '%'):>4} "),
        ("dim", "" if brief else f"bus {number(process.memory_bus_percent, '%'):>4} "),
        ("dim", branch),
        ("text", one_line(process.name or "")),
        ("dim", "".join(f" · {one_line(text)}" for text in where if text)),
        # What it was started as, where there is room for it.
        ("dim", f" · {one_line(process.command)}" if process.command else ""),
    )


def accounted_lines(gpu: Gpu) -> list[Line]:
    """What the driver accounted of those that ended; those that run stand above."""
    if not gpu.accounting:
        return []
    ended = [process for process in gpu.accounted if not process.running]
    if not ended:
        return [figure_line("ended", ("dim", "none that the driver accounted"))]
    lines = [
        figure_line("ended" if not place else "", *_account(process))
        for place, process in enumerate(ended[:_ACCOUNTED])
    ]
    if len(ended) > _ACCOUNTED:
        lines.append(figure_line("", ("dim", f"and {len(ended) - _ACCOUNTED} more that ended")))
    return lines


def _account(process: AccountedProcess) -> Line:
    began = process.started.astimezone() if process.started is not None else None
    ran = UNSUPPORTED if process.seconds is None else duration(process.seconds)
    return (
        ("dim", f"{process.pid:>7} "),
        ("text", f"most {size(process.max_memory_bytes):>5} "),
        (
            "dim",
            f"busy {number(process.utilization_percent, '%'):>4} "
            f"bus {number(process.memory_bus_percent, '%'):>4} · ran {ran}"
            + (f" from {began:%d %b %H:%M}" if began is not None else ""),
        ),
    )


def figure_line(label: str, *spans: Span) -> Line:
    """A line of figures behind what they are of."""
    return (("dim", f"{label:<{LABEL}} "), *spans)
