"""`sparkplug hosts topology`: the matrix of `nvidia-smi topo -m`, with peer access."""

from __future__ import annotations

from sparkplug.cli.context import Cli
from sparkplug.cli.output import table
from sparkplug.schema.host_topology import PATH_MEANINGS, HostTopology
from sparkplug.schema.plain import plain


async def topology(cli: Cli) -> int:
    """What lies between each two devices; with --json all that is known of them."""
    from sparkplug.client import hosts

    async with cli.connect() as client:
        found = await hosts.topology(client, cli.args.host)
    if cli.out.structured:
        names, rows = found.matrix()
        cli.out.data({**plain(found), "matrix": {"names": names, "rows": rows}})
        return 0
    for line in topology_lines(found):
        cli.out.text(line)
    return 0


def topology_lines(found: HostTopology) -> list[str]:
    """The lines of one answer."""
    if not found.gpus and not found.adapters:
        return [f"{found.host}: no GPU and no RDMA adapter to tell of"]
    names, rows = found.matrix()
    near = [(gpu.cpus, gpu.numa_node) for gpu in found.gpus]
    near += [(None, adapter.numa_node) for adapter in found.adapters]
    lines = [f"{found.host}  SIMULATED"] if found.simulated else []
    body = [
        [
            name,
            *row,
            cpus or "",
            "" if node is None else str(node),
        ]
        for name, row, (cpus, node) in zip(names, rows, near, strict=True)
    ]
    titles = ["", *names, "cpu affinity", "numa"]
    lines += table(titles, body, [False] * len(titles)).splitlines()
    without = [
        f"GPU{pair.one} and GPU{pair.other} ({pair.p2p['read']})"
        for pair in found.pairs
        if pair.p2p.get("read") not in ("ok", None)
    ]
    if found.pairs:
        lines.append("")
        words = f"none between {', '.join(without)}" if without else "between all GPUs"
        lines.append(f"peer access (P2P): {words}")
    shown = {word for row in rows for word in row}
    legend = [
        f"{word} {meaning}"
        for word, meaning in PATH_MEANINGS.items()
        if word in shown or (word == "NV#" and any(w.startswith("NV") for w in shown))
    ]
    return [*lines, *legend]
