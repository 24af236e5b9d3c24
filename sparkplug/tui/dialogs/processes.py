"""The processes of a host: a table to sort, to filter, and to read anew."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.worker import Worker

from sparkplug.schema.errors import SparkplugError
from sparkplug.tui.cells import Span
from sparkplug.tui.dialogs.dialog import FROM_A_PAGE
from sparkplug.tui.dialogs.filtered import Filtered
from sparkplug.tui.figures import UNSUPPORTED
from sparkplug.tui.places import Opened
from sparkplug.tui.widgets.listing import Listing
from sparkplug.tui.widgets.table import Column, Table

if TYPE_CHECKING:
    from sparkplug.schema.host import Process
    from sparkplug.schema.node_services import ProcessesReply

#: The kernel's letters of processes that do not get on: waiting for a disk, dead.
_BAD = "DZ"


def _state(letter: Any) -> Span:
    return ("bad" if letter in _BAD else "text"), str(letter)


def _key(process: Process) -> str:
    # A number is given again to another process; the moment it began tells the two apart.
    began = process.started.timestamp() if process.started else ""
    return f"{process.pid:>10} {began}"


PROCESS_COLUMNS = (
    Column("pid", 7, attrgetter("pid"), kind="number", pen="dim"),
    Column("agent", 14, attrgetter("agent"), rank=1, pen="focus", none="", full=20),
    Column("user", 9, attrgetter("user"), rank=3, pen="dim", none=UNSUPPORTED),
    Column("s", 1, attrgetter("state"), rank=2, draw=_state),
    Column("cpu", 5, attrgetter("cpu_percent"), kind="percent"),
    Column("memory", 6, attrgetter("rss_bytes"), kind="bytes"),
    Column("age", 4, attrgetter("started"), kind="age", rank=4, pen="dim"),
    Column("command", 16, lambda p: p.command or p.name, grows=True, full=120),
    Column("parent", 7, attrgetter("ppid"), kind="number", extra=True, rank=9, pen="dim"),
    Column("nice", 4, attrgetter("nice"), kind="number", extra=True, rank=9, pen="dim"),
    Column("name", 15, attrgetter("name"), extra=True, rank=9, pen="dim"),
    Column("cgroup", 20, attrgetter("control_group"), extra=True, rank=9, full=50, pen="dim"),
)


class Processes(Filtered):
    """`/` filters, `r` reads them anew; agents first, then by processor time and memory."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "filter", id="processes.filter"),
        Binding("r", "read", "read anew", id="processes.read"),
        Binding("ctrl+d", "kill", "ask it to end", id="processes.kill"),
        Binding("K", "kill('KILL')", "end it at once", id="processes.kill-now"),
        Binding("N", "renice", "make it less urgent, or more", id="processes.renice"),
        Binding("y", "copy", "copy its number", id="processes.copy"),
        Binding("q", "dismiss", "back", id="processes.back"),
        *FROM_A_PAGE,
    ]

    def __init__(self, host: str, reply: ProcessesReply | None = None) -> None:
        self._host = host
        self.table = Table(
            PROCESS_COLUMNS,
            key=_key,
            title=self._title(reply),
            failing=lambda process: process.state in _BAD,
        )
        super().__init__(self.table, "reading")
        self.crumb = f"processes of {host}"
        self.opened = Opened("processes", "host", host)
        self._asked = reply is None
        if reply is not None:
            self._show(reply)

    def _title(self, reply: ProcessesReply | None) -> str:
        if reply is None:
            return f"processes of {self._host}"
        return f"processes of {self._host} at {reply.time.astimezone():%H:%M:%S}"

    def compose(self) -> ComposeResult:
        """The table, and the filter below it."""
        yield self.table
        yield self._entry

    def on_mount(self) -> None:
        """Ready."""
        self.table.focus()
        if self._asked:
            self.table.set_empty(f"asking {self._host}")
            self.action_read()

    def _show(self, reply: ProcessesReply) -> None:
        self.table.name_it(self._title(reply))
        self.table.set_rows(
            sorted(
                reply.processes,
                key=lambda p: (p.agent is None, -p.cpu_percent, -p.rss_bytes, p.pid),
            )
        )

    def action_read(self) -> None:
        """As they are now."""
        _: Worker[None] = self.run_worker(self._read, exclusive=True)

    async def _read(self) -> None:
        from sparkplug.client import hosts

        client = self.centre.store.client
        if client is None:
            self.centre.tell("there is no connection to the mesh", "warn")
            return
        try:
            self._show(await hosts.processes(client, self._host))
        except SparkplugError as error:
            self.centre.fail(self.crumb, error)

    def on_listing_chosen(self, event: Listing.Chosen) -> None:
        """Enter goes nowhere from here."""
        event.stop()

    def action_kill(self, signal: str = "TERM") -> None:
        """Send the selected process a signal; asked first."""
        row = self.table.row
        if row is not None:
            given = {"host": self._host, "pid": row.value.pid, "signal": signal}
            self.centre.ask("hosts.kill", given)

    async def action_renice(self) -> None:
        """How urgent the selected process is to be: asked on a form, and then whether to."""
        from sparkplug.tui.commands import Command

        row = self.table.row
        if row is None:
            return
        nice = row.value.nice if row.value.nice is not None else 0
        given = {"host": self._host, "pid": row.value.pid, "nice": min(nice + 5, 19)}
        command = next(
            (c for c in self.centre.commands() if c.action and c.action.id == "hosts.renice"), None
        )
        if command is None:
            self.centre.tell("this was started with --readonly", "warn")
            return
        asked = Command(command.title, command.words, action=command.action, given=given)
        await self.centre.open_arguments(asked, given)

    def action_copy(self) -> None:
        """What is selected, else the number of the process."""
        row = self.table.row
        self.copy_or(str(row.value.pid) if row is not None else "")
