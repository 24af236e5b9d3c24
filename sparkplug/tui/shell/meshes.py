"""Which mesh one looks at: the choice of contexts, and the way to another."""

from __future__ import annotations

import contextlib
from functools import partial

from textual.worker import Worker, WorkerCancelled, WorkerFailed

from sparkplug.tui.shell.part import Part


class Meshes(Part):
    """The meshes there are."""

    def action_contexts(self) -> None:
        """Choose a mesh."""
        from sparkplug.tui.dialogs.contexts import ContextsDialog

        app = self._centre

        def chosen(name: str | None) -> None:
            if name is not None:
                self.action_context(name)

        app.push_screen(ContextsDialog(list(app.store.contexts.values()), app.store.mesh), chosen)

    def action_context(self, name: str) -> None:
        """Look at another mesh: the connection is let go of, and nothing of it stays on screen."""
        app = self._centre
        if name not in app.store.contexts:
            app.tell(f"no mesh {name}; there are: {', '.join(app.store.contexts)}", "warn")
            return
        if name == app.store.mesh:
            app.tell(f"this is {name}", "dim")
            return
        _: Worker[None] = app.run_worker(
            partial(self._switch, name), group="context", exclusive=True
        )

    async def _switch(self, name: str) -> None:
        app = self._centre
        await app.save_state()
        app.close_dialogs()
        # The worker is told to end and closes its connection; the next one begins when it did.
        app.workers.cancel_group(app, "store")
        for worker in [one for one in app.workers if one.group == "store"]:
            await _ended(worker)
        app.trail.clear()
        app.store.leave(name)
        app.note_place()
        app.follow_mesh()
        app.tell(f"mesh {name}", "dim")


async def _ended(worker: Worker[object]) -> None:
    with contextlib.suppress(WorkerCancelled, WorkerFailed):
        await worker.wait()
