"""A monkey at the terminal: random keys, mouse and sizes, the same for the same seed."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
import unicodedata
from collections import deque
from collections.abc import Iterator

from rich.color import ColorSystem
from textual import events
from textual._compositor import LayoutUpdate
from textual._xterm_parser import XTermParser
from textual.dom import DOMNode
from textual.geometry import Size
from textual.keys import REPLACED_KEYS, _character_to_key, _get_unicode_name_from_key
from tui_mesh import Mesh, gpu, plan, sample

from sparkplug.schema.host import Driver, DriverState
from sparkplug.schema.topology import Topology, TopologyEdge
from sparkplug.tui.app import SparkplugApp
from sparkplug.tui.screen.writer import Terminal as Shown
from sparkplug.tui.themes import load_themes

_TOLD = 60
_BURST = 24
_LAST = 40
#: Drawing all of the screen takes longer than most of what is done to it.
_LOOK_EVERY = 4
_SMALLEST, _LARGEST = (20, 5), (200, 60)
_PRINTABLE = [chr(code) for code in range(32, 127)] + ["é", "漢", "🚀", "\u0301", "\u202e"]
#: Press, release, drag, right and middle, wheel both ways, and a move with nothing held (SGR).
_BUTTONS = [0, 0, 0, 1, 2, 32, 34, 35, 64, 65, 68]
#: Words that open much when they are typed into the line.
_LINES = [
    *(":agents\r", ":hosts\r", ":overview\r", ":theme mono\r", ":theme neon\r", ":help\r"),
    *(
        ":notices\r",
        ":describe agent-1\r",
        ":logs agent-2\r",
        ":restart agent-3\r",
        ":rm agent-4\r",
    ),
    *(":prompt agent-1 hello\r", ":scale agent-2 3\r", ":no such thing\r", ":runs\r"),
    *(":memory\r", ":memory add it rains\r", ":memory timeline\r", ":memory proposals\r"),
    *(":tasks\r", ":tasks submit ocr-1 hello\r", ":workflows\r", ":topology\r", ":schedules\r"),
    *(":models\r", ":edit agent-5\r", ":deploy\r", ":history agent-6\r", ":ctx\r", ":why\r"),
    *("/age\r", "/!agent\r", "/[\r", "/(a|b\r"),
]


_STATES = ("idle", "running", "thinking", "waiting-human", "waiting-gpu", "degraded", "error")


class Monkeyed(SparkplugApp):
    """The control centre, which cannot be left: how often it would have been is counted."""

    def __init__(self) -> None:
        super().__init__(load_themes()[0])
        self.left = 0

    async def action_quit(self) -> None:
        """Not now."""
        self.left += 1


def bound_keys() -> list[str]:
    """Every key that anything of ours binds, once it is imported."""
    found: set[str] = set()
    classes: list[type] = [DOMNode]
    while classes:
        kind = classes.pop()
        classes += kind.__subclasses__()
        for binding in vars(kind).get("BINDINGS", ()):
            keys = binding[0] if isinstance(binding, tuple) else binding.key
            found.update(key.strip() for key in keys.split(",") if key.strip())
    return sorted(found)


def key_event(key: str) -> events.Key:
    """A key by its name or character, as a driver makes it."""
    if len(key) == 1 and not key.isalnum():
        key = _character_to_key(key)
    name = REPLACED_KEYS.get(key, key)
    character: str | None = key if len(key) == 1 else None
    with contextlib.suppress(KeyError):
        character = unicodedata.lookup(_get_unicode_name_from_key(name))
    return events.Key(key, character)


class Monkey:
    """Does random things to an app, and keeps what it did last."""

    def __init__(self, app: Monkeyed, seed: int) -> None:
        self.app = app
        self.seed = seed
        self.done = 0
        self.last: deque[str] = deque(maxlen=_LAST)
        #: How long the loop was busy with one thing at a time, in seconds: a frame, or what
        #: made one wait. What the monkey itself took to look at the screen is not of it.
        self.waits: list[float] = [0.0]
        self._looked = 0.0
        self._chance = random.Random(seed)
        self._parser = XTermParser()
        self._keys = bound_keys()
        self._shown = Shown()

    async def play(self, count: int) -> None:
        """So many events; fails when the app does."""
        watch = asyncio.create_task(self._watch())
        bursts = 0
        try:
            while self.done < count:
                for _ in range(self._chance.randint(1, _BURST)):
                    self._act()
                await self.settle()
                bursts += 1
                if bursts % _LOOK_EVERY == 0:
                    self._look()
                if self._chance.random() < 0.05:
                    await asyncio.sleep(0.03)
        finally:
            watch.cancel()

    async def settle(self) -> None:
        """Until what was done is handled, and the screen is whole."""
        app = self.app
        handled = asyncio.Event()
        app.call_later(lambda: app.screen.call_later(handled.set))
        waits = [asyncio.create_task(e.wait()) for e in (handled, app._exception_event)]
        # A screen that was closed in between handles nothing more; then there is another.
        _, left = await asyncio.wait(waits, timeout=2.0, return_when=asyncio.FIRST_COMPLETED)
        for task in left:
            task.cancel()
        assert app._exception is None, f"{app._exception!r}\n{self.story()}"
        assert app.is_running, f"it has ended\n{self.story()}"

    def _look(self) -> None:
        """Draw the screen as it is: every row is as wide as the terminal."""
        began = time.perf_counter()
        screen = self.app.screen
        update = screen._compositor.render_update(
            full=True, screen_stack=self.app._background_screens
        )
        if isinstance(update, LayoutUpdate):
            width = update.region.width
            for row, strips in enumerate(update.strips):
                found = sum(strip.cell_length for strip in strips)
                assert found == width, f"row {row} has {found} of {width} cells\n{self.story()}"
        self._shown.take(update, ColorSystem.TRUECOLOR)
        self._shown.frame((0, 0))
        self._looked += time.perf_counter() - began

    async def _watch(self) -> None:
        """How late the loop is."""
        while True:
            before, looked = time.perf_counter(), self._looked
            await asyncio.sleep(0.01)
            took = time.perf_counter() - before - 0.01
            self.waits.append(took - (self._looked - looked))

    def _act(self) -> None:
        driver = self.app._driver
        assert driver is not None
        for what, event in self._some():
            self.done += 1
            self.last.append(what)
            if isinstance(event, events.Resize):
                driver._size = event.size  # type: ignore[attr-defined]
            event.set_sender(self.app)
            driver.process_message(event)

    def _some(self) -> Iterator[tuple[str, events.Event]]:
        chance = self._chance
        kind = chance.random()
        if kind < 0.45:
            key = chance.choice(self._keys)
            yield key, key_event(key)
        elif kind < 0.60:
            letter = chance.choice(_PRINTABLE)
            yield repr(letter), key_event(letter)
        elif kind < 0.68:
            yield "escape", key_event("escape")
        elif kind < 0.70:
            for letter in chance.choice(_LINES):
                yield repr(letter), key_event("enter" if letter == "\r" else letter)
        elif kind < 0.97:
            yield from self._mouse()
        else:
            size = Size(
                chance.randint(_SMALLEST[0], _LARGEST[0]), chance.randint(_SMALLEST[1], _LARGEST[1])
            )
            yield f"{size.width}x{size.height}", events.Resize(size, size)

    def _mouse(self) -> Iterator[tuple[str, events.Event]]:
        chance = self._chance
        button = chance.choice(_BUTTONS)
        x, y = (
            chance.randint(1, self.app.size.width + 1),
            chance.randint(1, self.app.size.height + 1),
        )
        sequences = [f"\x1b[<{button};{x};{y}M"]
        if button < 3:
            sequences.append(f"\x1b[<{button};{x};{y}m")
        for sequence in sequences:
            for event in self._parser.feed(sequence):
                if isinstance(event, events.Event):
                    yield repr(sequence), event

    @property
    def longest(self) -> float:
        """The longest wait, in seconds."""
        return max(self.waits)

    def story(self) -> str:
        """What led here."""
        return f"seed {self.seed}, after {self.done} events, the last: {' '.join(self.last)}"


async def live(mesh: Mesh, seed: int) -> None:
    """Agents come and go, speak, run plans; hosts measure."""
    chance = random.Random(seed)
    driver = Driver(state=DriverState.OK, version="580.1")
    for number in range(1, 1 << 30):
        name = f"agent-{chance.randrange(40)}"
        if chance.random() < 0.2:
            await mesh.gone(name)
        else:
            await mesh.agent(name, chance.choice(_STATES), reason=chance.choice((None, "it is so")))
        if number % 5 == 0:
            gpus = [gpu(i, utilization_percent=chance.randrange(101)) for i in range(8)]
            await mesh.tell(sample("gpu-1", number, driver=driver, gpus=gpus))
            await mesh.node("gpu-1")
            edge = TopologyEdge(from_=name, to="agent-1", messages=number, rate_per_second=2.0)
            await mesh.topology(Topology(edges=[edge], messages_per_second=float(number)))
        if number % 20 == 0:
            run = f"run-{number}"
            await mesh.journal(run, "accepted", plan=plan("survey", "write"))
            await mesh.journal(run, "step-started", step="survey", attempt=1)
            await mesh.event("agent:ready", name, reason="why not")
        if number % 20 == 10 and number > 20:
            await mesh.journal(f"run-{number - 10}", "completed", output="# Done\n\n- well\n")
        await asyncio.sleep(0.02)
