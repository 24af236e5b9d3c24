"""The memory service: answers for the catalogue, its vectors, its folders; takes what is said."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from nats.aio.msg import Msg
from pydantic import BaseModel, ValidationError

from sparkplug.bus import subjects
from sparkplug.bus.cancellation import end
from sparkplug.bus.connection import Bus
from sparkplug.bus.events import EventLog
from sparkplug.bus.service import Services
from sparkplug.config import Settings
from sparkplug.memory import exchange, looking, upkeep
from sparkplug.memory.access import Access, Caller, caller_of
from sparkplug.memory.catalogue import Catalogue
from sparkplug.memory.company import Company
from sparkplug.memory.embedders.choose import choose_embedder
from sparkplug.memory.embedders.lexical import LexicalEmbedder
from sparkplug.memory.extraction import Extraction
from sparkplug.memory.indexing import Indexing
from sparkplug.memory.intake import Intake
from sparkplug.memory.knowledge import Knowledge
from sparkplug.memory.rows import item_of
from sparkplug.memory.search import BESIDE_MEANINGS, BESIDE_WORDS, POOL, by_words, hybrid
from sparkplug.memory.suspicion import flags_of
from sparkplug.memory.vectors import Space
from sparkplug.memory.writing import Taken, Write, Writing
from sparkplug.schema import memory as m
from sparkplug.schema.errors import (
    AskAgainError,
    ConflictError,
    NotFoundError,
    RefusedError,
    SparkplugError,
)

log = logging.getLogger(__name__)

RequestT = TypeVar("RequestT", bound=BaseModel)
ResultT = TypeVar("ResultT")

_EXPIRE_EVERY_S = 15.0
_PURGE_EVERY = 240
_TOTAL_AGE_S = 1.0
_REMEMBERED_REPLIES = 4_000
_LOAD_WAIT_S = 20.0
_TOLD_IDS = 20
#: What may not be asked while all of it goes to another node.
_CHANGES = frozenset(
    ("edit", "delete", "undo", "release", "quarantine", "prune", "import", "ingest", "forget")
)
#: A file whose lines are taken in when the catalogue is empty: left by a restore or a move.
TO_TAKE_IN = "import.jsonl"


class MemoryService:
    """All of it in one process. `run` serves until it is cancelled."""

    def __init__(self, bus: Bus, settings: Settings, folder: Path, node: str) -> None:
        self._bus = bus
        self._settings = settings.memory
        self._folder = folder
        self._node = node
        self.catalogue = Catalogue(folder)
        self._half_life = settings.memory.half_life
        self.company = Company(bus)
        self._access = Access(
            settings.memory.groups,
            settings.memory.readers,
            self.company.policy_of,
            self.company.run_agents,
        )
        self._llm = settings.llm
        self.indexing = Indexing(self.catalogue, self._wanted_space, self._earlier_space)
        self._writing = Writing(self.catalogue, settings.memory, node, self._extracts)
        self._loop = asyncio.get_running_loop()
        self._extraction = Extraction(
            self.catalogue, self._writing, self.indexing, settings.llm, self._tell_from_thread
        )
        self._knowledge = Knowledge(self.catalogue, settings.memory, node, self.indexing.wake)
        self._events = EventLog(bus, node, "memory")
        self._intake = Intake(bus, self._take)
        self._services = Services(bus)
        self._writer = ThreadPoolExecutor(1, "memory-write")
        self._readers = ThreadPoolExecutor(3, "memory-read")
        self._outcomes = asyncio.Condition()
        self._answered: OrderedDict[str, None] = OrderedDict()
        self._totals: tuple[float, dict[str, int]] = (0.0, {})
        #: The node that all of it goes to, once that began; changes under way are counted.
        self._leaves_for = ""
        self._changing = 0
        self._unchanging = asyncio.Condition()
        self._reads: list[tuple[list[int], str, str]] = []
        self._read_noted = asyncio.Event()

    # The spaces of vectors

    def _wanted_space(self) -> Space:
        return Space(self._folder, self._settings, self._llm, choose_embedder(self._settings))

    def _earlier_space(self, name: str) -> Space | None:
        """The space of an embedder before, when it is one that needs nothing but us."""
        if not name.startswith("lexical-"):
            return None
        embedder = LexicalEmbedder(int(name.rpartition("-")[2]))
        return Space(self._folder, self._settings, self._llm, embedder)

    def _extracts(self, write: Write) -> bool:
        asked = write.request.infer
        if not self._llm.endpoint or self._settings.extract == "never" or asked is False:
            return False
        # What a person types is meant as it stands.
        return bool(asked) or not write.caller.is_person

    # Running

    async def run(self, serving: Callable[[], None]) -> None:
        """Serve until cancelled; `serving` is called once requests are taken."""
        await self._on_writer(self._take_in_left)
        self.indexing.start()
        self._extraction.start()
        tasks = [
            asyncio.create_task(loop(), name=name)
            for name, loop in (
                ("company", self.company.run),
                ("events", self._events.run),
                ("reads", self._note_reads),
                ("upkeep", self._keep_up),
            )
        ]
        await self._serve()
        await self._bus.flush()
        serving()
        tasks.append(asyncio.create_task(self._intake.run(), name="intake"))
        tasks.append(asyncio.create_task(self._knowledge.run(), name="knowledge"))
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            self._knowledge.look_again()
            await end(*tasks)
            await self._services.close()
            await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._extraction.stop()
        self.indexing.stop()
        self._writer.shutdown()
        self._readers.shutdown()
        self.catalogue.close()

    async def _serve(self) -> None:
        person = RefusedError("that is for people: an agent may not ask it")
        for verb, model, handler, people in (
            ("search", m.SearchRequest, self._search, False),
            ("list", m.ListRequest, self._list, False),
            ("describe", m.ItemRequest, self._describe, False),
            ("outcome", m.OutcomeRequest, self._outcome, False),
            ("edit", m.EditRequest, self._edit, False),
            ("delete", m.ManyRequest, self._delete, False),
            ("undo", m.ManyRequest, self._undo, False),
            ("release", m.ManyRequest, self._release, True),
            ("quarantine", m.ManyRequest, self._quarantine, True),
            ("stats", m.ItemRequest, self._stats, True),
            ("prune", m.PruneRequest, self._prune, True),
            ("export", m.ExportRequest, self._export, True),
            ("import", m.ImportRequest, self._import, True),
            ("ingest", m.IngestRequest, self._ingest, True),
            ("forget", m.ForgetRequest, self._forget, True),
            ("handover", m.MoveRequest, self._handover, True),
        ):
            subject = subjects.memory_call(verb, ">")
            await self._serve_one(verb, subject, model, handler, person if people else None)

    async def _serve_one(
        self,
        verb: str,
        subject: str,
        model: type[BaseModel],
        handler: Callable[[Caller, Any], Awaitable[BaseModel]],
        refuse_agents: RefusedError | None,
    ) -> None:
        async def answer(request: BaseModel, message: Msg) -> BaseModel | None:
            if message.reply and not self._is_new(message.reply):
                return None  # the node handed on what came to us as well
            caller = caller_of(message.subject.split(".")[4:])
            if caller is None:
                raise RefusedError("nobody is named by that subject", where=message.subject)
            if refuse_agents is not None and not caller.is_person:
                raise refuse_agents
            if verb not in _CHANGES:
                return await handler(caller, request)
            async with self._a_change():
                return await handler(caller, request)

        await self._services.serve_message(subject, model, answer)

    @contextlib.asynccontextmanager
    async def _a_change(self) -> AsyncIterator[None]:
        """One change; none begins once all of it goes to another node. Raises AskAgainError."""
        if self._leaves_for:
            raise AskAgainError(f"the memory goes to {self._leaves_for}")
        self._changing += 1
        try:
            yield
        finally:
            self._changing -= 1
            async with self._unchanging:
                self._unchanging.notify_all()

    def _is_new(self, reply: str) -> bool:
        if reply in self._answered:
            return False
        self._answered[reply] = None
        if len(self._answered) > _REMEMBERED_REPLIES:
            self._answered.popitem(last=False)
        return True

    async def _on_writer(self, work: Callable[..., ResultT], *given: Any) -> ResultT:
        return await asyncio.get_running_loop().run_in_executor(self._writer, work, *given)

    async def _on_reader(self, work: Callable[..., ResultT], *given: Any) -> ResultT:
        return await asyncio.get_running_loop().run_in_executor(self._readers, work, *given)

    # Taking what is said

    async def _take(self, messages: Sequence[Msg]) -> None:
        writes = []
        for message in messages:
            write = await self._read(message)
            if write is not None:
                writes.append(write)
        if not writes:
            return
        taken = await self._on_writer(self._writing.take, writes)
        self.indexing.wake()
        if any(outcome.state == "extracting" for outcome in taken.outcomes):
            self._extraction.wake()
        await self._tell(taken)

    async def _read(self, message: Msg) -> Write | None:
        """A write as it came; one that may not be is told so. None for what is none."""
        caller = caller_of(message.subject.split(".")[3:])
        try:
            request = m.MemoryAdd.model_validate_json(message.data)
        except ValidationError as error:
            log.warning("no write on %s: %s", message.subject, error.errors()[:1])
            return None
        if caller is None:
            log.warning("a write on %s names nobody", message.subject)
            return None
        write = Write(caller, request)
        try:
            write.scope = request.scope or self._access.default_scope(caller, request.run)
            await self._access.check_write(caller, write.scope)
        except SparkplugError as error:
            write.refused = error.message
            log.warning("a write of %s is refused: %s", caller.author, error.message)
        return write

    def _tell_from_thread(self, taken: Taken) -> None:
        asyncio.run_coroutine_threadsafe(self._tell(taken), self._loop)

    async def _tell(self, taken: Taken) -> None:
        for (scope, author), ids in taken.added.items():
            data = {"ids": ids[:_TOLD_IDS], "count": len(ids)}
            self._events.emit("memory:added", scope, actor=author, data=data)
        async with self._outcomes:
            self._outcomes.notify_all()

    async def _outcome(self, caller: Caller, request: m.OutcomeRequest) -> m.MemoryOutcome:
        self._access.check_enabled(caller)
        deadline = time.monotonic() + request.wait
        async with self._outcomes:
            while True:
                found = await self._on_reader(self.catalogue.outcome, request.write)
                if found is not None and found.state != "extracting":
                    return found
                left = deadline - time.monotonic()
                if left <= 0:
                    return found or m.MemoryOutcome(write=request.write, state="waiting")
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(left):
                        await self._outcomes.wait()

    # Looking

    async def _search(self, caller: Caller, request: m.SearchRequest) -> m.SearchReply:
        began = time.perf_counter()
        scopes = await self._access.readable(caller, request.scopes, request.run)
        if self.indexing.serving is None and not self.indexing.loaded.is_set():
            await asyncio.to_thread(self.indexing.loaded.wait, _LOAD_WAIT_S)
        total, within = await self._share(scopes)
        space = self.indexing.serving
        meant = self._on_reader(self._nearest, space, request.query, scopes, within, total)
        worded = self._on_reader(self._worded, request.query, scopes, total)
        (semantic, note), lexical = await asyncio.gather(meant, worded)
        pairs = await self._on_reader(
            self._put_together, space, semantic, lexical, scopes, request.limit
        )
        if pairs and not caller.is_person:
            run = request.run if await self._was_in(caller, request.run) else ""
            self._reads.append(([row["row"] for row, _ in pairs], caller.agent, run))
            self._read_noted.set()
        return m.SearchReply.model_construct(
            v=1,
            hits=[hit for _, hit in pairs],
            took_ms=round((time.perf_counter() - began) * 1000, 2),
            embedder=space.name if space is not None else "",
            note=note,
        )

    async def _was_in(self, caller: Caller, run: str) -> bool:
        return bool(run) and caller.agent in await self.company.run_agents(run)

    def _nearest(
        self,
        space: Space | None,
        query: str,
        scopes: list[str] | None,
        within: int,
        total: int,
    ) -> tuple[list[tuple[str, float]] | None, str]:
        if space is None:
            why = self.indexing.error or "the embedder before is not there, the next one is filling"
            return None, f"compared by words alone: {why}"
        try:
            return space.search(query, scopes, POOL, within, total), ""
        except Exception as error:  # noqa: BLE001  the stores' own kinds: words still find
            log.warning("vectors are not searched: %s", error)
            return None, f"compared by words alone: {type(error).__name__}: {error}"[:200]

    def _worded(self, query: str, scopes: list[str] | None, total: int) -> Any:
        return by_words(self.catalogue.reader, query, scopes, total=total)

    def _put_together(
        self,
        space: Space | None,
        semantic: Any,
        lexical: Any,
        scopes: list[str] | None,
        limit: int,
    ) -> Any:
        compares_words = space is not None and space.name.startswith("lexical-")
        return hybrid(
            self.catalogue.reader,
            semantic,
            lexical,
            scopes,
            limit=limit,
            half_life=self._half_life,
            beside=BESIDE_WORDS if compares_words else BESIDE_MEANINGS,
            unlike=space.unlike if space is not None else 0.0,
        )

    async def _share(self, scopes: list[str] | None) -> tuple[int, int]:
        """How many memories there are, and how many of them are in some scopes."""
        read, totals = self._totals
        if time.monotonic() - read > _TOTAL_AGE_S or not totals:
            totals = await self._on_reader(self._count)
            self._totals = (time.monotonic(), totals)
        total = sum(totals.values())
        if scopes is None:
            return total, total
        return total, sum(totals.get(scope, 0) for scope in scopes)

    def _count(self) -> dict[str, int]:
        sql = "SELECT scope, count(*) AS n FROM items WHERE state = 'kept' GROUP BY scope"
        return {row["scope"]: row["n"] for row in self.catalogue.reader.execute(sql)}

    async def _list(self, caller: Caller, request: m.ListRequest) -> m.ListReply:
        scopes = await self._access.readable(caller, request.scopes, "")
        if not caller.is_person and request.state is not m.MemoryState.KEPT:
            raise RefusedError("what is in quarantine or deleted is for people")

        def work() -> m.ListReply:
            return looking.list_items(self.catalogue.reader, request, scopes, self._half_life)

        return await self._on_reader(work)

    async def _describe(self, caller: Caller, request: m.ItemRequest) -> m.MemoryDescription:
        row = await self._on_reader(self.catalogue.find, request.id)
        if not caller.is_person:
            await self._check_seen(caller, row["scope"], row["state"])
        made = await self._on_reader(looking.describe, self.catalogue, row, self._half_life)
        made.run_ended = await self.company.run_state(made.item.run)
        for read in made.reads[:20]:
            read.ended = await self.company.run_state(read.run)
        return made

    async def _check_seen(self, caller: Caller, scope: str, state: str) -> None:
        """What an agent may not read is not there for it, so that ids tell nothing."""
        try:
            await self._access.check_read(caller, scope)
        except RefusedError as error:
            raise NotFoundError("no memory of that id") from error
        if state != m.MemoryState.KEPT:
            raise NotFoundError("no memory of that id")

    # Changing

    async def _edit(self, caller: Caller, request: m.EditRequest) -> m.MemoryItem:
        row = await self._on_reader(self.catalogue.find, request.id)
        await self._check_changed(caller, row)
        if request.scope is not None:
            await self._access.check_write(caller, request.scope)
        values: dict[str, float | None] = {}
        if request.importance is not None:
            values["importance"] = request.importance
        if request.confidence is not None:
            values["confidence"] = request.confidence
        if request.expires_seconds is not None:
            ends = time.time() + request.expires_seconds
            values["expires"] = ends if request.expires_seconds > 0 else None
        text = request.text
        if text is not None and not text.strip():
            raise SparkplugError("a memory cannot be empty", hint="delete it instead")
        if text is not None and len(text.encode(errors="surrogatepass")) > m.MOST_TEXT_BYTES:
            raise SparkplugError(f"a memory has at most {m.MOST_TEXT_BYTES >> 20} MiB")
        flags = flags_of(text) if text is not None else []
        source = m.MemorySource.PERSON if caller.is_person else m.MemorySource(row["source"])

        def work() -> m.MemoryItem:
            self.catalogue.edit(
                row["id"],
                caller.author,
                text=text,
                version=request.version,
                scope=request.scope,
                flags=flags,
                quarantine=self._writing.keeps_back(source, flags),
                values=values,
                why=request.why[:500],
            )
            found = self.catalogue.find(row["id"])
            return item_of(found, self._half_life)

        item = await self._on_writer(work)
        self.indexing.wake()
        self._events.emit(
            "memory:updated",
            item.scope,
            actor=caller.author,
            data={"ids": [item.id], "version": item.version},
        )
        return item

    async def _check_changed(self, caller: Caller, row: Any) -> None:
        """An agent changes what it wrote itself; all else is for people."""
        if caller.is_person:
            return
        await self._check_seen(caller, row["scope"], row["state"])
        if row["agent"] != caller.agent:
            raise RefusedError(f"{caller.agent} did not write that memory")

    async def _each(
        self,
        caller: Caller,
        request: m.ManyRequest,
        event: str,
        work: Callable[[Any, str], bool],
        *,
        own: bool = True,
    ) -> m.ManyReply:
        """Do something to each, all in one transaction; what cannot be done is told of."""
        reply = m.ManyReply(changed=[])
        allowed: list[str] = []
        for one in dict.fromkeys(request.ids):
            try:
                row = await self._on_reader(self.catalogue.find, one)
                if not caller.is_person and own:
                    deleted = row["state"] == m.MemoryState.DELETED
                    if row["agent"] != caller.agent or (deleted and event != "memory:added"):
                        raise NotFoundError("no memory of that id")
                allowed.append(row["id"])
            except SparkplugError as error:
                reply.left[one] = error.message

        def change() -> m.ManyReply:
            with self.catalogue.change() as db:
                before = self.catalogue.answer(db, request.request)
                if before is not None:
                    return m.ManyReply.model_validate_json(before)
                for known in allowed:
                    try:
                        if work(db, known):
                            reply.changed.append(known)
                        else:
                            reply.left[known] = "nothing to do"
                    except SparkplugError as error:
                        reply.left[known] = error.message
                self.catalogue.set_answer(db, request.request, reply.model_dump_json())
            return reply

        reply = await self._on_writer(change)
        self.indexing.wake()
        if reply.changed:
            data = {"ids": reply.changed[:_TOLD_IDS], "count": len(reply.changed)}
            if request.why:
                data["why"] = request.why[:500]
            self._events.emit(event, "memory", actor=caller.author, data=data)
        return reply

    async def _delete(self, caller: Caller, request: m.ManyRequest) -> m.ManyReply:
        def work(db: Any, known: str) -> bool:
            return self.catalogue.delete(db, known, caller.author, request.why[:500])

        return await self._each(caller, request, "memory:deleted", work)

    async def _undo(self, caller: Caller, request: m.ManyRequest) -> m.ManyReply:
        def work(db: Any, known: str) -> bool:
            self.catalogue.undo(db, known)
            return True

        return await self._each(caller, request, "memory:added", work)

    async def _release(self, caller: Caller, request: m.ManyRequest) -> m.ManyReply:
        def work(db: Any, known: str) -> bool:
            self.catalogue.judge(db, known, keep=True)
            return True

        return await self._each(caller, request, "memory:updated", work)

    async def _quarantine(self, caller: Caller, request: m.ManyRequest) -> m.ManyReply:
        def work(db: Any, known: str) -> bool:
            self.catalogue.judge(db, known, keep=False)
            return True

        return await self._each(caller, request, "memory:updated", work)

    async def _prune(self, caller: Caller, request: m.PruneRequest) -> m.PruneReply:
        if request.apply:
            reply = await self._on_writer(
                upkeep.prune, self.catalogue, request, self._half_life, caller.author
            )
            self.indexing.wake()
            if reply.deleted:
                data = {"ids": reply.deleted[:_TOLD_IDS], "count": len(reply.deleted)}
                self._events.emit("memory:deleted", "memory", actor=caller.author, data=data)
            return reply
        found = await self._on_reader(upkeep.propose, self.catalogue, request, self._half_life)
        return m.PruneReply(proposals=found)

    # Use, files, folders

    async def _stats(self, caller: Caller, request: m.ItemRequest) -> m.MemoryStats:
        def work() -> m.MemoryStats:
            db = self.catalogue.reader
            scopes = looking.scopes_in_use(db)
            space = self.indexing.serving
            flagged = db.execute(
                "SELECT count(*) AS n FROM items WHERE state = 'kept' AND flags != ''"
            ).fetchone()["n"]
            return m.MemoryStats(
                node=self._node,
                items=sum(use.items for use in scopes),
                bytes=sum(use.bytes for use in scopes),
                quarantined=sum(use.quarantined for use in scopes),
                deleted=sum(use.deleted for use in scopes),
                flagged=flagged,
                scopes=scopes,
                agents=looking.agents_in_use(
                    db, self._settings.quota_items, self._settings.quota_bytes
                ),
                growth=looking.growth(db),
                embedder=space.name if space is not None else "",
                embedder_note=space.embedder.note if space is not None else self.indexing.error,
                store=self._settings.store,
                indexed=self.indexing.indexed(),
                reembedding=self.indexing.progress(),
                extraction=self._extraction.model,
                extracting=self._extraction.waiting(),
                disk_bytes=_disk(self._folder),
                folders=looking.folders(db),
            )

        made = await self._on_reader(work)
        made.waiting = await self._intake.waiting()
        return made

    async def _export(self, caller: Caller, request: m.ExportRequest) -> m.ExportReply:
        return await self._on_reader(exchange.export, self.catalogue, request, self._half_life)

    async def _import(self, caller: Caller, request: m.ImportRequest) -> m.ImportReply:
        reply = await self._on_writer(exchange.take_in, self.catalogue, request)
        self.indexing.wake()
        if reply.added and not request.dry_run:
            data = {"count": reply.added, "imported": True}
            self._events.emit("memory:added", "memory", actor=caller.author, data=data)
        return reply

    async def _ingest(self, caller: Caller, request: m.IngestRequest) -> m.KnowledgeFolder:
        await self._access.check_write(caller, request.scope)
        made = await asyncio.to_thread(self._knowledge.ingest, request, caller.author)
        self._knowledge.look_again()
        data = {"folder": made.path, "count": made.chunks}
        self._events.emit("memory:added", made.scope, actor=caller.author, data=data)
        return made

    async def _forget(self, caller: Caller, request: m.ForgetRequest) -> m.KnowledgeFolder:
        made = await asyncio.to_thread(self._knowledge.forget, request)
        data = {"folder": made.path, "count": made.chunks}
        self._events.emit("memory:deleted", made.scope, actor=caller.author, data=data)
        return made

    async def _handover(self, caller: Caller, request: m.MoveRequest) -> m.MoveReply:
        """Give all of it to another node: what was taken in goes with it, or is left waiting."""
        from sparkplug.memory.moving import hand_over

        if self._leaves_for:
            raise ConflictError(f"the memory goes to {self._leaves_for} already")
        self._leaves_for = request.node
        try:
            await self._intake.pause()
            async with self._unchanging:
                await self._unchanging.wait_for(lambda: not self._changing)
            waiting = await self._on_reader(self._extraction.waiting)
            if waiting:
                raise ConflictError(
                    f"facts of {waiting} writes are still being taken out",
                    hint="move it once `sparkplug memory stats` shows none",
                )
            return await hand_over(
                self._bus, self.catalogue, self._half_life, self._node, request.node
            )
        except BaseException:
            self._leaves_for = ""
            self._intake.resume()
            raise

    # Upkeep

    async def _note_reads(self) -> None:
        """Who was given what, written down after the answer went out."""
        while True:
            await self._read_noted.wait()
            self._read_noted.clear()
            reads, self._reads = self._reads, []
            for rows, agent, run in reads:
                await self._on_writer(self.catalogue.note_reads, rows, agent, run)

    async def _keep_up(self) -> None:
        rounds = 0
        while True:
            gone = await self._on_writer(upkeep.expire, self.catalogue)
            if gone:
                self.indexing.wake()
                data = {"ids": [r["id"] for r in gone[:_TOLD_IDS]], "count": len(gone)}
                self._events.emit("memory:deleted", "memory", data={**data, "why": "expired"})
            if rounds % _PURGE_EVERY == 0:
                await self._on_writer(self._purge)
            rounds += 1
            await asyncio.sleep(_EXPIRE_EVERY_S)

    def _purge(self) -> None:
        with self.catalogue.change() as db:
            self.catalogue.purge_old(db)

    def _take_in_left(self) -> None:
        """Lines that a restore or a move left here, once; then the file goes."""
        path = self._folder / TO_TAKE_IN
        if not path.exists():
            return
        added = 0
        with path.open(encoding="utf-8") as file:
            lines: list[str] = []
            for line in file:
                lines.append(line)
                if len(lines) == 1000:
                    added += exchange.take_in(self.catalogue, m.ImportRequest(lines=lines)).added
                    lines = []
            if lines:
                added += exchange.take_in(self.catalogue, m.ImportRequest(lines=lines)).added
        path.unlink()
        log.info("%d memories came from elsewhere", added)


def _disk(folder: Path) -> int:
    """Bytes of all files of the memory."""
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            if path.is_file():
                total += path.stat().st_size
    return total


def line(data: dict[str, Any]) -> str:
    """What the process says to the node that started it."""
    return json.dumps(data, separators=(",", ":")) + "\n"
