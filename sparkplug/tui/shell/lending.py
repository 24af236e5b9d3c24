"""What is run in the terminal that the control centre lends: a shell beside an agent."""

from __future__ import annotations

import asyncio

from sparkplug.tui.shell.part import Part


class Lending(Part):
    """The part of the app that lends its terminal to a shell. Mixed into it."""

    def action_shell(self) -> None:
        """A shell beside the selected agent, until it is left."""
        app = self._centre
        subject = app.subject
        if subject is None or subject.kind != "agent":
            app.tell("select an agent", "warn")
        elif app.readonly:
            app.tell("this was started with --readonly", "warn")
        elif not app.can_lend:
            name = subject.name
            app.tell(f"this terminal cannot be lent: `sparkplug agents shell {name}`", "warn")
        else:
            replica = getattr(subject.value, "replica", None)
            app.run_worker(self._shell(subject.name, replica), name="shell", exclusive=True)

    async def _shell(self, name: str, replica: str | None) -> None:
        from sparkplug.client import shells
        from sparkplug.schema.errors import SparkplugError

        app = self._centre
        async with app.telling(f"Shell beside {name}"):
            found = await shells.beside(app.client, name, replica)
            try:
                with app.lending():
                    process = await asyncio.create_subprocess_exec(
                        *found.words, cwd=found.folder, env=dict(found.environment)
                    )
                    try:
                        await process.wait()
                    finally:
                        if process.returncode is None:
                            process.terminate()
            except OSError as error:
                raise SparkplugError(f"{found.words[0]}: {error.strerror or error}") from error
            app.tell(f"{name}: the shell was left", "dim")
