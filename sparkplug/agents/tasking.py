"""The tasks a replica works on: handed over by the task service, done as requests are.

It is told what to do on a subject of its own and answers on another; it reads no stream. What
has ended is said again until the service says that it is kept. A try that was handed over twice
is done once: this process remembers what it was given.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any

import nats.errors
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from pydantic import ValidationError
from synadia_ai.agent_service import RequestRejectedError

from sparkplug.bus import subjects
from sparkplug.bus.cancellation import end
from sparkplug.bus.connection import Bus
from sparkplug.bus.synadia import CANCELLED_CODE
from sparkplug.schema.errors import InvalidError
from sparkplug.schema.task import MAX_TASK_BYTES, Outcome
from sparkplug.schema.task_services import Finished, FromWorker, GivenTask, ToWorker

log = logging.getLogger("sparkplug.agent")

#: Seconds between two words of all of it: while there is something in hand, and else.
_BEAT_BUSY_S = 1.0
_BEAT_IDLE_S = 10.0
_REMEMBERED = 20_000
_MOST_ERROR = 2000
_MOST_TOLD = 200
_GOODBYE_S = 2.0
#: The code of an answer that another try would give as well: the input does not hold.
_FINAL_CODE = 400
_STOPPED = "the agent was stopped"


class TaskWorker:
    """The tasks one replica has in hand. `work` does one and gives its answer."""

    def __init__(
        self,
        bus: Bus,
        agent: str,
        replica: str,
        *,
        instance: str,
        capacity: Callable[[], int],
        work: Callable[[GivenTask], Awaitable[Any]],
    ) -> None:
        self._bus = bus
        self._agent, self._replica, self._instance = agent, replica, instance
        self._capacity = capacity
        self._work = work
        self._hand: dict[str, asyncio.Task[None]] = {}
        self._cancelled: dict[str, str] = {}
        self._known: OrderedDict[str, None] = OrderedDict()
        #: What has ended and is not kept yet, by the word of the service.
        self._ended: dict[str, Finished] = {}
        self._told: set[str] = set()
        self._wake = asyncio.Event()
        self._whole = True
        self._closing = False
        self._subscriptions: list[Subscription] = []
        self._beats: asyncio.Task[None] | None = None
        self._forget: Callable[[], None] = lambda: None

    async def start(self) -> None:
        """Take tasks from now on."""
        nc = self._bus.nc
        self._subscriptions = [
            await nc.subscribe(subjects.tasks_to(self._agent, self._replica), cb=self._on_told),
            await nc.subscribe(subjects.TASKS_HELLO, cb=self._on_hello),
        ]
        self._forget = self._bus.on_reconnect(self.say_all)
        self._beats = asyncio.create_task(self._beat(), name="tasks: beats")

    async def say_all(self) -> None:
        """Tell the service soon how much is taken and what is in hand."""
        self._whole = True
        self._wake.set()

    async def close(self) -> None:
        """Give back what is in hand, and wait a moment until the service has heard."""
        self._closing = True
        for tag, task in self._hand.items():
            self._cancelled.setdefault(tag, "")
            task.cancel()
        await asyncio.gather(*self._hand.values(), return_exceptions=True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_GOODBYE_S if self._bus.connected else 0):
                await self.say_all()
                while self._ended:
                    await asyncio.sleep(0.05)
                    await self.say_all()
        self._forget()
        for subscription in self._subscriptions:
            with contextlib.suppress(nats.errors.Error):
                await subscription.unsubscribe()
        if self._beats is not None:
            await end(self._beats)

    async def _on_hello(self, _: Msg) -> None:
        await self.say_all()

    async def _on_told(self, message: Msg) -> None:
        try:
            told = ToWorker.model_validate_json(message.data)
        except ValidationError as error:
            log.warning(
                "a task that cannot be read: %s",
                error.errors(include_input=False, include_url=False)[:1],
            )
            return
        if told.instance != self._instance:
            return
        for tag in told.heard:
            self._ended.pop(tag, None)
            self._told.discard(tag)
        for tag, why in told.cancel.items():
            task = self._hand.get(tag)
            if task is not None and tag not in self._cancelled:
                self._cancelled[tag] = why
                task.cancel()
        for given in told.give:
            self._take(given)

    def _take(self, given: GivenTask) -> None:
        tag = f"{given.id}#{given.attempt}"
        if tag in self._known:
            if tag in self._ended:
                self._told.discard(tag)
                self._wake.set()
            return
        self._known[tag] = None
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        if self._closing:
            self._ended[tag] = Finished(
                id=given.id, attempt=given.attempt, outcome=Outcome.RELEASED, error=_STOPPED
            )
            self._wake.set()
            return
        self._hand[tag] = asyncio.create_task(self._do(tag, given), name=f"task {tag}")

    async def _do(self, tag: str, given: GivenTask) -> None:
        try:
            finished = await self._outcome(tag, given)
        except asyncio.CancelledError:
            why = self._cancelled.get(tag, "")
            outcome = Outcome.CANCELLED if why else Outcome.RELEASED
            error = why or _STOPPED
            finished = Finished(id=given.id, attempt=given.attempt, outcome=outcome, error=error)
        self._hand.pop(tag, None)
        self._cancelled.pop(tag, None)
        self._ended[tag] = finished
        self._wake.set()

    async def _outcome(self, tag: str, given: GivenTask) -> Finished:
        """Do the task, and say how it ended."""
        outcome, why, result, retry = Outcome.FAILED, "", None, True
        try:
            async with asyncio.timeout(given.timeout):
                result = await self._work(given)
            outcome = Outcome.DONE
        except TimeoutError:
            outcome, why = Outcome.TIMEOUT, f"no end within {given.timeout:g} s"
        except RequestRejectedError as error:
            why, retry = error.description, error.code != _FINAL_CODE
            if error.code == CANCELLED_CODE:
                # Somebody else than the service ended it: the agent that stops, or a person.
                outcome = Outcome.RELEASED if not self._capacity() else Outcome.CANCELLED
        except InvalidError as error:
            why, retry = str(error), False
        except Exception as error:
            # The agent's own code: what it raised is the outcome of the try.
            log.exception("task %s", tag)
            why = f"{type(error).__name__}: {error}"
        finished = Finished(
            id=given.id,
            attempt=given.attempt,
            outcome=outcome,
            error=why[:_MOST_ERROR] or None,
            result=result,
            retry=retry,
        )
        if outcome is Outcome.DONE and len(finished.model_dump_json()) > MAX_TASK_BYTES:
            return finished.model_copy(
                update={
                    "outcome": Outcome.FAILED,
                    "error": f"the answer is larger than the {MAX_TASK_BYTES} bytes that are kept",
                    "result": None,
                    "retry": False,
                }
            )
        return finished

    async def _beat(self) -> None:
        """Say what has ended at once, and all of it now and then."""
        loop = asyncio.get_running_loop()
        said = -_BEAT_IDLE_S
        while True:
            every = _BEAT_BUSY_S if self._hand or self._ended else _BEAT_IDLE_S
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, said + every - loop.time())):
                    await self._wake.wait()
            self._wake.clear()
            whole = self._whole or loop.time() - said >= every
            if whole:
                said, self._whole = loop.time(), False
                self._told.clear()
            await self._say(whole=whole)

    async def _say(self, *, whole: bool) -> None:
        new = [one for tag, one in self._ended.items() if tag not in self._told][:_MOST_TOLD]
        if not new and not whole:
            return
        told = FromWorker(
            instance=self._instance,
            capacity=0 if self._closing else self._capacity(),
            holding=list(self._hand) if whole else [],
            finished=new,
            whole=whole,
        )
        subject = subjects.tasks_from(self._agent, self._replica)
        try:
            await self._bus.nc.publish(
                subject, told.model_dump_json(exclude_defaults=True).encode()
            )
        except nats.errors.Error as error:
            log.debug("the task service is not told: %s", error)
            return
        self._told.update(f"{one.id}#{one.attempt}" for one in new)
        if len(new) == _MOST_TOLD:
            self._wake.set()
