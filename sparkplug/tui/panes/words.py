"""What an empty list says, why it is empty and what to do; what an event says of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sparkplug.schema.text import one_line

if TYPE_CHECKING:
    from sparkplug.schema.event import Event
    from sparkplug.tui.store import Store

#: What of an event's data tells of it, the best first.
_TELLING = ("reason", "error", "what", "meaning")


def waiting(store: Store, nothing: str) -> str:
    """`nothing` when the mesh was read and there is none, else how far we are."""
    if store.complete:
        return nothing
    if store.link.state == "away":
        return "no mesh"
    if store.link.state == "live":
        return "reading the mesh"
    return "connecting" if store.link.state == "starting" else "not connected"


def event_words(event: Event) -> str:
    """What an event tells of itself, in a few words."""
    data = event.data
    number, reasons = data.get("xid"), data.get("reasons")
    text = next((data[key] for key in _TELLING if data.get(key)), "")
    if not text and isinstance(reasons, list):
        text = ", ".join(map(str, reasons))
    return one_line(f"XID {number}: {text}" if number is not None else str(text))
