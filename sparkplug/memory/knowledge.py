"""Folders of documents that are part of what is known: read, watched, cited by file and line."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from sparkplug.memory.catalogue import Catalogue
from sparkplug.memory.chunks import KNOWN, MOST_FILE_BYTES, chunks_of
from sparkplug.memory.folders import folders
from sparkplug.memory.rows import digest
from sparkplug.memory.storing import NewItem, item_id, store
from sparkplug.memory.suspicion import INSTRUCTIONS, flags_of
from sparkplug.schema.errors import ConflictError, InvalidError, NotFoundError
from sparkplug.schema.memory import MemorySource
from sparkplug.schema.memory_documents import ForgetRequest, IngestRequest, KnowledgeFolder
from sparkplug.schema.settings import MemorySection

log = logging.getLogger(__name__)

_MOST_FILES = 50_000
_LOOK_AGAIN_S = 60.0
_ROUNDS = 3
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
        known = next((f for f in self._folders() if f.path == str(path)), None)
        if known is not None and known.scope != request.scope:
            raise ConflictError(
                f"it is read into {known.scope} already",
                where=str(path),
                hint=f"`sparkplug memory forget {path}`, then read it into {request.scope}",
            )
        with self._catalogue.change() as db:
            db.execute(
                "INSERT INTO folders (path, scope, watched, error, host) VALUES (?, ?, ?, '', ?)"
                " ON CONFLICT (path) DO UPDATE SET watched = excluded.watched,"
                " host = excluded.host",
                (str(path), request.scope, int(request.watch), self._host),
            )
        self._read(path, author)
        return next(f for f in self._folders() if f.path == str(path))

    def forget(self, request: ForgetRequest) -> KnowledgeFolder:
        """Let go of a folder and all pieces of its documents. Raises NotFoundError."""
        path = Path(request.path).expanduser()
        names = {request.path, str(path), str(path.resolve())}
        found = next((f for f in self._folders() if f.path in names), None)
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
        return folders(self._catalogue.reader)

    async def run(self) -> None:
        """Watch for ever: what changes is read again; all of it once at the beginning."""
        await asyncio.to_thread(self.settle_here)
        await asyncio.to_thread(self.read_all)
        while True:
            self._again.clear()
            there = await asyncio.to_thread(self._there)
            if there:
                await self._watch(there)
            else:
                try:
                    async with asyncio.timeout(_LOOK_AGAIN_S):
                        await self._again.wait()
                except TimeoutError:
                    await asyncio.to_thread(self.read_all)

    async def _watch(self, paths: Sequence[str]) -> None:
        from watchfiles import awatch

        first = True
        looked = time.monotonic()
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
                await asyncio.to_thread(self.read_all)
            first = False
            if time.monotonic() - looked > _LOOK_AGAIN_S:
                if await asyncio.to_thread(self._there) != paths:
                    await asyncio.to_thread(self.read_all)
                    return  # a disk came, or went
                looked = time.monotonic()

    def settle_here(self) -> None:
        """Folders of a release before, which named no host, are of this one."""
        with self._catalogue.change() as db:
            db.execute("UPDATE folders SET host = ? WHERE host = ''", (self._host,))

    def _there(self) -> list[str]:
        """The folders that are watched here, of those that there are now."""
        watched = [f.path for f in self._folders() if f.watched and f.host == self._host]
        return [path for path in watched if Path(path).exists()]

    def look_again(self) -> None:
        """The folders are others now."""
        self._again.set()

    def read_all(self) -> None:
        """Read what changed of all folders that are watched here."""
        for _ in range(_ROUNDS):
            here = [f for f in self._folders() if f.watched and f.host == self._host]
            for folder in here:
                self._read(Path(folder.path), "")
            if not any(self._to_read_again(folder) for folder in here):
                return

    def _to_read_again(self, folder: KnowledgeFolder) -> bool:
        """Whether a piece that one of its files has as well went with the file it was held of."""
        sql = "SELECT 1 FROM files WHERE folder = ? AND digest = x'' LIMIT 1"
        return self._catalogue.reader.execute(sql, (folder.path,)).fetchone() is not None

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
            seen: set[str] = set()
            large = 0
            for file, size in _documents(path):
                if len(seen) >= _MOST_FILES:
                    error = f"it has more than {_MOST_FILES} documents: the others are left out"
                    break
                if size > MOST_FILE_BYTES:
                    large += 1
                    continue
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
            if large and not error:
                error = f"{large} larger than {MOST_FILE_BYTES >> 20} MiB are left out"
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
        wanted: dict[bytes, NewItem] = {}
        for item in items:
            wanted.setdefault(digest(item.text), item)
        by_id = {item.id: item for item in wanted.values()}
        by_text = {item.text: item for item in wanted.values()}
        with self._catalogue.change() as db:
            rows = db.execute(
                "SELECT * FROM items WHERE path = ? AND scope = ?", (file, folder.scope)
            ).fetchall()
            gone = []
            for row in rows:
                # Also one that a person has changed, or deleted: that stands.
                found = by_id.get(row["id"]) or by_text.get(row["text"])
                if found is None:
                    gone.append(row)
                    continue
                by_id.pop(found.id, None)
                if (found.line_from, found.line_to) != (row["line_from"], row["line_to"]):
                    db.execute(
                        "UPDATE items SET line_from = ?, line_to = ? WHERE row = ?",
                        (found.line_from, found.line_to, row["row"]),
                    )
            self._catalogue.purge(db, gone)
            store(by_id.values(), db)
            if mark is None:
                db.execute("DELETE FROM files WHERE path = ?", (file,))
            else:
                db.execute(
                    "INSERT INTO files (path, folder, digest) VALUES (?, ?, ?)"
                    " ON CONFLICT (path) DO UPDATE SET digest = excluded.digest,"
                    " folder = excluded.folder",
                    (file, folder.path, mark),
                )


def _documents(path: Path) -> Iterator[tuple[Path, int]]:
    """The files of a folder that are documents, with their sizes: no hidden ones, no links."""
    if path.is_file():
        yield path, path.stat().st_size
        return
    for at, below, files in os.walk(path):
        below[:] = sorted(f for f in below if not f.startswith(".") and f not in _LEFT_OUT)
        for name in sorted(files):
            file = Path(at, name)
            if name.startswith(".") or file.suffix.lower() not in KNOWN or file.is_symlink():
                continue
            with contextlib.suppress(OSError):
                yield file, file.stat().st_size
