"""The top row: where one stands on the left; the mesh, and what must be known, on the right."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from sparkplug.tui.cells import Line, Span, beside
from sparkplug.tui.figures import age
from sparkplug.tui.widgets.lines import OneLine

if TYPE_CHECKING:
    from sparkplug.tui.store import Store


class Header(OneLine):
    """Breadcrumbs, mesh, hosts, GPUs, the time to the minute, and SIMULATED where it holds."""

    def draw(self, store: Store, crumbs: tuple[str, ...]) -> None:
        """Show where we are in this mesh now."""
        left: list[Span] = [("title", " SparkPlug")]
        for crumb in crumbs:
            left += [("dim", " ▸ "), ("text", crumb)]
        self.set_line(beside(tuple(left), self._right(store), self.size.width))

    def _right(self, store: Store) -> Line:
        found: list[Span] = [("text", " ")]
        if store.simulated:
            found += [("alarm", " SIMULATED "), ("dim", " ")]
        if store.settings is not None and store.complete:
            gpus = sum(len(host.sample.gpus) for host in store.hosts if host.sample)
            count = len(store.hosts)
            mesh = f"{store.settings.mesh.name} · {count} host{'s' * (count != 1)}"
            found.append(("dim", f"mesh {mesh} · {gpus} GPU{'s' * (gpus != 1)} · "))
        found.append(("text", f"{datetime.now().astimezone():%H:%M} "))
        return tuple(found)


class Banner(OneLine):
    """A row that is there only while the connection is not, and says what to do."""

    def draw(self, store: Store, seconds: float) -> None:
        """Show that what is on the screen is old, and how old."""
        link = store.link
        self.display = link.state in ("lost", "broken", "away")
        if link.state == "lost":
            text = f" ! {link.message}: what you see is {age(seconds)} old; trying again. "
        else:
            text = f" ! {link.message} "
        self.set_line((("alarm", text), ("warn", f" {link.hint}")))
