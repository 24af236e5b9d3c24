"""What an empty list says: why it is empty, and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sparkplug.tui.store import Store


def waiting(store: Store, nothing: str) -> str:
    """`nothing` when the mesh was read and there is none, else how far we are."""
    if store.complete:
        return nothing
    if store.link.state == "away":
        return "no mesh"
    if store.link.state == "live":
        return "reading the mesh"
    return "connecting" if store.link.state == "starting" else "not connected"
