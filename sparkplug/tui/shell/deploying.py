"""Deploying from the screen: the form, what was left on it, and what comes of it."""

from __future__ import annotations

from functools import partial
from typing import Any

from textual.worker import Worker

from sparkplug.schema.errors import SparkplugError
from sparkplug.tui.shell.part import Part

#: What was typed on a form, by the field's path.
Texts = dict[tuple[str, ...], str]


class Deploying(Part):
    """The form that `agents.deploy` has here."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        #: What was left on the form, until it is deployed.
        self.deploy_draft: Texts = {}
        super().__init__(*args, **kwargs)

    async def open_deploy(self, start: str = "") -> None:
        """Write a spec; `start` is what it begins from."""
        from sparkplug.tui.dialogs.deploy import Deploy

        await self._centre.push_screen(Deploy(start))

    async def try_deploy(self, given: dict[str, Any]) -> tuple[str, str]:
        """What the mesh says would come of it, where each replica would go; with a pen."""
        from sparkplug.actions.registry import ACTIONS

        action = ACTIONS["agents.deploy"]
        ask = getattr(action, "trial", None) or action.check
        try:
            told = await ask(self._centre.client, **given) if ask is not None else None
        except SparkplugError as error:
            return "warn", error.message
        return "text", str(getattr(told, "message", told) or "")

    def deploy(self, given: dict[str, Any]) -> None:
        """Deploy it; what was left on the form is kept where that fails."""
        work = partial(self._deploy, given, self.deploy_draft)
        _: Worker[None] = self._centre.run_worker(work, name="agents.deploy")

    async def _deploy(self, given: dict[str, Any], draft: Texts) -> None:
        from sparkplug.actions.registry import ACTIONS, refuse_if_readonly

        app, action = self._centre, ACTIONS["agents.deploy"]
        async with app.telling(action.title):
            refuse_if_readonly(action, readonly=app.readonly)
            if action.check is not None:
                await action.check(app.client, **given)
            await app.perform_one(action, given)
            if self.deploy_draft is draft:
                self.deploy_draft = {}
