"""What a verb's handler is given: its arguments, the settings, output, the way to the mesh."""

from __future__ import annotations

import argparse
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

from sparkplug.cli.output import Output
from sparkplug.schema.errors import InvalidError, RefusedError

if TYPE_CHECKING:
    from sparkplug.client.session import Client
    from sparkplug.config import Settings
    from sparkplug.contexts import Context
    from sparkplug.paths import Paths


class Cli:
    """One call of the command line."""

    def __init__(self, args: argparse.Namespace, out: Output) -> None:
        self.args = args
        self.out = out

    def option(self, name: str, default: Any = None) -> Any:
        """A flag that may not have been given."""
        return getattr(self.args, name, default)

    @property
    def url(self) -> str | None:
        """The mesh that --url or SPARKPLUG_URL names; a context that was asked for goes before."""
        if self.option("context") is not None:
            return None
        return self.option("url") or os.environ.get("SPARKPLUG_URL") or None

    @property
    def readonly(self) -> bool:
        """Whether nothing may be changed."""
        return bool(self.option("readonly", False))

    @cached_property
    def settings_here(self) -> Settings:
        """The settings in force, whatever context was asked for. Raises InvalidError."""
        from sparkplug.config import load_settings

        return load_settings({"nats.url": self.url})

    @cached_property
    def context(self) -> Context | None:
        """The context that was asked for, or the current one when it is elsewhere.

        None: a URL, or the settings, say where the mesh is. Raises NotFoundError, InvalidError.
        """
        from sparkplug.contexts import load_contexts

        name = self.option("context")
        if name is not None and self.option("url"):
            raise InvalidError("--url and --context both name a mesh", hint="give one of them")
        if name is None and self.url:
            return None
        found = load_contexts(self.settings_here).choose(name)
        return None if name is None and found.local else found

    @cached_property
    def settings(self) -> Settings:
        """The settings in force. Raises InvalidError, and NotFoundError for no such context."""
        _ = self.context
        return self.settings_here

    @property
    def paths(self) -> Paths:
        """The folders of this host's state."""
        return self.settings_here.paths

    def refuse_elsewhere(self, what: str) -> None:
        """Raise RefusedError for a context elsewhere; `what` concerns this host alone."""
        if self.option("context") is not None and self.context and not self.context.local:
            raise RefusedError(
                f"{what} concerns this host, and context {self.context.name} is elsewhere",
                hint="leave --context out",
            )

    @asynccontextmanager
    async def connect(self) -> AsyncGenerator[Client, None]:
        """The mesh. Raises NoMeshError, RefusedError."""
        from sparkplug.client.session import Client

        client = await Client.connect(
            url=self.url,
            paths=self.paths,
            settings=self.settings,
            name="sparkplug cli",
            context=self.context,
        )
        async with client:
            differs = await client.differs()
            if differs:
                self.out.talk(f"sparkplug: {differs}")
            client.told = self.out.passing
            yield client

    def refuse_if_readonly(self, what: str) -> None:
        """Raise RefusedError under --readonly; `what` changes something."""
        if self.readonly:
            raise RefusedError(
                f"{what} changes something, and --readonly was given",
                hint="leave --readonly out to allow it",
            )
