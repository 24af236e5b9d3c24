"""Deploying from the screen: the form, what was left on it, and what comes of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from textual.worker import Worker

from sparkplug.schema.errors import SparkplugError
from sparkplug.tui.shell.part import Part

if TYPE_CHECKING:
    from sparkplug.actions.registry import ActionResult
    from sparkplug.schema.agent_spec import AgentSpec

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

    async def try_deploy(self, spec: AgentSpec, folder: str) -> tuple[str, str]:
        """What the mesh says would come of it, where each replica would go; with a pen."""
        from sparkplug.actions import agent_files

        try:
            return "text", await agent_files.check_spec(self._centre.client, spec, folder)
        except SparkplugError as error:
            return "warn", error.message

    def deploy_spec(self, spec: AgentSpec, folder: str) -> None:
        """Deploy a spec that is in no file."""
        from sparkplug.actions import agent_files

        self.deploy({"spec": spec, "folder": folder}, agent_files.deploy_spec)

    def deploy(
        self, given: dict[str, Any], run: Callable[..., Awaitable[ActionResult]] | None = None
    ) -> None:
        """Do `agents.deploy`, by `run` where that is another way of it.

        What was left on the form is kept where that fails.
        """
        work = partial(self._deploy, given, self.deploy_draft, run)
        _: Worker[None] = self._centre.run_worker(work, name="agents.deploy")

    async def _deploy(
        self,
        given: dict[str, Any],
        draft: Texts,
        run: Callable[..., Awaitable[ActionResult]] | None,
    ) -> None:
        from sparkplug.actions.registry import ACTIONS, refuse_if_readonly

        app, action = self._centre, ACTIONS["agents.deploy"]
        async with app.telling(action.title):
            refuse_if_readonly(action, readonly=app.readonly)
            await app.perform_one(replace(action, run=run or action.run), given)
            if self.deploy_draft is draft:
                self.deploy_draft = {}
