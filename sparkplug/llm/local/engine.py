"""Writing the answers of one model: all that are asked for at once, a token of each in a step.

New questions join between two steps: they are read together, and their keys and values put
beside those of the rows that are under way, padded on the left. Models whose cache is not of
the plain growing kind (sliding windows, state spaces) begin together instead, when the last
batch is done. Runs in a thread of its own; everything else talks to it by `submit`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from tokenizers.decoders import DecodeStream
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from sparkplug.llm.local.energy import EnergyMeter
from sparkplug.llm.local.loading import Loaded

log = logging.getLogger(__name__)

_TOP_P = 1.0
#: A model that writes faster than anybody reads tells several tokens at once: seconds between.
_DELIVER_S = 0.02


@dataclass
class Job:
    """One answer to write. `tell(text, finish)` is called as the engine delivers."""

    tokens: list[int]
    tell: Callable[[str, str | None], None]
    most: int
    temperature: float = 0.0
    top_p: float = _TOP_P
    stop: tuple[str, ...] = ()
    seed: int | None = None
    cancelled: bool = False
    written: int = 0
    joules: float = 0.0
    shared: bool = False
    text: str = ""
    told: int = 0
    decoder: Any = None
    generator: torch.Generator | None = None
    finish: str | None = None
    last: int = 0


@dataclass
class _Batch:
    """The rows under way: their cache, which of its columns count, and where each row is."""

    jobs: list[Job] = field(default_factory=list)
    cache: Any = None
    mask: torch.Tensor | None = None
    position: torch.Tensor | None = None


class Engine:
    """The one that writes. `start` begins, `stop` ends it.

    Answers are told in its own thread, or on a loop: see `deliver_on`.
    """

    def __init__(self, loaded: Loaded, most: int, energy: EnergyMeter | None = None) -> None:
        self._deliver: Callable[[list[Told]], None] = _deliver
        self._loaded = loaded
        self._tokenizer = loaded.tokenizer._tokenizer  # noqa: SLF001  it has no name in public
        self._most = most
        self._energy = energy or EnergyMeter(None)
        self._queue: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._waiting: deque[Job] = deque()
        self._batch = _Batch()
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._stopping = False
        self._delivered = 0.0
        self.tokens_in = 0
        self.tokens_out = 0

    def deliver_on(self, loop: asyncio.AbstractEventLoop) -> None:
        """Deliver on a loop: once for a step, however many answers it writes."""
        self._deliver = lambda told: _soon(loop, told)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End after the step that is under way."""
        self._stopping = True
        self._queue.put(None)

    def submit(self, job: Job) -> None:
        """Have an answer written."""
        self._queue.put(job)

    @property
    def running(self) -> int:
        """Answers that are written now."""
        return len(self._batch.jobs)

    @property
    def waiting(self) -> int:
        """Answers that wait for a place."""
        return len(self._waiting) + self._queue.qsize()

    def _run(self) -> None:
        with torch.inference_mode():
            while not self._stopping:
                self._take()
                try:
                    self._admit()
                    if self._batch.jobs:
                        self._step()
                except Exception:
                    # Out of memory, or a model that fails: those under way are told, it goes on.
                    log.exception("the model failed")
                    self._deliver([(job, "", "error") for job in self._batch.jobs])
                    self._batch = _Batch()

    def _take(self) -> None:
        """What was asked; waits while there is nothing to do."""
        idle = not self._batch.jobs and not self._waiting
        if idle:
            self._energy.rest()
        while True:
            try:
                job = self._queue.get(block=idle)
            except queue.Empty:
                return
            if job is not None:
                self._waiting.append(job)
            idle = False
            if self._stopping:
                return

    def _admit(self) -> None:
        room = self._most - len(self._batch.jobs)
        if not self._waiting or room <= 0:
            return
        if self._batch.jobs and not _plain(self._batch.cache):
            return
        new: list[Job] = []
        while self._waiting and len(new) < room:
            job = self._waiting.popleft()
            if not job.cancelled:
                new.append(job)
        if new:
            self._join(self._read(new))

    def _read(self, jobs: list[Job]) -> _Batch:
        """Read the questions of `jobs` in one pass, and write the first token of each."""
        self._energy.begin()
        device = self._loaded.device
        longest = max(len(job.tokens) for job in jobs)
        pad = self._loaded.tokenizer.pad_token_id or 0
        ids = torch.full((len(jobs), longest), pad, dtype=torch.long)
        mask = torch.zeros((len(jobs), longest), dtype=torch.long)
        for row, job in enumerate(jobs):
            ids[row, longest - len(job.tokens) :] = torch.tensor(job.tokens)
            mask[row, longest - len(job.tokens) :] = 1
            self.tokens_in += len(job.tokens)
            if job.seed is not None:
                job.generator = torch.Generator(device=device).manual_seed(job.seed)
            job.decoder = DecodeStream(skip_special_tokens=True)
        ids, mask = ids.to(device), mask.to(device)
        position = (mask.cumsum(-1) - 1).clamp(min=0)
        cache = DynamicCache(config=self._loaded.model.config)
        out = self._loaded.model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=position,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        batch = _Batch(jobs, out.past_key_values, mask, position[:, -1:])
        self._write(batch, out.logits[:, -1])
        return batch

    def _join(self, new: _Batch) -> None:
        """Put new rows beside those under way."""
        self._drop_done(new)
        if not new.jobs:
            return
        old = self._batch
        if not old.jobs:
            self._batch = new
            return
        assert old.mask is not None
        assert new.mask is not None
        assert old.position is not None
        assert new.position is not None
        width = max(old.mask.shape[1], new.mask.shape[1])
        for mine, theirs in zip(old.cache.layers, new.cache.layers, strict=True):
            mine.keys = torch.cat([_widen(mine.keys, width), _widen(theirs.keys, width)])
            mine.values = torch.cat([_widen(mine.values, width), _widen(theirs.values, width)])
        pads = [torch.nn.functional.pad(m, (width - m.shape[1], 0)) for m in (old.mask, new.mask)]
        self._batch = _Batch(
            old.jobs + new.jobs,
            old.cache,
            torch.cat(pads),
            torch.cat([old.position, new.position]),
        )

    def _step(self) -> None:
        """One token more of each row."""
        batch = self._batch
        assert batch.mask is not None
        assert batch.position is not None
        ids = torch.tensor([[job.last] for job in batch.jobs], device=self._loaded.device)
        batch.mask = torch.nn.functional.pad(batch.mask, (0, 1), value=1)
        batch.position = batch.position + 1
        out = self._loaded.model(
            input_ids=ids,
            attention_mask=batch.mask,
            position_ids=batch.position,
            past_key_values=batch.cache,
            use_cache=True,
        )
        self._write(batch, out.logits[:, -1])
        self._drop_done(batch)

    def _write(self, batch: _Batch, logits: torch.Tensor) -> None:
        """Choose the next token of each row, and tell its text."""
        chosen: list[int] = logits.argmax(-1).tolist()
        shared = len(batch.jobs) > 1 or bool(self._batch.jobs and batch is not self._batch)
        done = False
        for row, job in enumerate(batch.jobs):
            token = chosen[row]
            if job.temperature > 0:
                token = _sampled(logits[row], job)
            if shared:
                job.shared = True
            self._take_token(job, token)
            done = done or job.finish is not None or not job.told
        self._energy.share(batch.jobs)
        if done:
            self._energy.settle()
        now = time.monotonic()
        if done or now - self._delivered >= _DELIVER_S:
            self._delivered = now
            told = [(job, *_new(job)) for job in batch.jobs]
            self._deliver([one for one in told if one[1] or one[2]])

    def _take_token(self, job: Job, token: int) -> None:
        job.last = token
        job.written += 1
        self.tokens_out += 1
        if token in self._loaded.stops:
            job.finish = "stop"
            return
        piece = job.decoder.step(self._tokenizer, token)
        if piece:
            job.text += piece
        for word in job.stop:
            at = job.text.find(word, max(0, job.told - len(word)))
            if at >= 0:
                job.text, job.finish = job.text[:at], "stop"
                return
        if job.written >= job.most:
            job.finish = "length"

    def _drop_done(self, batch: _Batch) -> None:
        """Take out the rows that are done, and the columns that count for none any more."""
        left = [row for row, job in enumerate(batch.jobs) if not (job.finish or job.cancelled)]
        if len(left) == len(batch.jobs):
            return
        batch.jobs = [batch.jobs[row] for row in left]
        if not left:
            batch.cache = batch.mask = batch.position = None
            return
        assert batch.mask is not None
        assert batch.position is not None
        rows = torch.tensor(left, device=self._loaded.device)
        batch.mask, batch.position = batch.mask[rows], batch.position[rows]
        batch.cache.batch_select_indices(rows)
        if _plain(batch.cache):
            empty = int((batch.mask.sum(0) > 0).int().argmax())
            if empty:
                batch.mask = batch.mask[:, empty:]
                for layer in batch.cache.layers:
                    layer.keys = layer.keys[:, :, empty:]
                    layer.values = layer.values[:, :, empty:]


