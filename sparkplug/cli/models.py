"""`sparkplug models`: what can be asked, all about one, and what calls took."""

from __future__ import annotations

from collections.abc import Iterable

from sparkplug.cli import figures
from sparkplug.cli.context import Cli
from sparkplug.cli.listing import show
from sparkplug.cli.output import Column, Listing
from sparkplug.client import model_texts as texts
from sparkplug.schema.llm import ModelUsage, ModelView
from sparkplug.schema.plain import plain


async def list_models(cli: Cli) -> int:
    """Every model that a host of the mesh can ask."""
    from sparkplug.client import models as room

    async with cli.connect() as client:

        async def fetch() -> Iterable[ModelView]:
            return await room.list_models(client)

        return await show(cli, fetch, MODELS)


async def describe(cli: Cli) -> int:
    """All about one model, on every host that has it."""
    from sparkplug.client import models as room

    async with cli.connect() as client:
        found = await room.describe(client, cli.args.model)
        route = await room.explain(client, cli.args.model)
    if cli.out.structured:
        cli.out.data({"models": [plain(view) for view in found], "route": plain(route)})
        return 0
    if cli.out.format == "name":
        cli.out.text(found[0].name)
        return 0
    for place, view in enumerate(found):
        if place:
            cli.out.text("")
        _print(cli, view)
    cli.out.text("\n" + texts.route_text(route, cli.args.model))
    return 0


async def usage(cli: Cli) -> int:
    """What calls of models took, by agent, run, model or host."""
    from sparkplug.client import models as room

    by = cli.args.by
    async with cli.connect() as client:

        async def fetch() -> Iterable[ModelUsage]:
            return room.add_up(await room.read_calls(client, cli.args.since), by)

        return await show(cli, fetch, _usage(by))


def _print(cli: Cli, view: ModelView) -> None:
    key = view.api_key_env or view.api_key_file
    rows: list[tuple[str, object]] = [
        ("model", view.name),
        ("state", f"{view.state}{': ' + view.reason if view.reason else ''}"),
        ("host", view.host),
        ("source", {"settings": "named in the settings"}.get(view.source, view.source)),
        ("server", view.server or view.provider),
        ("endpoint", view.endpoint),
        ("name there", view.model if view.model != view.name else ""),
        ("asked from", {"host": f"{view.host} alone", "mesh": "the mesh"}.get(view.reach, "")),
        ("key", f"from {key}" if key else ""),
        ("abilities", ", ".join(view.abilities)),
        ("context", f"{view.context} tokens" if view.context else ""),
        ("price", f"{texts.price(view)} in/out for a million tokens"),
        ("load", texts.load(view) if view.running is not None else ""),
        ("device", view.device),
        ("dtype", view.dtype),
        ("memory", figures.size(view.memory_bytes) if view.memory_bytes else ""),
        ("gpus", ", ".join(view.gpus)),
        ("pid", view.pid or ""),
        ("answers in", f"{view.latency_ms:g} ms" if view.latency_ms is not None else ""),
        ("fallback", ", ".join(view.fallback)),
    ]
    for title, value in rows:
        if value != "":
            cli.out.text(f"{title:<12} {value}")


MODELS: Listing[ModelView] = Listing(
    columns=(
        Column("model", lambda m: m.name),
        Column("state", lambda m: m.state),
        Column("host", lambda m: m.host),
        Column("server", lambda m: m.server or m.provider),
        Column("endpoint", lambda m: m.endpoint, wide=True),
        Column("abilities", lambda m: ",".join(m.abilities) or None),
        Column("context", lambda m: m.context or None, right=True),
        Column("load", lambda m: None if m.running is None else texts.load(m), right=True),
        Column("price", texts.price, right=True),
        Column("device", lambda m: m.device or None, wide=True),
        Column("dtype", lambda m: m.dtype or None, wide=True),
        Column(
            "memory",
            lambda m: figures.size(m.memory_bytes) if m.memory_bytes else None,
            wide=True,
            right=True,
        ),
        Column("answers in", lambda m: m.latency_ms, wide=True, right=True),
        Column("reason", lambda m: m.reason),
    ),
    name=lambda m: m.name,
    data=plain,
    empty="no model is configured, and no server of models was found",
)


def _usage(by: str) -> Listing[ModelUsage]:
    return Listing(
        columns=(
            Column(by, lambda u: u.key),
            Column("calls", lambda u: u.calls, right=True),
            Column("failed", lambda u: u.failed, right=True),
            Column("tokens in", lambda u: u.tokens_in, right=True),
            Column("out", lambda u: u.tokens_out, right=True),
            Column("tokens/s", lambda u: u.tokens_per_second, right=True),
            Column("first", lambda u: _ms(u.first_token_ms), right=True),
            Column("time", lambda u: figures.span(u.seconds), wide=True, right=True),
            Column(
                "energy", lambda u: None if u.joules is None else f"{u.joules:.1f}J", right=True
            ),
            Column("cost", lambda u: texts.money(u.cost, u.currency), right=True),
            Column("estimated", lambda u: "yes" if u.estimated else "no", wide=True),
            Column("last", lambda u: figures.age(u.last), wide=True, right=True),
        ),
        name=lambda u: u.key,
        data=lambda u: {by: u.key, **plain(u)},
        empty="no call of a model is in the ledger",
    )


def _ms(value: float | None) -> str | None:
    return None if value is None else f"{value:.0f}ms"
