"""What can be put away and brought back in another session."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class Keeps(Protocol):
    """A list, a pane or another box that keeps how it was set, as plain JSON data.

    `restore` takes what `state` gave, of whatever release: what it does not know, or what is of
    another type, it leaves out and raises nothing.
    """

    def state(self) -> dict[str, Any]:
        """How it is set."""
        ...

    def restore(self, state: dict[str, Any]) -> None:
        """Set it so."""
        ...
