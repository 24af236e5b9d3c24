"""What is free on each GPU: what was sampled, less what replicas were promised and do not use yet.

A replica that was just given a GPU has allocated nothing there, so the sample does not show it.
What it was promised counts, less what its process holds already; both figures are of one sample.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from sparkplug.schema.agent import Assignment
from sparkplug.schema.host import Gpu, GpuState, HostSample
from sparkplug.schema.node import GpuRoom
from sparkplug.schema.units import bytes_text

#: A change of what is free that is worth telling before a node's next record (share of the whole).
_WORTH_TELLING = 0.01


def rooms(sample: HostSample) -> list[GpuRoom]:
    """The room on the GPUs of a sample, lost ones among them.

    A GPU without memory of its own (GB10) has the host's: what is available there is free.
    """
    return [_room(gpu, sample) for gpu in sample.gpus if gpu.uuid]


def _room(gpu: Gpu, sample: HostSample) -> GpuRoom:
    held: dict[str, int | None] = {}
    for process in gpu.processes:
        if process.agent is None:
            continue
        before, now = held.get(process.agent, 0), process.used_bytes
        held[process.agent] = None if before is None or now is None else before + now
    total = free = None
    if gpu.memory is not None:
        total, free = gpu.memory.total_bytes, gpu.memory.free_bytes
    elif gpu.unified_memory:
        total, free = sample.memory.total_bytes, sample.memory.available_bytes
    known = gpu.state is GpuState.OK
    return GpuRoom(
        uuid=gpu.uuid,
        index=gpu.index,
        name=gpu.name,
        state=gpu.state,
        total_bytes=total if known else None,
        free_bytes=free if known else None,
        held=held,
    )


def worth_telling(before: Iterable[GpuRoom], after: Iterable[GpuRoom]) -> bool:
    """Whether the placer should hear of a change at once, and not with the next record."""
    old, new = list(before), list(after)
    if [(r.uuid, r.state, set(r.held)) for r in old] != [
        (r.uuid, r.state, set(r.held)) for r in new
    ]:
        return True
    return any(
        abs((then.free_bytes or 0) - (now.free_bytes or 0))
        > _WORTH_TELLING * (now.total_bytes or 0)
        for then, now in zip(old, new, strict=True)
    )


@dataclass(slots=True)
class GpuLedger:
    """The GPUs of one node while replicas are placed on it."""

    rooms: Mapping[str, GpuRoom]
    #: By UUID, then by replica (name.replica): the bytes promised; 0: the GPU is its own.
    promised: dict[str, dict[str, int]] = field(default_factory=dict)
    #: By UUID, then by replica: the bytes its process was seen to use.
    _held: dict[str, dict[str, int]] = field(init=False)

    def __post_init__(self) -> None:
        self._held = {
            uuid: {name.replace("/", "."): used or 0 for name, used in room.held.items()}
            for uuid, room in self.rooms.items()
        }

    def take(self, key: str, assignment: Assignment) -> None:
        """Count a replica's GPUs as promised."""
        for uuid in assignment.gpus:
            self.promised.setdefault(uuid, {})[key] = assignment.gpu_memory

    def free(self, uuid: str, key: str) -> int | None:
        """Bytes free for a replica on a GPU: its own count as free. None: not known."""
        room = self.rooms.get(uuid)
        if room is None or room.free_bytes is None:
            return None
        held = self._held[uuid]
        free = room.free_bytes + held.get(key, 0)
        for other, promised in self.promised.get(uuid, {}).items():
            if other != key:
                free -= max(0, promised - held.get(other, 0))
        return free

    def why_not(self, uuid: str, key: str, memory: int) -> str:
        """Why a GPU cannot be given to a replica; empty when it can. `memory` 0: for it alone."""
        room = self.rooms.get(uuid)
        if room is None:
            return "is not known"
        if room.state is not GpuState.OK:
            return f"is {room.state}"
        others = [k for k in self.promised.get(uuid, {}) if k != key]
        alone = next((k for k in others if not self.promised[uuid][k]), None)
        if alone is not None:
            return f"is {_spelled(alone)}'s alone"
        if not memory:
            if others:
                return f"is shared by {', '.join(map(_spelled, sorted(others)))}"
            # Removed agents may take their time to end.
            left = [n for n in room.held if n.replace("/", ".") != key]
            return f"is still held by {', '.join(sorted(left))}" if left else ""
        free = self.free(uuid, key)
        if free is None:
            return "does not tell its memory"
        if free < memory:
            return f"has {size_text(max(0, free))} free"
        return ""

    def choose(self, key: str, gpus: int, memory: int, *, pack: bool) -> tuple[list[str], str]:
        """The GPUs for a replica, or none and why: as many as it asks for, or it gets none.

        The emptiest first; of shared ones with `pack` the fullest that has the room.
        """
        refused = {uuid: self.why_not(uuid, key, memory) for uuid in self.rooms}
        fitting = [uuid for uuid, why in refused.items() if not why]

        def order(uuid: str) -> tuple[int, int, str]:
            free = self.free(uuid, key) or 0
            return (free if pack and memory else -free, self.rooms[uuid].index, uuid)

        if len(fitting) >= gpus:
            return sorted(fitting, key=order)[:gpus], ""
        room = f" with {size_text(memory)} free" if memory else ""
        why = f"{len(fitting)} free GPUs{room}, {gpus} asked for"
        told = sorted((self.rooms[uuid].index, said) for uuid, said in refused.items() if said)
        details = ", ".join(f"GPU {index} {said}" for index, said in told)
        return [], f"{why} ({details})" if details else why


def size_text(value: int) -> str:
    """Bytes in words: whole units as they are written in files, others rounded down."""
    exact = bytes_text(value)
    if not exact.isdecimal() and len(exact) <= 8:
        return exact
    for unit, power in (("TiB", 40), ("GiB", 30), ("MiB", 20)):
        if value >= 1 << power:
            return f"{int(value * 10 / (1 << power)) / 10:g}{unit}"
    return f"{value} bytes"


def _spelled(key: str) -> str:
    return key.replace(".", "/")


def ledger(rooms: Iterable[GpuRoom], node: str, assignments: Mapping[str, Assignment]) -> GpuLedger:
    """The GPUs of a node, with what is promised of them by what is assigned there."""
    made = GpuLedger({room.uuid: room for room in rooms})
    for key, assignment in assignments.items():
        if assignment.node == node:
            made.take(key, assignment)
    return made
