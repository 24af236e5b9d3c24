"""How the whole mesh went: its GPUs, or without any its processors, in one plot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from sparkplug.schema.shares import memory_percent
from sparkplug.tui.units import PERCENT
from sparkplug.tui.widgets.plot.picture import Series
from sparkplug.tui.widgets.plot.plot import Plot
from sparkplug.tui.widgets.plot.record import Record

if TYPE_CHECKING:
    from sparkplug.schema.host import HostSample
    from sparkplug.schema.node_services import HostView
    from sparkplug.schema.past import PastSample

#: Samples kept, one a second; with more than `_JOINS` seconds between two, none were heard.
_KEPT = 3600
_JOINS = 5.0
_JUMPS = 12
#: Samples of several hosts that come together are one moment of the mesh.
_BETWEEN_S = 0.5

_OF_GPUS = (
    Series("busy", "busy", "b"),
    Series("memory", "memory", "m"),
    Series("power", "power of cap", "p"),
)
_OF_HOSTS = (Series("cpu", "cpu", "c"), Series("host memory", "memory", "m"))


class MeshPlot(Plot):
    """The means over all hosts that are heard of, second by second."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__("mesh", unit=PERCENT, ends=(0.0, 100.0), id=id)
        self.record = Record(_KEPT, _JOINS)
        self._first = 0.0

    def draw_mesh(
        self, hosts: Sequence[HostView], history: Mapping[str, Sequence[HostSample | PastSample]]
    ) -> None:
        """Take in what is new, and show it."""
        heard = [list(history[host.node.host]) for host in hosts if history.get(host.node.host)]
        if not heard:
            return
        longest = max(heard, key=len)
        first = longest[0].time.timestamp()
        if self.record.newest is None or first < self._first - _JOINS:
            # What a host remembers comes after its first samples, and lies before them.
            self.record = Record(_KEPT, _JOINS)
            self._first = first
            for back in range(len(longest), 0, -1):
                samples = [samples[-back] for samples in heard if len(samples) >= back]
                self.record.add(longest[-back].time.timestamp(), _means(samples))
        else:
            newest = max(samples[-1].time.timestamp() for samples in heard)
            if newest >= self.record.newest + _BETWEEN_S:
                live = [samples[-1] for samples in heard]
                live = [one for one in live if newest - one.time.timestamp() < _JOINS]
                self.record.add(newest, _means(live))
        gpus = any(host.sample is not None and host.sample.gpus for host in hosts)
        self.retitle("gpus" if gpus else "hosts", "means of all")
        self.jump = max(1, self.size.width // _JUMPS)
        self.show(self.record, _OF_GPUS if gpus else _OF_HOSTS)


def _means(samples: Iterable[HostSample | PastSample]) -> dict[str, float | None]:
    """The means of one moment, in percent; None for what nobody tells."""
    samples = list(samples)
    gpus = [gpu for sample in samples for gpu in sample.gpus]
    memory = [gpu.memory for gpu in gpus if gpu.memory is not None]
    capped = [
        (gpu.power_watts, gpu.power_limit_watts)
        for gpu in gpus
        if gpu.power_watts is not None and gpu.power_limit_watts
    ]
    return {
        "busy": _mean([gpu.utilization_percent for gpu in gpus]),
        "memory": _share(sum(m.used_bytes for m in memory), sum(m.total_bytes for m in memory)),
        "power": _share(sum(watts for watts, _ in capped), sum(cap for _, cap in capped)),
        "cpu": _mean([sample.cpu.percent for sample in samples]),
        "host memory": _mean([memory_percent(sample) for sample in samples]),
    }


def _mean(values: Iterable[float | None]) -> float | None:
    told = [value for value in values if value is not None]
    return sum(told) / len(told) if told else None


def _share(part: float, whole: float) -> float | None:
    return 100.0 * part / whole if whole else None
