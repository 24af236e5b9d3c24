"""The memory, given from one host to another: all of it through the mesh's object store.

The node that keeps the memory writes it there and names the other in the record of its home;
from then on it takes no lease. The other reads it, then takes what waits in the stream.
"""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path

import nats.js.errors
from nats.js.api import ObjectMeta

from sparkplug.bus import subjects
from sparkplug.bus.buckets import Bucket, decode
from sparkplug.bus.connection import Bus
from sparkplug.memory.catalogue import Catalogue
from sparkplug.memory.exchange import lines_of
from sparkplug.memory.folders import folders
from sparkplug.paths import write_private
from sparkplug.schema.errors import InvalidError, NotFoundError, SparkplugError
from sparkplug.schema.memory_documents import KnowledgeFolder
from sparkplug.schema.memory_home import MemoryHome, MoveReply
from sparkplug.schema.plain import plain

log = logging.getLogger(__name__)

_OBJECT = "memory-handover"
_FOLDERS = "folders"
#: Beside the lines that came: the folders of documents, each with the host that it is of.
FOLDERS = "folders.json"


async def read_home(bus: Bus) -> tuple[MemoryHome | None, int]:
    """Which node keeps the memory, and the revision of that record; None: none has yet."""
    entry = await Bucket(bus, subjects.BUCKET_MESH).get(subjects.MEMORY_HOME)
    if entry is None:
        return None, 0
    return decode(MemoryHome, entry), entry.revision


async def hand_over(
    bus: Bus, catalogue: Catalogue, half_life: float, node: str, to: str
) -> MoveReply:
    """Put all of it where `to` finds it, and name that node. Raises InvalidError, NotFoundError."""
    if to == node:
        raise InvalidError(f"{to} keeps the memory already")
    found = await Bucket(bus, subjects.BUCKET_OBSERVED).get(f"nodes.{to}")
    if found is None:
        raise NotFoundError(f"no node {to}", hint="`sparkplug hosts` lists them")
    lines = await asyncio.to_thread(lines_of, catalogue, half_life)
    data = "".join(f"{line}\n" for line in lines).encode()
    try:
        store = await bus.js.object_store(subjects.OBJECTS_FILES)
        await store.put(_OBJECT, data, ObjectMeta(name=_OBJECT))
    except (TimeoutError, nats.js.errors.Error) as error:
        raise SparkplugError(
            f"the memory ({len(data)} bytes) does not go into the mesh's files: {error}",
            hint="`sparkplug memory export` and `import` move it through a file",
        ) from error
    _, revision = await read_home(bus)
    folders = await asyncio.to_thread(_folders_of, catalogue)
    home = MemoryHome(node=to, handover=_OBJECT, detail={_FOLDERS: [plain(f) for f in folders]})
    await Bucket(bus, subjects.BUCKET_MESH).put(subjects.MEMORY_HOME, home, revision=revision)
    left = [folder.path for folder in folders if folder.host != to]
    return MoveReply(node=to, items=len(lines), folders=left)


def _folders_of(catalogue: Catalogue) -> list[KnowledgeFolder]:
    return folders(catalogue.reader)


async def receive(bus: Bus, home: MemoryHome, into: Path) -> None:
    """Fetch what was handed over, to be taken in when the service starts."""
    store = await bus.js.object_store(subjects.OBJECTS_FILES)
    found = await store.get(home.handover)
    told = json.dumps(home.detail.get(_FOLDERS, []))
    await asyncio.to_thread(write_private, into.with_name(FOLDERS), told)
    await asyncio.to_thread(write_private, into, found.data or b"")
    _, revision = await read_home(bus)
    settled = MemoryHome(node=home.node)
    await Bucket(bus, subjects.BUCKET_MESH).put(subjects.MEMORY_HOME, settled, revision=revision)
    try:
        await store.delete(home.handover)
    except (TimeoutError, nats.js.errors.Error) as error:
        log.warning("what was handed over stays in the mesh's files: %s", error)
