"""How the GPUs of a host hang together: drawn as links, and as the matrix below."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.worker import Worker

from sparkplug.schema.errors import SparkplugError
from sparkplug.schema.text import one_line
from sparkplug.tui.cells import Line
from sparkplug.tui.dialogs.dialog import Reading
from sparkplug.tui.places import Opened
from sparkplug.tui.widgets.canvas.canvas import Canvas
from sparkplug.tui.widgets.canvas.model import Box, Edge, Graph, Key
from sparkplug.tui.widgets.canvas.picture import drawing_of

if TYPE_CHECKING:
    from sparkplug.schema.host_topology import HostTopology, TopologyPair

#: Below this no links are drawn: the matrix takes the screen.
_LEAST_WIDTH, _LEAST_HEIGHT = 60, 20
_CELL = 6
_NAME = 8
#: How near, from the nearest on: what is far over PCIe is told in amber.
_FAR = ("SYS",)


class HostTopologyPage(Reading):
    """Links above, to walk; the matrix below, or all of the GPU that is selected."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "read", "read anew", id="host-topology.read"),
    ]

    def __init__(self, host: str, found: HostTopology | None = None) -> None:
        super().__init__(f"topology of {host}", Opened("topology", "host", host))
        self.set_class(True, "run")
        self._host = host
        self._found = found
        self._told = f"asking {host}"
        self.canvas = Canvas("links")

    def compose(self) -> ComposeResult:
        """The links, and the page."""
        yield self.canvas
        yield self.page

    def begin(self) -> None:
        """Ask."""
        self.canvas.display = False
        self._show()
        if self._found is None:
            self.action_read()

    def action_read(self) -> None:
        """As it is now."""
        _: Worker[None] = self.run_worker(self._read, exclusive=True)

    async def _read(self) -> None:
        from sparkplug.client import hosts

        client = self.centre.store.client
        if client is None:
            self._told = "there is no connection to the mesh"
        else:
            try:
                self._found = await hosts.topology(client, self._host)
            except SparkplugError as error:
                self._told = f"✖ {one_line(error.message)}"
        self._show()

    def _show(self) -> None:
        found = self._found
        if found is not None and found.gpus:
            graph = link_graph(found)
            self.canvas.show(graph)
            width, height = self.size
            bounds = drawing_of(graph.shape("full")).bounds
            if bounds.width > width - 4 or bounds.height > height // 2:
                bounds = drawing_of(graph.shape("line")).bounds
            self.canvas.styles.height = min(max(bounds.height, 1) + 2, (height - 1) // 2)
            self.canvas.display = height >= _LEAST_HEIGHT and width >= _LEAST_WIDTH
        self.set_class(not self.canvas.display, "-small")
        self.page.show(self._layout)

    def on_resize(self) -> None:
        """Another size."""
        self._show()

    def on_canvas_moved(self, _event: Canvas.Moved) -> None:
        """Another GPU is read."""
        self.page.show(self._layout)

    def on_canvas_chosen(self, _event: Canvas.Chosen) -> None:
        """Read on."""
        self.page.focus()

    def _layout(self, width: int) -> Sequence[Line]:
        found = self._found
        if found is None:
            return [(("dim", self._told),)]
        item = self.canvas.selected
        name = item.source if isinstance(item, Key) else item or ""
        gpu = next((gpu for gpu in found.gpus if name == f"gpu{gpu.index}"), None)
        marked: list[Line] = [(("alarm", " SIMULATED "),)] if found.simulated else []
        if gpu is None:
            return [*marked, *matrix_lines(found)]
        lines: list[Line] = [
            *marked,
            (
                ("title", f"gpu {gpu.index} "),
                ("text", one_line(gpu.name)),
                ("dim", f"  {one_line(gpu.bus_id or '')}"),
                ("dim", "" if gpu.numa_node is None else f" · numa {gpu.numa_node}"),
                ("dim", f" · cpus {one_line(gpu.cpus)}" if gpu.cpus else ""),
            ),
        ]
        for other in found.gpus:
            pair = found.pair(gpu.index, other.index)
            if pair is not None and other is not gpu:
                lines.append(_pair_line(pair, other.index))
        lines += [
            (("dim", f"{one_line(path.adapter):<10} "), (_pen(path.path), path.path))
            for path in found.adapter_paths
            if path.gpu == gpu.index
        ]
        return lines


def _pair_line(pair: TopologyPair, other: int) -> Line:
    words = " · ".join(
        f"{name} {status}" for name, status in pair.p2p.items() if status is not None
    )
    over = f" over {pair.path}" if pair.nvlinks and pair.path else ""
    well = pair.p2p.get("read") in ("ok", None)
    return (
        ("dim", f"gpu {other:<6} "),
        (_pen(pair.word), f"{pair.word:<6}"),
        ("dim", over),
        ("dim" if well else "warn", f"  p2p {words}" if words else ""),
    )


def _pen(word: str) -> str:
    if word.startswith("NV"):
        return "active"
    return "warn" if word in _FAR else "dim" if word in ("X", "") else "text"


def matrix_lines(found: HostTopology) -> list[Line]:
    """The matrix of `nvidia-smi topo -m`, the words explained below it."""
    from sparkplug.schema.host_topology import PATH_MEANINGS

    if not found.gpus and not found.adapters:
        return [(("dim", "this host has no GPU and no RDMA adapter to tell of"),)]
    names, rows = found.matrix()
    near = [(gpu.cpus or "", gpu.numa_node) for gpu in found.gpus]
    near += [("", adapter.numa_node) for adapter in found.adapters]
    cpus = max([14, *(len(words) + 2 for words, _ in near)])
    head = "".join(f"{one_line(name)[: _CELL - 1]:<{_CELL}}" for name in names)
    lines: list[Line] = [(("dim", f"{'':<{_NAME}}{head}{'cpu affinity':<{cpus}}numa"),)]
    for name, row, (words, node) in zip(names, rows, near, strict=True):
        cells = tuple((_pen(word), f"{word:<{_CELL}}") for word in row)
        place = "" if node is None else str(node)
        lines.append(
            (
                ("text", f"{one_line(name)[: _NAME - 1]:<{_NAME}}"),
                *cells,
                ("dim", f"{one_line(words):<{cpus}}{place}"),
            )
        )
    shown = {word for row in rows for word in row}
    lines.append(())
    for word, meaning in PATH_MEANINGS.items():
        if word in shown or (word == "NV#" and any(one.startswith("NV") for one in shown)):
            lines.append((("text", f"{word:<{_NAME}}"), ("dim", meaning)))
    without = [pair for pair in found.pairs if pair.p2p.get("read") not in ("ok", None)]
    if found.pairs:
        lines.append(())
    if without:
        told = ", ".join(f"gpu {p.one} and {p.other}" for p in without[:8])
        more = f" and {len(without) - 8} more pairs" if len(without) > 8 else ""
        lines.append((("warn", f"no peer access between {told}{more}"),))
    elif found.pairs:
        lines.append((("dim", "peer access (P2P) between all GPUs"),))
    return lines


def link_graph(found: HostTopology) -> Graph:
    """NUMA nodes, the GPUs and adapters near them, and what links GPUs."""
    nodes = sorted({g.numa_node for g in found.gpus if g.numa_node is not None})
    boxes = [Box(f"numa{node}", f"numa {node}", pen="dim", symbol="▤") for node in nodes]
    edges: list[Edge] = []
    for gpu in found.gpus:
        name = f"gpu{gpu.index}"
        short = gpu.name.removeprefix("NVIDIA ").partition(" ")[0]
        boxes.append(Box(name, f"gpu {gpu.index}", ((("dim", one_line(short)),),), "ok", "■"))
        if gpu.numa_node is not None:
            edges.append(Edge(f"numa{gpu.numa_node}", name, pen="line"))
    if any(gpu.switch_links for gpu in found.gpus):
        boxes.append(Box("switch", "NVSwitch", pen="active", symbol="◆"))
        for gpu in found.gpus:
            if gpu.switch_links:
                label = f"NV{gpu.switch_links}"
                edges.append(Edge(f"gpu{gpu.index}", "switch", "", "active", "heavy", label))
    else:
        for pair in found.pairs:
            if pair.nvlinks:
                ends = (f"gpu{pair.one}", f"gpu{pair.other}")
                edges.append(Edge(*ends, "", "active", "heavy", f"NV{pair.nvlinks}"))
    boxes += [
        Box(f"nic {adapter.name}", adapter.name, pen="text", symbol="⇄")
        for adapter in found.adapters
    ]
    for path in found.adapter_paths:
        if path.path in ("PIX", "PXB"):
            ends = (f"gpu{path.gpu}", f"nic {path.adapter}")
            edges.append(Edge(*ends, "", "dim", "light", path.path))
    return Graph(tuple(boxes), tuple(edges))
