"""InfiniBand and RoCE adapters beside GPUs: how far apart they are on PCIe, by sysfs.

Source: Linux Documentation/PCI; the real path of a device lists the bridges above it. NVIDIA,
nvidia-smi topo -m: PIX, PXB, PHB, NODE, SYS.
"""

from __future__ import annotations

from pathlib import Path

from sparkplug.schema.host_topology import AdapterPath, HostTopology, TopologyAdapter


def add_adapters(
    topology: HostTopology,
    adapters: str = "/sys/class/infiniband",
    devices: str = "/sys/bus/pci/devices",
) -> HostTopology:
    """The topology with this host's adapters. Blocking."""
    found = sorted(Path(adapters).glob("*"))
    ways = {gpu.index: _above(Path(devices) / _short(gpu.bus_id)) for gpu in topology.gpus}
    for path in found:
        device = (path / "device").resolve()
        name = path.name
        numa = _numa(device)
        topology.adapters.append(TopologyAdapter(name=name, bus_id=device.name, numa_node=numa))
        way = _above(device)
        for gpu in topology.gpus:
            word = path_between(ways[gpu.index], way, gpu.numa_node, numa)
            topology.adapter_paths.append(AdapterPath(gpu=gpu.index, adapter=name, path=word))
    return topology


def path_between(
    one: list[str], other: list[str], one_node: int | None, other_node: int | None
) -> str:
    """The word for the way between two devices, by the bridges above each, the outermost first."""
    shared = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        shared += 1
    if shared == 0:
        if one_node is not None and other_node is not None:
            return "NODE" if one_node == other_node else "SYS"
        return "SYS"
    if shared == 1:
        return "PHB"
    # What is below the last bridge they share: each is one bridge on the way.
    bridges = max(len(one) - shared, len(other) - shared)
    return "PIX" if bridges <= 1 else "PXB"


def _above(device: Path) -> list[str]:
    """The root (pci0000:00) and the bridges above a device; none where it is not known."""
    try:
        parts = device.resolve(strict=True).parts
    except OSError:
        return []
    root = next((n for n, part in enumerate(parts) if part.startswith("pci")), None)
    return list(parts[root:-1]) if root is not None else []


def _short(bus_id: str | None) -> str:
    """NVML writes the domain with eight digits, the kernel with four, in small letters."""
    if not bus_id:
        return "none"
    domain, _, rest = bus_id.lower().partition(":")
    return f"{domain[-4:]}:{rest}"


def _numa(device: Path) -> int | None:
    try:
        node = int((device / "numa_node").read_text())
    except (OSError, ValueError):
        return None
    return node if node >= 0 else None
