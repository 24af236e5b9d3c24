"""Folders of documents that are part of what is known: read, watched, cited by file and line."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from sparkplug.memory.catalogue import Catalogue
from sparkplug.memory.chunks import KNOWN, MOST_FILE_BYTES, chunks_of
from sparkplug.memory.storing import NewItem, item_id, store
from sparkplug.memory.suspicion import INSTRUCTIONS, flags_of
from sparkplug.schema.errors import InvalidError, NotFoundError
from sparkplug.schema.memory import MemorySource
from sparkplug.schema.memory_documents import ForgetRequest, IngestRequest, KnowledgeFolder
from sparkplug.schema.settings import MemorySection

log = logging.getLogger(__name__)

_MOST_FILES = 50_000
_LOOK_AGAIN_S = 60.0
_LEFT_OUT = frozenset(
    {"node_modules", "__pycache__", "venv", "target", "dist", "build", "site-packages"}
)


class Knowledge:
    """The folders, read on one thread at a time; `run` watches them."""

    def __init__(
        self, catalogue: Catalogue, settings: MemorySection, host: str, changed: Callable[[], None]
    ) -> None:
        self._catalogue = catalogue
        self._settings = settings
        self._host = host
        self._changed = changed
        self._reading = threading.Lock()
        self._again = asyncio.Event()

    def ingest(self, request: IngestRequest, author: str) -> KnowledgeFolder:
        """Read a folder or file whole. Raises NotFoundError, InvalidError."""
        path = Path(request.path).expanduser()
        if not path.is_absolute():
            raise InvalidError(
                "name the folder by its whole path: it is one of the memory's host",
                where=request.path,
            )
        if not path.exists():
            raise NotFoundError(f"no such folder on {self._host}", where=str(path))
        path = path.resolve()
        with self._catalogue.change() as db:
            db.execute(
                "INSERT INTO folders (path, scope, watched, error) VALUES (?, ?, ?, '')"
                " ON CONFLICT (path) DO UPDATE SET watched = excluded.watched",
                (str(path), request.scope, int(request.watch)),
            )
        self._read(path, author)
        return next(f for f in self._folders() if f.path == str(path))

    def forget(self, request: ForgetRequest) -> KnowledgeFolder:
        """Let go of a folder and all pieces of its documents. Raises NotFoundError."""
        path = str(Path(request.path).expanduser())
        found = next((f for f in self._folders() if f.path in (path, request.path)), None)
        if found is None:
            raise NotFoundError(
                f"{request.path} is not part of what is known",
                hint="`sparkplug memory stats` lists the folders",
            )
        with self._reading:
            files = self._catalogue.reader.execute(
                "SELECT path FROM files WHERE folder = ?", (found.path,)
            ).fetchall()
            for row in files:
                self._replace(found, row["path"], [], None)
            with self._catalogue.change() as db:
                db.execute("DELETE FROM folders WHERE path = ?", (found.path,))
        self._changed()
        self._again.set()
        return found

    def _folders(self) -> list[KnowledgeFolder]:
        from sparkplug.memory.looking import folders

        return folders(self._catalogue.reader)

    async def run(self) -> None:
        """Watch for ever: what changes is read again; all of it once at the beginning."""
        await asyncio.to_thread(self._read_all)
        while True:
            self._again.clear()
            watched = [f.path for f in await asyncio.to_thread(self._folders) if f.watched]
            there = [path for path in watched if await asyncio.to_thread(os.path.exists, path)]
            if there:
                await self._watch(there)
            else:
                try:
                    async with asyncio.timeout(_LOOK_AGAIN_S):
                        await self._again.wait()
                except TimeoutError:
                    await asyncio.to_thread(self._read_all)

    async def _watch(self, paths: Sequence[str]) -> None:
        from watchfiles import awatch

        first = True
        async for changes in awatch(
            *paths,
            stop_event=self._again,
            recursive=True,
            debounce=400,
            rust_timeout=1000,
            yield_on_timeout=True,
            ignore_permission_denied=True,
        ):
            # What changed before it was watched nobody tells of: it is looked for once.
            if changes or first:
                log.info("%d documents changed", len(changes))
                await asyncio.to_thread(self._read_all)
            first = False

    def look_again(self) -> None:
        """The folders are others now."""
        self._again.set()

    def _read_all(self) -> None:
        for folder in self._folders():
            if folder.watched:
                self._read(Path(folder.path), "")

    def _read(self, path: Path, author: str) -> None:
        """Read what changed of a folder; what is gone goes."""
        with self._reading:
            folder = next((f for f in self._folders() if f.path == str(path)), None)
            if folder is None:
                return
            error = "" if path.exists() else "it is not there any more"
            known = {
                row["path"]: row["digest"]
                for row in self._catalogue.reader.execute(
                    "SELECT path, digest FROM files WHERE folder = ?", (folder.path,)
                )
            }
            seen = set()
            for file in _documents(path):
                seen.add(str(file))
                try:
                    data = file.read_bytes()
                except OSError as problem:
                    error = f"{file.name}: {problem.strerror}"
                    continue
                mark = hashlib.blake2b(data, digest_size=16).digest()
                if known.get(str(file)) == mark or b"\0" in data[:4096]:
                    continue
                text = data.decode(errors="replace")
                self._replace(folder, str(file), self._items(folder, file, text, author), mark)
            for gone in known.keys() - seen:
                if path.exists():  # a disk that is away is not a folder that was emptied
                    self._replace(folder, gone, [], None)
            with self._catalogue.change() as db:
                db.execute(
                    "UPDATE folders SET read = ?, error = ? WHERE path = ?",
                    (time.time(), error, folder.path),
                )
        self._changed()

    def _items(self, folder: KnowledgeFolder, file: Path, text: str, author: str) -> list[NewItem]:
        made = []
        for chunk in chunks_of(file, text):
            flags = flags_of(chunk.text)
            kept_back = INSTRUCTIONS in flags and self._settings.quarantine != "never"
            words = f"{chunk.under}\n{chunk.text}" if chunk.under else chunk.text
            mark = hashlib.blake2b(words.encode(errors="surrogatepass"), digest_size=16).hexdigest()
            made.append(
                NewItem(
                    id=item_id(f"{folder.scope} {file} {chunk.line_from} {mark}"),
                    text=words,
                    scope=folder.scope,
                    host=self._host,
                    author=author or "folder",
                    source=str(MemorySource.DOCUMENT),
                    note=f"read from {file.name}",
                    flags=flags,
                    quarantined=kept_back,
                    path=str(file),
                    line_from=chunk.line_from,
                    line_to=chunk.line_to,
                )
            )
        return made

    def _replace(
        self, folder: KnowledgeFolder, file: str, items: Sequence[NewItem], mark: bytes | None
    ) -> None:
        """The pieces of a file are these now; pieces that stay as they are keep what is known."""
        kept = {item.id for item in items}
        with self._catalogue.change() as db:
            rows = db.execute(
                "SELECT * FROM items WHERE path = ? AND scope = ?", (file, folder.scope)
            ).fetchall()
            self._catalogue.purge(db, [row for row in rows if row["id"] not in kept])
            store(items, db)
            if mark is None:
                db.execute("DELETE FROM files WHERE path = ?", (file,))
            else:
                db.execute(
                    "INSERT INTO files (path, folder, digest) VALUES (?, ?, ?)"
                    " ON CONFLICT (path) DO UPDATE SET digest = excluded.digest,"
                    " folder = excluded.folder",
                    (file, folder.path, mark),
                )


def _documents(path: Path) -> Iterator[Path]:
    """The files of a folder that are documents: no hidden ones, none that are too large."""
    if path.is_file():
        yield path
        return
    count = 0
    for at, folders, files in os.walk(path):
        folders[:] = sorted(f for f in folders if not f.startswith(".") and f not in _LEFT_OUT)
        for name in sorted(files):
            file = Path(at, name)
            if name.startswith(".") or file.suffix.lower() not in KNOWN or file.is_symlink():
                continue
            try:
                if file.stat().st_size > MOST_FILE_BYTES:
                    continue
            except OSError:
                continue
            count += 1
            if count > _MOST_FILES:
                log.warning("%s has more than %d documents", path, _MOST_FILES)
                return
            yield file
