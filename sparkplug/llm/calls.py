"""One call of a model: the only loop that tries again.

Every try is within the call's deadline and is written to the ledger. What fails is tried
elsewhere at once where another model may take it, else after a wait with full jitter or as
long as the server asked for. An answer that came in part and broke off is gone on with when
the next try begins with the same words, else the call fails: what was told stays told.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field, replace
from typing import Any

from sparkplug.llm.errors import (
    BrokenAnswerError,
    MalformedAnswerError,
    ModelTimeoutError,
    NoModelError,
)
from sparkplug.llm.metering import Labels, Measured, spent_here
from sparkplug.llm.models import Models
from sparkplug.llm.port import (
    Answer,
    Ask,
    CallDelta,
    Event,
    Finish,
    Message,
    TextDelta,
    ToolCall,
    Usage,
)
from sparkplug.llm.repair import Unfit, check, read_call, read_json
from sparkplug.llm.routing import AUTO, Choice, Needs
from sparkplug.llm.waits import backoff
from sparkplug.schema.llm import Ability, ModelView

_MOST_CHARS = 1_000_000
_MOST_CALLS = 128
_SHORTEST_S = 0.01


@dataclass(slots=True)
class _Got:
    """What one try brought."""

    parts: list[str] = field(default_factory=list)
    calls: dict[int, list[str]] = field(default_factory=dict)
    finish: str = ""
    usage: Usage = field(default_factory=Usage)
    model: str = ""
    length: int = 0

    @property
    def text(self) -> str:
        return "".join(self.parts)


class Call:
    """One question until it is answered. With `hold` no text is given before all of it holds."""

    def __init__(
        self, models: Models, wanted: str, labels: Labels, ask: Ask, *, hold: bool
    ) -> None:
        self._models = models
        self._wanted = wanted
        self._labels = labels
        self._ask = ask
        self._hold = hold or ask.schema is not None
        self._loop = asyncio.get_running_loop()
        limit = models.settings.timeout if ask.timeout is None else ask.timeout
        self._limit = limit
        self._ends = self._loop.time() + limit
        self._told = ""
        self._got = _Got()
        self._attempt = 0
        self._chars = 0

    async def run(self) -> AsyncGenerator[Event, None]:
        """Text as it comes, tool calls when they hold, the whole answer last."""
        ask, left = self._ask, self._models.settings.repairs
        while True:
            self._chars = sum(len(m.content) for m in ask.messages)
            async with contextlib.aclosing(self._tried(ask)) as pieces:
                async for piece in pieces:
                    yield piece
            got = self._got
            try:
                answer = self._whole(got)
            except Unfit as why:
                if not left:
                    raise MalformedAnswerError(
                        f"the model's answer does not hold: {why}", where=got.model
                    ) from None
                left -= 1
                ask = _again(ask, got, str(why))
                # What is told already is not told a second time.
                self._hold = self._hold or bool(self._told)
                continue
            for call in answer.calls:
                yield call
            yield answer
            return

    def _whole(self, got: _Got) -> Answer:
        text = got.text
        calls: tuple[ToolCall, ...] = ()
        if got.calls:
            calls = tuple(
                read_call(name, arguments, call_id or f"call_{place}", self._ask.tools)
                for place, (call_id, name, arguments) in sorted(got.calls.items())
            )
        elif self._ask.tools and self._ask.tool_choice not in ("auto", "none"):
            raise Unfit("a tool has to be called")
        value: Any = None
        if self._ask.schema is not None and not calls:
            value = check(read_json(text), self._ask.schema)
        if not text and not calls and got.finish not in ("stop", "length"):
            raise Unfit("it is empty")
        return Answer(self._told or text, calls, value, got.usage, got.finish, got.model)

    async def _tried(self, ask: Ask) -> AsyncGenerator[TextDelta, None]:
        """Ask until one answers. Raises the last error when none does."""
        needs = _needs(ask)
        failed: dict[str, int] = {}
        out: set[str] = set()
        tries = 0
        last: NoModelError | None = None
        while True:
            found = await self._models.route(self._wanted, needs)
            open_ = [c for c in found.choices if c.view.identity not in out]
            if not open_:
                raise last or _none(self._wanted, found.left_out)
            view = min(open_, key=lambda c: (failed.get(c.view.identity, 0), c.rank)).view
            key = view.identity
            if last is not None and failed.get(key):
                await self._wait(tries, last)
            health = self._models.health_of(view)
            try:
                async with contextlib.aclosing(self._once(ask, view)) as pieces:
                    async for piece in pieces:
                        yield piece
            except NoModelError as error:
                tries += 1
                last = error
                if error.again:
                    health.failed(error)
                    failed[key] = failed.get(key, 0) + 1
                else:
                    out.add(key)
                if not (error.again or error.elsewhere) or tries > self._models.settings.retries:
                    raise
                if self._loop.time() >= self._ends:
                    raise
            else:
                health.ok()
                return

    async def _wait(self, tries: int, error: NoModelError) -> None:
        """Before the same model is asked again; raises `error` when there is no time for it."""
        wait = backoff(tries) if error.retry_after is None else error.retry_after
        if self._loop.time() + wait >= self._ends:
            raise error
        await asyncio.sleep(wait)

    async def _once(self, ask: Ask, view: ModelView) -> AsyncGenerator[TextDelta, None]:
        """One try at one model."""
        models, loop, settings = self._models, self._loop, self._models.settings
        self._attempt += 1
        left = max(self._ends - loop.time(), _SHORTEST_S)
        try:
            async with asyncio.timeout(left):
                view = await models.ready(view)
                provider = await models.provider(view)
        except TimeoutError:
            raise ModelTimeoutError(
                f"no answer within {self._limit:g} s", where=view.endpoint
            ) from None
        measured = Measured(view, self._attempt, asked_chars=self._chars)
        got = self._got = _Got(model=view.name)
        got.model = view.model or view.name
        health = models.health_of(view)
        health.inflight += 1
        outcome = "cancelled"
        source = provider.stream(ask, view.model)
        patience, phase = settings.first_token_timeout, "did not begin to answer"
        resumed = 0 if self._told else -1
        try:
            async with contextlib.aclosing(source):
                while True:
                    until = min(loop.time() + patience, self._ends)
                    try:
                        async with asyncio.timeout_at(until):
                            delta = await anext(source)
                    except StopAsyncIteration:
                        break
                    except TimeoutError:
                        raise self._late(phase, patience, view) from None
                    kind = type(delta)
                    if kind is Usage:
                        measured.usage = delta  # type: ignore[assignment]
                        continue
                    if kind is Finish:
                        got.finish = delta.reason  # type: ignore[union-attr]
                        continue
                    if measured.first is None:
                        patience = settings.token_timeout
                        phase = "stopped in the middle of its answer"
                    measured.piece()
                    if kind is CallDelta:
                        _gather(got, delta)  # type: ignore[arg-type]
                        continue
                    text = delta.text  # type: ignore[union-attr]
                    got.parts.append(text)
                    got.length += len(text)
                    if got.length > _MOST_CHARS:
                        raise MalformedAnswerError(
                            f"the answer is longer than {_MOST_CHARS} characters",
                            where=view.endpoint,
                        )
                    if self._hold:
                        continue
                    if resumed < 0:
                        self._told += text
                        yield TextDelta(text)
                        continue
                    new = self._beyond(got.text, view)
                    if new:
                        resumed = -1
                        self._told += new
                        yield TextDelta(new)
            if not got.finish:
                raise BrokenAnswerError("the answer broke off", where=view.endpoint)
            if resumed == 0 and not self._hold and len(got.text) < len(self._told):
                raise self._other_words(view)
            outcome = "ok"
        except NoModelError as error:
            outcome = error.code
            raise
        finally:
            health.inflight -= 1
            measured.whole = outcome == "ok"
            got.usage = measured.used
            record = measured.record(self._labels, outcome, settings.currency)
            models.note(record)
            spent = spent_here.get()
            if spent is not None:
                spent.append(record.tokens_in + record.tokens_out)

    def _late(self, phase: str, patience: float, view: ModelView) -> ModelTimeoutError:
        whole = self._loop.time() >= self._ends
        told = f"no complete answer within {self._limit:g} s"
        words = told if whole else f"it {phase} within {patience:g} s"
        return ModelTimeoutError(words, where=view.endpoint)

    def _beyond(self, text: str, view: ModelView) -> str:
        """What `text` has beyond what was told by a try before; it has to begin with that."""
        told = self._told
        if len(text) <= len(told):
            if told.startswith(text):
                return ""
        elif text.startswith(told):
            return text[len(told) :]
        raise self._other_words(view)

    def _other_words(self, view: ModelView) -> NoModelError:
        error = BrokenAnswerError(
            "the answer broke off, and a second try gave another", where=view.endpoint
        )
        self._ends = self._loop.time()  # no third
        return error


def _gather(got: _Got, delta: CallDelta) -> None:
    """Add a piece of a tool call."""
    call = got.calls.setdefault(delta.index, ["", "", ""])
    if len(got.calls) > _MOST_CALLS:
        raise MalformedAnswerError(f"more than {_MOST_CALLS} tools are called at once")
    call[0] = call[0] or delta.id
    call[1] = call[1] or delta.name
    got.length += len(delta.arguments)
    if got.length > _MOST_CHARS:
        raise MalformedAnswerError("the arguments of a tool are too long")
    call[2] += delta.arguments


def _needs(ask: Ask) -> Needs:
    abilities: set[Ability] = set()
    if ask.tools:
        abilities.add("tools")
    if ask.schema is not None:
        abilities.add("json")
    if any(message.images for message in ask.messages):
        abilities.add("vision")
    chars = sum(len(message.content) for message in ask.messages)
    return Needs(frozenset(abilities), chars // 4 + (ask.max_tokens or 0))


def _none(wanted: str, left_out: list[Choice]) -> NoModelError:
    """Why nobody can be asked."""
    if left_out:
        whys = "; ".join(f"{c.view.name}: {c.why_not}" for c in left_out[:5])
        return NoModelError(
            f"no model can take this: {whys}", hint="`sparkplug models` shows all there are"
        )
    if wanted == AUTO:
        return NoModelError(
            "no model is configured",
            hint="name an OpenAI-compatible endpoint: sparkplug config set llm.endpoint URL",
        )
    return NoModelError(
        f"there is no model {wanted}",
        hint="`sparkplug models` shows all there are; [llm.models] of the settings names them",
    )


def _again(ask: Ask, got: _Got, why: str) -> Ask:
    """The question once more, with the answer that does not hold and what is wrong with it."""
    said = got.text
    for _, name, arguments in got.calls.values():
        said += f"\n[call of {name}: {arguments}]"
    complaint = f"That answer cannot be used: {why}. Answer again"
    if ask.schema is not None:
        complaint += " with nothing but JSON that has the asked form"
    elif ask.tools:
        complaint += ", with calls of the given tools alone"
    told = (Message("assistant", said or "(nothing)"), Message("user", complaint + "."))
    return replace(ask, messages=(*ask.messages, *told))
