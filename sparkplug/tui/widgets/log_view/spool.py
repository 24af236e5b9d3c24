"""The text of a log, in files that have no name: they go with the process, however it ends."""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import tempfile
import threading
from collections.abc import Callable
from typing import BinaryIO, NamedTuple, cast

from sparkplug.tui.widgets.log_view.index import BYTES, Index

_PIECE = 1 << 20
#: What is kept of a log; when there is more, the older half goes.
_LIMIT = 512 << 20


class Raw(NamedTuple):
    """A line as it is kept: where it begins, its bytes in all, the first of them."""

    start: int
    size: int
    head: bytes


class _File:
    """A file without a name, readable by this user alone."""

    def __init__(self) -> None:
        self._file = cast("BinaryIO", tempfile.TemporaryFile(buffering=0))  # noqa: SIM115
        self._descriptor = self._file.fileno()

    def write(self, data: bytes, offset: int) -> None:
        view = memoryview(data)
        while view:
            size = os.pwrite(self._descriptor, view, offset)
            view, offset = view[size:], offset + size

    def read(self, offset: int, size: int) -> bytes:
        return os.pread(self._descriptor, size, offset)

    def close(self) -> None:
        self._file.close()


class Spool:
    """Text that is appended on the disk by a thread, in order, and read by the line.

    `grown` is called by that thread when there is more. The methods that read may be called from
    any thread. What was given is there when `settle` returns.
    """

    def __init__(self, grown: Callable[[], None] = lambda: None, *, limit: int = _LIMIT) -> None:
        self._grown = grown
        self._limit = limit
        self._queue: queue.SimpleQueue[tuple[str, bytes | Callable[[], None]]]
        self._queue = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._after: _File | None = None
        #: What came before the first byte, written backwards, so that it too only grows.
        self._before: _File | None = None
        #: The offset of the first byte in the file.
        self._base = 0
        self._index = Index()
        self._closed = False
        #: Told when there is more, by those who wait for it.
        self.more = threading.Condition()
        #: Why text is no longer kept, when it is not.
        self.problem = ""
        #: How often a line that was there before has become another.
        self.changes = 0
        #: Whether older text is no longer kept.
        self.dropped = False

    # What comes

    def append(self, text: str | bytes) -> None:
        """Add to the end."""
        self._put("after", text.encode(errors="replace") if isinstance(text, str) else text)

    def prepend(self, text: str | bytes) -> None:
        """Add before the beginning."""
        self._put("before", text.encode(errors="replace") if isinstance(text, str) else text)

    async def settle(self) -> None:
        """Wait until all that was added is there."""
        loop, done = asyncio.get_running_loop(), asyncio.Event()

        def tell() -> None:
            with contextlib.suppress(RuntimeError):  # the loop is gone
                loop.call_soon_threadsafe(done.set)

        self._put("mark", tell)
        if not self._closed:
            await done.wait()

    def close(self) -> None:
        """End; what was kept is gone."""
        if not self._closed:
            if self._thread is not None:
                self._put("end", b"")
            self._closed = True
            with self.more:
                self.more.notify_all()

    @property
    def closed(self) -> bool:
        """Whether it was ended."""
        return self._closed

    def _put(self, kind: str, what: bytes | Callable[[], None]) -> None:
        if self._closed:
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="log spool", daemon=True)
            self._thread.start()
        self._queue.put((kind, what))

    # The thread

    def _work(self) -> None:
        left: tuple[str, bytes | Callable[[], None]] | None = None
        while True:
            kind, what = left or self._queue.get()
            left = None
            if kind == "end":
                break
            if callable(what):
                what()
                continue
            pieces, size = [what], len(what)
            while size < _PIECE and kind == "after":
                try:
                    left = self._queue.get_nowait()
                except queue.Empty:
                    break
                if left[0] != "after" or callable(left[1]):
                    break
                pieces.append(left[1])
                size += len(left[1])
                left = None
            try:
                self._write(kind, b"".join(pieces))
            except OSError as error:
                self.problem = f"lines are no longer kept: {error.strerror or error}"
            self._grown()
        with self.more:
            for file in (self._after, self._before):
                if file is not None:
                    file.close()
            self._after = self._before = None

    def _write(self, kind: str, data: bytes) -> None:
        index = self._index
        if kind == "after":
            if self._after is None:
                self._after = _File()
            self._after.write(data, index.end - self._base)
            with self.more:
                index.append(data)
                self.more.notify_all()
            if index.end - index.start > self._limit:
                self._trim()
        elif not self.dropped:
            if self._before is None:
                self._before = _File()
            self._before.write(data[::-1], -min(0, index.start))
            with self.more:
                self.changes += index.prepend(data)
                self.more.notify_all()

    def _trim(self) -> None:
        """Keep the newer half: it is copied into another file, the old one is let go."""
        index, old = self._index, self._after
        assert old is not None
        fresh = _File()
        with self.more:
            base = index.cut(max(0, index.end - self._limit // 2))
            self.dropped = True
        if base < 0:
            fresh.close()
            return
        for at in range(base, index.end, _PIECE):
            piece = old.read(at - self._base, min(_PIECE, index.end - at))
            fresh.write(piece, at - base)
        with self.more:
            before, self._before = self._before, None
            self._after, self._base = fresh, base
        for file in (old, before):
            if file is not None:
                file.close()

    # What is there

    @property
    def first(self) -> int:
        """The number of the first line; below zero when some were put before the beginning."""
        return self._index.first

    @property
    def stop(self) -> int:
        """The number after that of the last line."""
        return self._index.stop

    @property
    def open(self) -> int:
        """The number of the line that is not ended yet."""
        return self._index.open

    @property
    def bounds(self) -> tuple[int, int]:
        """The offsets of the first byte, and after the last."""
        return self._index.start, self._index.end

    def read(self, offset: int, size: int) -> bytes:
        """Bytes from an offset on, as many as there are."""
        with self.more:
            return self._read(offset, size)

    def _read(self, offset: int, size: int) -> bytes:
        end = min(offset + size, self._index.end)
        offset = max(offset, self._index.start)
        data = b""
        if offset < 0 and self._before is not None:
            stop = min(0, end)
            data = self._before.read(-stop, stop - offset)[::-1]
            offset = 0
        if end > offset and self._after is not None:
            data += self._after.read(offset - self._base, end - offset)
        return data

    def lines(self, line: int, count: int, limit: int) -> list[Raw]:
        """Lines from a number on; of each no more than `limit` bytes are read."""
        found: list[Raw] = []
        with self.more:
            index = self._index
            line = max(line, index.first)
            stop = min(line + count, index.stop)
            while line < stop and not self._closed:
                number, start, after, end = index.place(line)
                # The last of these lines begins within this many bytes.
                data = self._read(start, min(end - start, BYTES + limit))
                pieces = data.split(b"\n")[: after - number]
                for at, piece in enumerate(pieces):
                    size = len(piece)
                    if number + at == after - 1:
                        size = end - start - (number + at < index.open)
                    if line <= number + at < stop:
                        found.append(Raw(start, size, piece[:limit]))
                    start += len(piece) + 1
                line = after
        return found
