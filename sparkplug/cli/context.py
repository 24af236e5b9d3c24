"""What a verb's handler is given: its arguments, the settings, output, the way to the mesh."""

from __future__ import annotations

import argparse
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

from sparkplug.cli.output import Output
from sparkplug.schema.errors import NotFoundError, RefusedError

if TYPE_CHECKING:
    from sparkplug.client.session import Client
    from sparkplug.config import Settings
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
        """The mesh that --url or SPARKPLUG_URL names."""
        return self.option("url") or os.environ.get("SPARKPLUG_URL") or None

    @property
    def readonly(self) -> bool:
        """Whether nothing may be changed."""
        return bool(self.option("readonly", False))

    @cached_property
    def settings(self) -> Settings:
        """The settings in force. Raises InvalidError, and NotFoundError for another context."""
        from sparkplug.config import load_settings

        settings = load_settings({"nats.url": self.url})
        context = self.option("context")
        if context is not None and context != settings.mesh.name:
            raise NotFoundError(
                f"no context {context}",
                hint=f"the mesh here is {settings.mesh.name}; --url names one elsewhere",
            )
        return settings

    @property
    def paths(self) -> Paths:
        """The folders of this host's state."""
        return self.settings.paths

    @asynccontextmanager
    async def connect(self) -> AsyncGenerator[Client, None]:
        """The mesh. Raises NoMeshError, RefusedError."""
        from sparkplug.client.session import Client

        client = await Client.connect(
            url=self.url, paths=self.paths, settings=self.settings, name="sparkplug cli"
        )
        async with client:
            yield client

    def refuse_if_readonly(self, what: str) -> None:
        """Raise RefusedError under --readonly; `what` changes something."""
        if self.readonly:
            raise RefusedError(
                f"{what} changes something, and --readonly was given",
                hint="leave --readonly out to allow it",
            )
