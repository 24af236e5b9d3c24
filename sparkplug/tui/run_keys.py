"""Keys that steer a run, wherever one is shown: in its page and in the Workflows pane."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from textual.binding import Binding

from sparkplug.tui.places import Opened

if TYPE_CHECKING:
    from sparkplug.schema.run import RunQuestion, RunView
    from sparkplug.tui.app import SparkplugApp

RUN_KEYS: tuple[Binding, ...] = (
    Binding("P", "pause_run", "pause it, or have it go on", id="run.pause"),
    Binding("T", "retry_run", "do again what failed", id="run.retry"),
    Binding("E", "replay_run", "replay from the selected step", id="run.replay"),
    Binding("A", "answer_run", "approve or answer what waits", id="run.answer"),
    Binding("N", "reject_run", "reject what waits", id="run.reject"),
)


class RunKeys:
    """Mixed into what shows a run: it has `run_view`, the run, and `run_step`, a step's id."""

    def run_view(self) -> RunView | None:
        """The run that is shown."""
        raise NotImplementedError

    def run_step(self) -> str:
        """The step that is selected; empty for none."""
        raise NotImplementedError

    @property
    def _app(self) -> SparkplugApp:
        return cast("SparkplugApp", cast("Any", self).app)

    def _do(self, action: str, **given: Any) -> None:
        view = self.run_view()
        if view is None:
            self._app.tell("select a run", "warn")
            return
        from sparkplug.actions.registry import ACTIONS, Subject

        why = ACTIONS[action].applies(Subject("run", view.id, view))
        if self._app.readonly:
            why = "this was started with --readonly"
        if why:
            self._app.tell(f"{ACTIONS[action].title}: {why}", "warn")
            return
        self._app.ask(action, {"run": view.id, **given})

    async def _fill_in(self, action: str, **given: Any) -> None:
        """Ask for the arguments that are not known, on a form."""
        view = self.run_view()
        if view is None:
            return
        from sparkplug.actions.registry import ACTIONS, Subject
        from sparkplug.tui.commands import Command

        found = ACTIONS[action]
        why = found.applies(Subject("run", view.id, view))
        if self._app.readonly:
            why = "this was started with --readonly"
        if why:
            self._app.tell(f"{found.title}: {why}", "warn")
            return
        command = Command(found.title, " ".join(found.verb), action=found)
        await self._app.open_arguments(command, {"run": view.id, **given})

    def action_pause_run(self) -> None:
        """Begin nothing more, or go on."""
        view = self.run_view()
        self._do("runs.resume" if view is not None and view.paused else "runs.pause")

    def action_retry_run(self) -> None:
        """Do again what failed."""
        self._do("runs.retry")

    async def action_replay_run(self) -> None:
        """A new run from the selected step on; its inputs may be changed."""
        await self._fill_in("runs.replay", start=self.run_step())

    async def action_answer_run(self) -> None:
        """Approve the step that waits, on a form where its input can be changed; or open what it
        asks, where that is answered."""
        view = self.run_view()
        questions = view.questions if view is not None else []
        step = self.run_step()
        found = next(((s, q) for s, q in questions if s.id == step), None)
        found = found or (questions[0] if questions else None)
        if found is None:
            self._app.tell("it waits for nobody", "warn")
            return
        at, asked = found
        if asked.kind == "approve":
            await self._fill_in("runs.approve", step=at.id)
            return
        shown = self._shown(asked)
        if shown is not None:
            self._app.open_thing(Opened("question", "question", shown))
        else:
            await self._fill_in("runs.answer", step=at.id)

    def _shown(self, asked: RunQuestion) -> str | None:
        """The id of a run's question among all questions, where it is there."""
        for one in self._app.store.questions:
            if one.id in asked.questions or one.subject.request == asked.id:
                return one.id
        return None

    def action_reject_run(self) -> None:
        """Refuse what waits."""
        self._do("runs.reject", step=self.run_step() if self._waits_there() else "")

    def _waits_there(self) -> bool:
        view, step = self.run_view(), self.run_step()
        return view is not None and any(one.id == step for one, _ in view.questions)
