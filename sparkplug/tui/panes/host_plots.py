"""How a host went: plots of its CPU, memory, network and GPUs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from textual.containers import Vertical

from sparkplug.schema.shares import gpu_memory_percent, memory_percent
from sparkplug.tui.units import BYTES_PER_SECOND, CELSIUS, PERCENT, WATTS, Unit
from sparkplug.tui.widgets.plot.picture import Limit, Series
from sparkplug.tui.widgets.plot.plot import Plot
from sparkplug.tui.widgets.plot.record import Record

if TYPE_CHECKING:
    from sparkplug.schema.history import HistoryReply
    from sparkplug.schema.host import Gpu, HostSample
    from sparkplug.schema.node_services import HostView
    from sparkplug.schema.past import PastGpu, PastSample

#: Samples that are kept of each host that was looked at: an hour.
_KEPT = 3600
#: Points of a longer time, as a node kept it.
_LONG = 5000
#: Of what was heard, so much is in sight at first (seconds).
_SPAN = 120.0
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
    of_host: Mapping[str, Callable[[HostSample | PastSample], float | None]] | None = None
    of_gpu: Callable[[Gpu | PastGpu], float | None] | None = None
    limit: Callable[[Gpu], float | None] | None = None
    limit_name: str = ""
    #: The names under which a node keeps these: by their keys, or one for each GPU.
    kept: Mapping[str, str] | str = ""


@dataclass(frozen=True)
class Span:
    """How far back plots go, as a node kept it: seconds, in so many points."""

    name: str
    seconds: float
    points: int


SPANS = (Span("hour", 3600.0, 720), Span("day", 86400.0, 720), Span("30 days", 30 * 86400.0, 720))


def _down(sample: HostSample | PastSample) -> float | None:
    return sample.network.receive_bytes_per_second if sample.network else None


def _up(sample: HostSample | PastSample) -> float | None:
    return sample.network.transmit_bytes_per_second if sample.network else None


def _pressure(name: str) -> Callable[[HostSample | PastSample], float | None]:
    def found(sample: HostSample | PastSample) -> float | None:
        value = sample.pressure.get(name)
        return value.some_avg10 if value is not None else None

    return found


def _tokens(name: str) -> Callable[[HostSample | PastSample], float | None]:
    def found(sample: HostSample | PastSample) -> float | None:
        rates = [getattr(s, f"{name}_tokens_per_second") for s in sample.inference]
        known = [rate for rate in rates if rate is not None]
        return sum(known) if known else None

    return found


#: All plots; where not all fit, the first that do.
TOPICS: tuple[Topic, ...] = (
    Topic(
        "cpu and memory",
        PERCENT,
        100.0,
        of_host={"cpu": lambda sample: sample.cpu.percent, "memory": memory_percent},
        kept={"cpu": "cpu", "memory": "memory"},
    ),
    Topic("gpu busy", PERCENT, 100.0, of_gpu=lambda gpu: gpu.utilization_percent, kept="busy"),
    Topic("gpu memory", PERCENT, 100.0, of_gpu=gpu_memory_percent, kept="memory"),
    Topic(
        "gpu power",
        WATTS,
        of_gpu=lambda gpu: gpu.power_watts,
        limit=lambda gpu: gpu.power_limit_watts,
        limit_name="cap",
        kept="power",
    ),
    Topic(
        "gpu temperature",
        CELSIUS,
        100.0,
        of_gpu=lambda gpu: gpu.temperature_celsius,
        limit=lambda gpu: gpu.slowdown_celsius,
        limit_name="slows at",
        kept="temperature",
    ),
    Topic(
        "nvlink",
        BYTES_PER_SECOND,
        of_gpu=lambda gpu: gpu.nvlink.receive_bytes_per_second if gpu.nvlink else None,
        kept="nvlink.received",
    ),
    Topic(
        "network",
        BYTES_PER_SECOND,
        of_host={"received": _down, "sent": _up},
        kept={"received": "network.received", "sent": "network.sent"},
    ),
    Topic(
        "tokens",
        Unit(" tokens/s"),
        of_host={"prompt": _tokens("prompt"), "generated": _tokens("generated")},
        kept={"prompt": "inference.prompt", "generated": "inference.generated"},
    ),
    Topic(
        "pressure",
        Unit("%"),
        of_host={name: _pressure(name) for name in ("cpu", "io", "memory")},
        kept={name: f"pressure.{name}" for name in ("cpu", "io", "memory")},
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
        #: The plots that are in sight; and the lines of each, by what they are of.
        self._shown: list[str] | None = None
        self._series: dict[str, tuple[object, list[Series]]] = {}
        #: The plot shown alone, or `all`; `figures` shows none; empty: all where it is wide.
        self.chosen = ""
        #: The UUID of the GPU that is shown alone; empty for all.
        self.gpu = ""
        #: How far back plots go; None: as far as was heard here.
        self.span: Span | None = None
        self._long = Record(_LONG, math.inf)
        self._long_of: tuple[str, Span] | None = None

    def compose(self) -> list[Plot]:
        """Every plot; those that are not in sight draw nothing."""
        return list(self._plots.values())

    # What is shown

    def draw(
        self,
        view: HostView | None,
        history: Sequence[HostSample | PastSample],
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
            self.display, self._shown = False, None
            return False
        self._host = view.node.host
        record = self._records.setdefault(self._host, Record(_KEPT, _JOINS))
        newest = record.newest or 0.0
        for sample in history:
            if sample.time.timestamp() > newest:
                record.add(sample.time.timestamp(), _values(sample))
        shown = self._arrange(room, wide=wide)
        drawn: object = (self._host, self.gpu, record.newest, len(record), tuple(shown))
        if self._is_long:
            drawn = (self._host, self.gpu, self._long.epoch, self.span, tuple(shown))
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
            series = self._lines(topic, ())
        else:
            gpus = self._gpus(sample)
            series = self._lines(topic, gpus)
            if topic.limit is not None:
                values = {topic.limit(gpu) for gpu in gpus}
                limits = [Limit(value, topic.limit_name) for value in values if value is not None][
                    :2
                ]
        jump = max(1, plot.size.width // _JUMPS)
        plot.jump = jump
        if not self._is_long:
            if plot.span is None or plot.span > _KEPT:
                plot.span = _SPAN
            plot.show(self._records[self._host], series, limits)
            return
        assert self.span is not None
        plot.span = self.span.seconds
        plot.show(self._long, series, limits)

    def _lines(self, topic: Topic, gpus: Sequence[Gpu]) -> list[Series]:
        """The lines of a plot: the same ones as long as the GPUs are the same."""
        of = tuple((gpu.uuid, gpu.index) for gpu in gpus)
        known = self._series.get(topic.name)
        if known is not None and known[0] == of:
            return known[1]
        name, hosts = topic.name, topic.of_host or {}
        found = [Series(f"{name}/{key}", key, key[0], fill=len(hosts) == 1) for key in hosts]
        found += [
            Series(f"{name}/{gpu.uuid}", f"gpu {gpu.index}", _symbol(gpu), fill=len(gpus) == 1)
            for gpu in gpus
        ]
        self._series[name] = (of, found)
        return found

    @property
    def _is_long(self) -> bool:
        """Whether what the node kept of this host is there, and asked for."""
        return self.span is not None and self._long_of == (self._host, self.span)

    def next_span(self) -> Span | None:
        """Plots of the next longer time, after the longest of what was heard here."""
        order = [None, *SPANS]
        self.span = order[(order.index(self.span) + 1) % len(order)]
        return self.span

    def take(self, reply: HistoryReply) -> None:
        """What a node kept of its host, over the span that is asked for."""
        if self.span is None:
            return
        found = {series.name: series.means for series in reply.series}
        series: dict[str, Sequence[float | None]] = {}
        uuids = {name.split("/")[1] for name in found if name.startswith("gpu/")}
        for topic in TOPICS:
            if isinstance(topic.kept, str):
                for uuid in uuids:
                    values = found.get(f"gpu/{uuid}/{topic.kept}")
                    if values is not None:
                        series[f"{topic.name}/{uuid}"] = values
                continue
            for key, name in topic.kept.items():
                if name in found:
                    series[f"{topic.name}/{key}"] = found[name]
        self._long = Record(_LONG, 3 * reply.step_seconds)
        self._long.load(reply.times, series)
        self._long_of = (reply.host, self.span)

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
            and (topic.name != "nvlink" or any(gpu.nvlink for gpu in sample.gpus))
            and (topic.name != "tokens" or sample.inference)
        ]

    def _arrange(self, room: tuple[int, int], *, wide: bool) -> list[str]:
        names = self.names
        shown: list[str] = []
        if self.chosen in names:
            shown = [self.chosen]
        elif self.chosen == ALL or (self.chosen != NONE and wide):
            shown = names[: max(1, room[1] // _LEAST_ROWS)]
        if shown != self._shown:
            self._shown = shown
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


def _values(sample: HostSample | PastSample) -> dict[str, float | None]:
    """All that is plotted of a sample."""
    found: dict[str, float | None] = {}
    for topic in TOPICS:
        for key, take in (topic.of_host or {}).items():
            found[f"{topic.name}/{key}"] = take(sample)
        if topic.of_gpu is not None:
            for gpu in sample.gpus:
                found[f"{topic.name}/{gpu.uuid}"] = topic.of_gpu(gpu)
    return found
