"""`runtime: python`: an async callable, or a class whose `@action` methods are typed."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Callable
from typing import Any

from sparkplug.agents.authoring import Action, actions_of, listeners_of
from sparkplug.agents.context import Context, Request
from sparkplug.agents.runtimes.port import Output, Result, Runtime, Seat, Text
from sparkplug.bus.connection import Bus
from sparkplug.schema.errors import InvalidError, NotFoundError


async def load(target: Any, seat: Seat) -> Runtime:
    """The agent behind an entrypoint: a class is made once, a callable is taken as it is."""
    if inspect.isclass(target):
        return ClassAgent(target())
    if callable(target):
        return FunctionAgent(target)
    raise InvalidError(
        f"the entrypoint is a {type(target).__name__}",
        hint="a python agent is a class with @action methods, or `async def handle(ctx, request)`",
    )


async def outputs(returned: Any) -> AsyncGenerator[Output, None]:
    """What a handler returned or yields, as outputs: coroutine, async generator or value."""
    if inspect.isasyncgen(returned):
        async for piece in returned:
            yield Text(piece) if isinstance(piece, str) else Result(piece)
        return
    value = await returned if inspect.isawaitable(returned) else returned
    yield Result(value)


class _Plain:
    """What there is nothing to prepare or to put away of."""

    async def start(self, bus: Bus) -> None:
        """Nothing to prepare."""

    async def close(self) -> None:
        """Nothing to put away."""


class FunctionAgent(_Plain):
    """`async def handle(ctx, request)`: one callable for every prompt and action."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    @property
    def actions(self) -> dict[str, Any]:
        """A callable publishes no typed actions: it takes any."""
        return {}

    async def serve(self, ctx: Context, request: Request) -> AsyncGenerator[Output, None]:
        """Answer one request."""
        async for output in outputs(self._function(ctx, request)):
            yield output


class ClassAgent(_Plain):
    """A class: every `@action` method is an action, `prompt` answers plain prompts."""

    def __init__(self, instance: object) -> None:
        self.instance = instance
        self._actions = actions_of(instance)
        self.listeners = listeners_of(instance)
        if not self._actions and not self.listeners:
            raise InvalidError(
                f"{type(instance).__name__} has no action",
                hint="mark its methods: from sparkplug.agents import action",
            )

    @property
    def actions(self) -> dict[str, Any]:
        """JSON Schemas of the inputs, by action."""
        return {name: action.schema for name, action in self._actions.items()}

    async def serve(self, ctx: Context, request: Request) -> AsyncGenerator[Output, None]:
        """Answer one request. Raises NotFoundError for an action it does not have."""
        action = self._actions.get(request.action)
        if action is None:
            raise NotFoundError(
                f"there is no action {request.action}",
                hint=f"there is: {', '.join(sorted(self._actions))}",
            )
        async for output in outputs(action.function(ctx, **self._arguments(action, request))):
            yield output

    def _arguments(self, action: Action, request: Request) -> dict[str, Any]:
        if request.structured:
            return action.arguments(request.input)
        # A plain prompt is the action `prompt`; its text is the argument named so.
        return action.arguments({"text": request.text})