def _plain(cache: Any) -> bool:
    return all(type(layer) is DynamicLayer for layer in cache.layers)


def _widen(states: torch.Tensor, width: int) -> torch.Tensor:
    """Keys or values with columns of nothing on the left, `width` in all."""
    return torch.nn.functional.pad(states, (0, 0, width - states.shape[-2], 0))


def _sampled(logits: torch.Tensor, job: Job) -> int:
    chances = torch.softmax(logits.float() / job.temperature, -1)
    if job.top_p < 1:
        ordered, places = chances.sort(descending=True)
        ordered[ordered.cumsum(-1) - ordered > job.top_p] = 0
        chances = torch.zeros_like(chances).scatter(-1, places, ordered)
    return int(torch.multinomial(chances, 1, generator=job.generator))


#: An answer, what is new of its text, and how it ended.
Told = tuple[Job, str, str | None]


def _deliver(told: list[Told]) -> None:
    for job, text, finish in told:
        job.tell(text, finish)


def _soon(loop: asyncio.AbstractEventLoop, told: list[Told]) -> None:
    if told:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(_deliver, told)


def _new(job: Job) -> tuple[str, str | None]:
    """What is new of the text, held back where it may be the beginning of a stop word."""
    end = len(job.text)
    if job.finish is None and job.stop:
        for word in job.stop:
            for size in range(min(len(word) - 1, end - job.told), 0, -1):
                if job.text.endswith(word[:size]):
                    end = min(end, len(job.text) - size)
                    break
    new = job.text[job.told : end]
    job.told = max(job.told, end)
    return new, job.finish
