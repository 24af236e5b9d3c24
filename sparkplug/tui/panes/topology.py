"""Topology: who talks to whom, drawn; who waits for whom; and what is said, live."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.events import Resize

from sparkplug.tui.cells import Line
from sparkplug.tui.panes.pane import Pane
from sparkplug.tui.panes.talk_graph import Drawn, TalkGraph, stem_of
from sparkplug.tui.panes.topology_columns import PAIR_COLUMNS, is_failing, pair_key
from sparkplug.tui.panes.topology_lines import detail_lines
from sparkplug.tui.panes.words import waiting
from sparkplug.tui.widgets.canvas.canvas import Canvas
from sparkplug.tui.widgets.canvas.model import Key
from sparkplug.tui.widgets.lines import Lines
from sparkplug.tui.widgets.listing import Listing
from sparkplug.tui.widgets.table import Table

if TYPE_CHECKING:
    from sparkplug.schema.agent import ObservedAgent
    from sparkplug.schema.topology import TopologyEdge
    from sparkplug.tui.store import Topics
    from sparkplug.tui.widgets.canvas.raster import Item

#: From this many cells on, graph and pairs stand side by side.
_WIDE = 150
#: From this many on, edges have their rates beside them.
_LABELS = 90
#: From so many pairs on, every other graph is drawn: one in two seconds.
_VERY_MANY = 600
#: Rows of the pairs below the graph, and of what is told of the selection.
_PAIRS, _PAIRS_SMALL, _DETAIL = 11, 7, 4
#: Rows below which the pairs have them all.
_LOW = 7


class TalkCanvas(Canvas):
    """The graph; `thing` is the agent that is selected on it."""

    pane: TopologyPane | None = None

    @property
    def thing(self) -> ObservedAgent | None:
        """What the keys of agents are about."""
        return self.pane.agent if self.pane is not None else None


class PairTable(Table):
    """The pairs; `esc` closes the crowd that is open before it leaves the table."""

    pane: TopologyPane | None = None

    def leave(self) -> bool:
        """Close the crowd."""
        return self.pane.close_crowd() if self.pane is not None else False


class TopologyPane(Pane):
    """The graph, the pairs as rows, and below them what is selected or stuck."""

    TOPICS: ClassVar[frozenset[str]] = frozenset({"topology", "link"})
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("o", "crowd", "open or close a crowd", id="topology.crowd"),
    ]

    def __init__(self) -> None:
        super().__init__(id="topology")
        self._canvas = TalkCanvas("conversation", stable=True, turns=True, id="topology-graph")
        self._rows = PairTable(
            PAIR_COLUMNS, key=pair_key, title="pairs", failing=is_failing, sort="-msgs"
        )
        self._canvas.pane = self._rows.pane = self
        self._detail = Lines("all pairs", id="topology-detail")
        self._area = Container(id="topology-area")
        self._talk = TalkGraph()
        self._drawn = Drawn()
        #: Whether there are very many pairs, and whose turn it then is.
        self._many = self._turn = False
        #: The row the cursor was on last; None: it has not been moved yet.
        self._row: str | None = None

    def compose(self) -> ComposeResult:
        """The graph and the pairs, and what is told of the selection."""
        with self._area:
            yield self._canvas
            yield self._rows
        yield self._detail

    @property
    def main(self) -> Listing:
        """The pairs."""
        return self._rows

    def on_resize(self, event: Resize) -> None:
        """Side by side where there is room; else the graph has what the pairs leave."""
        wide = event.size.width >= _WIDE
        self.set_class(wide, "-wide")
        height = event.size.height
        rows = _PAIRS if height >= 36 else _PAIRS_SMALL
        self._canvas.display = wide or height >= 14
        self._rows.styles.height = "1fr" if wide or not self._canvas.display else rows
        self._detail.styles.height = _DETAIL if height >= 20 else 3
        self._detail.display = height >= _LOW
        self.call_after_refresh(self._resized)

    def _resized(self) -> None:
        self._draw_graph()
        self._draw_detail()

    # What is shown

    def draw(self, topics: Topics) -> None:
        """Show the graph as it was counted last."""
        view = self.store.view
        self._turn = not self._turn
        if topics == {"topology"} and self._turn and self._many:
            return
        topology = view.topology if view is not None else None
        nothing = waiting(self.store, "nobody has spoken yet: `:prompt AGENT TEXT` asks one")
        self._rows.set_empty(nothing)
        self._canvas.set_empty(nothing)
        if topology is None:
            return
        self._many = len(topology.edges) >= _VERY_MANY
        self._rows.set_rows(topology.edges)
        self._draw_graph()
        self._draw_detail()

    def _draw_graph(self) -> None:
        view = self.store.view
        topology = view.topology if view is not None else None
        if topology is None:
            return
        self._drawn = self._talk.draw(
            topology,
            self._takes,
            self._canvas.selected,
            labels=self._canvas.size.width >= _LABELS,
        )
        self._canvas.show(self._drawn.graph)

    def _takes(self, edge: TopologyEdge) -> bool:
        """Whether a pair is shown: the graph has what the filter leaves of the pairs."""
        if self._rows.only_failing and not is_failing(edge):
            return False
        wanted = self._rows.wanted
        if not wanted.text:
            return True
        cells = {"from": edge.from_, "to": edge.to}
        return wanted.takes(f"{edge.from_} {edge.to}", lambda name: cells.get(name, ""))

    def _draw_detail(self) -> None:
        view = self.store.view
        topology = view.topology if view is not None else None
        if topology is None:
            self._detail.set_lines([])
            return
        self._detail.retitle("all pairs" if self._canvas.selected is None else "selection")
        width, rows = self._detail.size
        lines: list[Line] = detail_lines(
            topology,
            self._drawn,
            self._canvas.selected,
            opened=self._talk.opened,
            key=self.centre.key,
            width=width,
        )
        self._detail.set_lines(lines[: max(1, rows)])

    # What is selected

    @property
    def agent(self) -> ObservedAgent | None:
        """The agent whose box is selected, one replica of it."""
        item = self._canvas.selected
        if not isinstance(item, str) or item in self._drawn.crowds:
            return None
        found = (agent for agent in self.store.agents if agent.name == item)
        return next(found, None)

    def on_canvas_moved(self, event: Canvas.Moved) -> None:
        """Paths through it stand out; the pair it is, is the row."""
        event.stop()
        item = event.item
        if isinstance(item, Key) and item in self._drawn.pairs:
            pairs = self._drawn.pairs[item].pairs
            row = self._rows.row
            if row is None or row.key not in {f"{one} → {other}" for one, other in pairs}:
                self._rows.select(f"{pairs[0][0]} → {pairs[0][1]}")
        self._draw_graph()
        self._draw_detail()
        self.centre.draw_frame()

    def on_listing_moved(self, event: Listing.Moved) -> None:
        """Another row: its edge is selected on the graph, once one moves oneself."""
        row = self._rows.row
        if event.listing is not self._rows or row is None or row.key == self._row:
            return
        first, self._row = self._row is None, row.key
        if not first and self._rows.has_focus:
            self._select(row.value)

    def _select(self, edge: TopologyEdge | None) -> None:
        box_of = self._drawn.box_of
        if edge is not None and edge.from_ in box_of and edge.to in box_of:
            self._canvas.select(Key(box_of[edge.from_], box_of[edge.to]))

    def on_table_changed(self, _event: Table.Changed) -> None:
        """Another filter: the graph has what it leaves."""
        self._draw_graph()
        self._draw_detail()

    # What is done

    def on_listing_chosen(self, event: Listing.Chosen) -> None:
        """Into the pair: its messages."""
        event.stop()
        edge: TopologyEdge = event.row.value
        self._listen({"sender": edge.from_, "receiver": edge.to})

    def on_canvas_chosen(self, event: Canvas.Chosen) -> None:
        """Into a crowd, or to the messages of a box or an edge."""
        event.stop()
        item: Item = event.item
        if isinstance(item, str):
            if item in self._drawn.crowds:
                self.action_crowd()
            else:
                self._listen({"agents": [item]})
            return
        pair = self._drawn.pairs.get(item)
        if pair is not None and len(pair.pairs) == 1:
            one, other = pair.pairs[0]
            self._listen({"sender": one, "receiver": other})
        elif pair is not None:
            self.centre.tell("several pairs: open the crowd, or choose one of the rows", "warn")

    def _listen(self, given: dict[str, Any]) -> None:
        self.centre.ask("talk.tap", given)

    def action_crowd(self) -> None:
        """Open the crowd that is selected, or close the one that is open."""
        item = self._canvas.selected
        if isinstance(item, str) and item in self._drawn.crowds:
            self._talk.opened = stem_of(item)
        elif not self.close_crowd():
            self.centre.tell("select a crowd: a box that stands for several", "dim")
            return
        self._redraw()

    def close_crowd(self) -> bool:
        """Draw the crowd that is open as one box again. False: none is."""
        if self._talk.opened is None:
            return False
        self._talk.opened = None
        self._redraw()
        return True

    def _redraw(self) -> None:
        self._canvas.select(None)
        self._draw_graph()
        self._draw_detail()
