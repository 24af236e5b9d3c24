"""How a host went: plots of its CPU, memory, network and GPUs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from textual.containers import Vertical

from sparkplug.tui.panes.host_lines import gpu_memory_percent, memory_percent
from sparkplug.tui.units import BYTES_PER_SECOND, CELSIUS, PERCENT, WATTS, Unit
from sparkplug.tui.widgets.plot.picture import Limit, Series
from sparkplug.tui.widgets.plot.plot import Plot
from sparkplug.tui.widgets.plot.record import Record

if TYPE_CHECKING:
    from sparkplug.schema.host import Gpu, HostSample
    from sparkplug.schema.node_services import HostView

#: Samples that are kept of each host that was looked at: an hour.
_KEPT = 3600
#: Samples come once a second; with more than this between two of them (seconds), none were heard.
_JOINS = 5.0
#: Rows a plot has at least, with its border, where several are in sight.
_LEAST_ROWS = 7
#: The picture moves on by this share of its width at once: it is painted that much less often.
_JUMPS = 12


@dataclass(frozen=True)
class Topic:
    """A plot: its name, unit and scale, and what it takes of a host or of each GPU."""

    name: str
    unit: Unit
    top: float | None = None
    of_host: Mapping[str, Callable[[HostSample], float | None]] | None = None
    of_gpu: Callable[[Gpu], float | None] | None = None
    limit: Callable[[Gpu], float | None] | None = None
    limit_name: str = ""


def _down(sample: HostSample) -> float | None:
    return sample.network.receive_bytes_per_second if sample.network else None


def _up(sample: HostSample) -> float | None:
    return sample.network.transmit_bytes_per_second if sample.network else None


def _pressure(name: str) -> Callable[[HostSample], float | None]:
    def found(sample: HostSample) -> float | None:
        value = sample.pressure.get(name)
        return value.some_avg10 if value is not None else None

    return found


#: All plots; where not all fit, the first that do.
TOPICS: tuple[Topic, ...] = (
    Topic(
        "cpu and memory",
        PERCENT,
        100.0,
        of_host={"cpu": lambda sample: sample.cpu.percent, "memory": memory_percent},
    ),
    Topic("gpu busy", PERCENT, 100.0, of_gpu=lambda gpu: gpu.utilization_percent),
    Topic("gpu memory", PERCENT, 100.0, of_gpu=gpu_memory_percent),
    Topic(
        "gpu power",
        WATTS,
        of_gpu=lambda gpu: gpu.power_watts,
        limit=lambda gpu: gpu.power_limit_watts,
        limit_name="cap",
    ),
    Topic(
        "gpu temperature",
        CELSIUS,
        100.0,
        of_gpu=lambda gpu: gpu.temperature_celsius,
        limit=lambda gpu: gpu.slowdown_celsius,
        limit_name="slows at",
    ),
    Topic("network", BYTES_PER_SECOND, of_host={"received": _down, "sent": _up}),
    Topic(
        "pressure",
        Unit("%"),
        of_host={name: _pressure(name) for name in ("cpu", "io", "memory")},
    ),
)
ALL = "all"
NONE = "figures"


class HostPlots(Vertical):
    """Plots of one host, one below the other, or one alone; of all GPUs, or of one."""

    DEFAULT_CSS: ClassVar[str] = """
    HostPlots { display: none; }
    HostPlots Plot { height: 1fr; }
    """

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._records: dict[str, Record] = {}
        self._plots = {
            topic.name: Plot(topic.name, unit=topic.unit, ends=(0.0, topic.top), clock=True)
            for topic in TOPICS
        }
        self._host = ""
        self._sample: HostSample | None = None
        self._drawn: object = None
        #: The plot shown alone, or `all`; `figures` shows none; empty: all where it is wide.
        self.chosen = ""
        #: The UUID of the GPU that is shown alone; empty for all.
        self.gpu = ""

    def compose(self) -> list[Plot]:
        """Every plot; those that are not in sight draw nothing."""
        return list(self._plots.values())

    # What is shown

    def draw(
        self,
        view: HostView | None,
        history: Sequence[HostSample],
        room: tuple[int, int],
        *,
        wide: bool,
    ) -> bool:
        """Show of a host what fits `room` (cells, rows); True when any plot is shown.

        Where it is not `wide`, plots stand in the place of the figures, when asked for. What was
        drawn already is not drawn again.
        """
        self._sample = view.sample if view is not None else None
        if view is None or self._sample is None:
            self.display = False
            return False
        self._host = view.node.host
        record = self._records.setdefault(self._host, Record(_KEPT, _JOINS))
        newest = record.newest or 0.0
        for sample in history:
            if sample.time.timestamp() > newest:
                record.add(sample.time.timestamp(), _values(sample))
        shown = self._arrange(room, wide=wide)
        drawn = (self._host, self.gpu, record.newest, len(record), tuple(shown))
        if drawn != self._drawn:
            self._drawn = drawn
            for name in shown:
                self._show(name)
        return bool(shown)

    def _show(self, name: str) -> None:
        sample = self._sample
        if sample is None:
            return
        topic = next(topic for topic in TOPICS if topic.name == name)
        plot = self._plots[name]
        limits: list[Limit] = []
        if topic.of_host is not None:
            alone = len(topic.of_host) == 1
            series = [Series(f"{name}/{key}", key, key[0], fill=alone) for key in topic.of_host]
        else:
            gpus = self._gpus(sample)
            series = [
                Series(f"{name}/{gpu.uuid}", f"gpu {gpu.index}", _symbol(gpu), fill=len(gpus) == 1)
                for gpu in gpus
            ]
            if topic.limit is not None:
                values = {topic.limit(gpu) for gpu in gpus}
                limits = [Limit(value, topic.limit_name) for value in values if value is not None][
                    :2
                ]
        jump = max(1, plot.size.width // _JUMPS)
        plot.jump = jump
        plot.show(self._records[self._host], series, limits)

    def _gpus(self, sample: HostSample) -> list[Gpu]:
        chosen = [gpu for gpu in sample.gpus if gpu.uuid == self.gpu]
        return chosen or list(sample.gpus)

    # What there is room for

    @property
    def names(self) -> list[str]:
        """The plots that this host has values for."""
        sample = self._sample
        if sample is None:
            return []
        return [
            topic.name
            for topic in TOPICS
            if (topic.of_gpu is None or sample.gpus)
            and (topic.name != "network" or sample.network is not None)
            and (topic.name != "pressure" or sample.pressure)
        ]

    def _arrange(self, room: tuple[int, int], *, wide: bool) -> list[str]:
        names = self.names
        shown: list[str] = []
        if self.chosen in names:
            shown = [self.chosen]
        elif self.chosen == ALL or (self.chosen != NONE and wide):
            shown = names[: max(1, room[1] // _LEAST_ROWS)]
        for name, plot in self._plots.items():
            plot.display = name in shown
            # All have the same times: the lowest tells them.
            plot.times = name == shown[-1] if shown else False
        self.display = bool(shown)
        return shown

    def next_plot(self, *, wide: bool) -> str:
        """Show the next plot alone, after the last all of them, then none; its name."""
        order = [ALL, *self.names, NONE] if wide else [NONE, *self.names, ALL]
        before = self.chosen if self.chosen in order else order[0]
        self.chosen = order[(order.index(before) + 1) % len(order)]
        return self.chosen

    def next_gpu(self) -> str:
        """Show the next GPU alone, after the last all of them; what is shown, in words."""
        gpus = self._sample.gpus if self._sample is not None else []
        order = ["", *(gpu.uuid for gpu in gpus)]
        before = self.gpu if self.gpu in order else ""
        self.gpu = order[(order.index(before) + 1) % len(order)]
        return next((f"gpu {gpu.index}" for gpu in gpus if gpu.uuid == self.gpu), "all GPUs")

    def on_plot_cursor_moved(self, event: Plot.CursorMoved) -> None:
        """All plots are read at one time."""
        event.stop()
        for plot in self._plots.values():
            if plot is not event.plot and plot.display:
                plot.place_cursor(event.moment, tell=False)
                plot.pinned = event.plot.pinned

    def on_plot_zoomed(self, event: Plot.Zoomed) -> None:
        """All plots show the same time."""
        event.stop()
        for plot in self._plots.values():
            if plot.span != event.span:
                plot.span = event.span
                plot.update_plot()


def _symbol(gpu: Gpu) -> str:
    """What marks the line of a GPU: its index, in one character."""
    return "0123456789abcdefghijklmnopqrstuvwxyz"[gpu.index % 36]


def _values(sample: HostSample) -> dict[str, float | None]:
    """All that is plotted of a sample."""
    found: dict[str, float | None] = {}
    for topic in TOPICS:
        for key, take in (topic.of_host or {}).items():
            found[f"{topic.name}/{key}"] = take(sample)
        if topic.of_gpu is not None:
            for gpu in sample.gpus:
                found[f"{topic.name}/{gpu.uuid}"] = topic.of_gpu(gpu)
    return found
