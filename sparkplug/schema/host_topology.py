"""How the GPUs and adapters of a host hang together, in the words of `nvidia-smi topo -m`."""

from __future__ import annotations

from pydantic import Field

from sparkplug.schema.base import Record

#: What the words between two devices mean, nearest first.
PATH_MEANINGS: dict[str, str] = {
    "X": "itself",
    "NV#": "that many NVLinks",
    "PIX": "one PCIe bridge at most",
    "PXB": "several PCIe bridges, not the host bridge",
    "PHB": "a PCIe host bridge, of a processor mostly",
    "NODE": "PCIe and the link between host bridges of one NUMA node",
    "SYS": "PCIe and the link between NUMA nodes",
}


class TopologyGpu(Record):
    """A GPU, and what it lies near."""

    index: int
    uuid: str
    name: str
    bus_id: str | None = None
    cpus: str | None = Field(None, description="processors near it, as ranges")
    numa_node: int | None = None
    switch_links: int = Field(0, description="NVLinks that lead to a switch")


class TopologyAdapter(Record):
    """An InfiniBand or RoCE adapter."""

    name: str
    bus_id: str | None = None
    numa_node: int | None = None


class TopologyPair(Record):
    """Two GPUs, by index, and how they reach each other."""

    one: int
    other: int
    path: str | None = Field(None, description="over PCIe: PIX, PXB, PHB, NODE or SYS")
    nvlinks: int = 0
    p2p: dict[str, str | None] = Field(
        default_factory=dict, description="read, write, nvlink, atomics: ok, or why not"
    )

    @property
    def word(self) -> str:
        """What the matrix shows: NV18, or the path."""
        return f"NV{self.nvlinks}" if self.nvlinks else self.path or "?"


class AdapterPath(Record):
    """The way between a GPU, by index, and an adapter."""

    gpu: int
    adapter: str
    path: str


class HostTopology(Record):
    """All of a host's."""

    host: str
    gpus: list[TopologyGpu] = Field(default_factory=list)
    pairs: list[TopologyPair] = Field(default_factory=list)
    adapters: list[TopologyAdapter] = Field(default_factory=list)
    adapter_paths: list[AdapterPath] = Field(default_factory=list)
    simulated: bool = False

    def pair(self, one: int, other: int) -> TopologyPair | None:
        """The pair of two GPUs, in whichever order."""
        low, high = sorted((one, other))
        return next((p for p in self.pairs if (p.one, p.other) == (low, high)), None)

    def matrix(self) -> tuple[list[str], list[list[str]]]:
        """The names of all devices, and what lies between each two of them."""
        names = [f"GPU{gpu.index}" for gpu in self.gpus] + [a.name for a in self.adapters]
        between = {(path.gpu, path.adapter): path.path for path in self.adapter_paths}
        rows: list[list[str]] = []
        for gpu in self.gpus:
            row = []
            for other in self.gpus:
                pair = self.pair(gpu.index, other.index)
                row.append("X" if other is gpu else pair.word if pair is not None else "?")
            row += [between.get((gpu.index, adapter.name), "?") for adapter in self.adapters]
            rows.append(row)
        for adapter in self.adapters:
            row = [between.get((gpu.index, adapter.name), "?") for gpu in self.gpus]
            row += ["X" if other is adapter else "" for other in self.adapters]
            rows.append(row)
        return names, rows
