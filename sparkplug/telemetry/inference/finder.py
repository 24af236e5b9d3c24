"""Finding inference servers: by what processes are called, by the ports they like, by the GPU.

No port is asked blindly: only one that a process listens on which is called like an inference
server or holds memory on a GPU (or whose parent or child does, as vLLM's workers are), one that
is such a server's usual port, or one that settings name.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from sparkplug.telemetry.inference.listeners import Listener, listening, owners
from sparkplug.telemetry.process_states import process_ids, read_stat, stat_fields

#: Words of a command line that tell an inference server.
_COMMANDS = re.compile(
    rb"vllm|llama-server|llama_cpp|llama\.cpp|ollama|sglang|text-generation|tritonserver"
    rb"|trtllm|lmdeploy|aphrodite|tabbyapi|koboldcpp|llamafile|mlc_llm|transformers[^\0]*\0serve"
)
#: Where they listen when nobody says otherwise: vLLM, llama.cpp, Ollama, SGLang, Triton's metrics.
USUAL_PORTS = frozenset({8000, 8080, 11434, 30000, 8002})
LOOK_AGAIN_SECONDS = 60.0
#: Ancestors and descendants that are looked at from a process that holds GPU memory.
_FAMILY = 4


@dataclass(frozen=True)
class Candidate:
    """A URL that may be an inference server, and the process that listens there when seen."""

    url: str
    pid: int | None = None
    name: str | None = None
    #: The processes of its family that hold memory on a GPU may be any of these.
    family: frozenset[int] = frozenset()
    certain: bool = False


@dataclass(frozen=True)
class _Row:
    parent: int
    began: int
    name: str


class Finder:
    """Looks at the process table; command lines are read once for each process."""

    def __init__(self, urls: Iterable[str] = ()) -> None:
        self._urls = [url.strip().rstrip("/") for url in urls if url.strip()]
        self._named: dict[tuple[int, int], bool] = {}
        self._found: list[Candidate] = []
        self._seen: object = None
        self._looked = 0.0

    def find(self, on_gpu: frozenset[int]) -> list[Candidate]:
        """The candidates now; `on_gpu` are the processes that hold GPU memory. Blocking.

        A server that is new listens, or holds a GPU, that was not there before: while neither
        changes, the process table is not gone through but once a minute.
        """
        listeners = listening()
        seen = (frozenset(listeners), on_gpu)
        now = time.monotonic()
        if seen != self._seen or now - self._looked > LOOK_AGAIN_SECONDS:
            self._found = self._look(listeners, on_gpu)
            self._seen, self._looked = seen, now
        return self._found

    def _look(self, listeners: list[Listener], on_gpu: frozenset[int]) -> list[Candidate]:
        table = _table()
        children: dict[int, list[int]] = {}
        for pid, row in table.items():
            children.setdefault(row.parent, []).append(pid)
        named = self._called_so(table)
        wanted = set(named)
        for pid in on_gpu & table.keys():
            wanted |= _ancestors(pid, table) | {pid}
        usual = {listener.inode for listener in listeners if listener.port in USUAL_PORTS}
        found = owners(wanted, {listener.inode for listener in listeners})
        if usual - found.keys():
            found |= owners(table.keys() - wanted, usual - found.keys())
        candidates = [
            _candidate(listener, found.get(listener.inode), table, children, named)
            for listener in listeners
            if listener.inode in found or listener.port in USUAL_PORTS
        ]
        known = {candidate.url for candidate in candidates}
        by_port = {listener.port: listener for listener in listeners}
        for url in self._urls:
            if url in known:
                continue
            listener = by_port.get(urlsplit(url).port or 80)
            local = urlsplit(url).hostname in ("127.0.0.1", "localhost", "::1")
            listens: int | None = None
            if local and listener is not None:
                if listener.url in known:
                    continue
                listens = owners(table.keys(), {listener.inode}).get(listener.inode)
            candidates.append(_made(url, listens, table, children, certain=True))
        return candidates

    def _called_so(self, table: dict[int, _Row]) -> set[int]:
        before, self._named = self._named, {}
        for pid, row in table.items():
            mark = (pid, row.began)
            known = before.get(mark)
            self._named[mark] = _is_server(pid) if known is None else known
        return {pid for (pid, _), is_server in self._named.items() if is_server}


def _candidate(
    listener: Listener,
    pid: int | None,
    table: dict[int, _Row],
    children: dict[int, list[int]],
    named: set[int],
) -> Candidate:
    return _made(listener.url, pid, table, children, certain=pid in named)


def _made(
    url: str,
    pid: int | None,
    table: dict[int, _Row],
    children: dict[int, list[int]],
    *,
    certain: bool,
) -> Candidate:
    if pid is None or pid not in table:
        return Candidate(url, certain=certain)
    family = frozenset({pid} | _descendants(pid, children))
    return Candidate(url, pid, table[pid].name, family, certain)


def _table() -> dict[int, _Row]:
    table: dict[int, _Row] = {}
    for pid in process_ids():
        text = read_stat(pid)
        parsed = stat_fields(text) if text else None
        if parsed is not None and len(parsed[1]) > 19:
            name, fields = parsed
            table[int(pid)] = _Row(int(fields[1]), int(fields[19]), name.decode(errors="replace"))
    return table


def _is_server(pid: int) -> bool:
    try:
        with Path(f"/proc/{pid}/cmdline").open("rb", buffering=0) as file:
            command = file.read(2048) or b""
    except OSError:
        return False
    return _COMMANDS.search(command) is not None


def _ancestors(pid: int, table: dict[int, _Row]) -> set[int]:
    found: set[int] = set()
    for _ in range(_FAMILY):
        row = table.get(pid)
        if row is None or row.parent <= 1 or row.parent in found:
            break
        pid = row.parent
        found.add(pid)
    return found


def _descendants(pid: int, children: dict[int, list[int]]) -> set[int]:
    found: set[int] = set()
    level = [pid]
    for _ in range(_FAMILY):
        level = [child for parent in level for child in children.get(parent, ())]
        found |= set(level)
    return found
