"""The verbs about contexts: the meshes this user works with."""

from __future__ import annotations

from pathlib import Path

from sparkplug.cli.context import Cli
from sparkplug.cli.listing import show
from sparkplug.cli.output import Column, Listing
from sparkplug.contexts import Context
from sparkplug.schema.errors import InvalidError
from sparkplug.schema.mesh import decode_token, looks_like_token

Shown = tuple[Context, bool]


async def list_contexts(cli: Cli) -> int:
    """Print every context; that which is used is marked."""
    from sparkplug.contexts import load_contexts

    async def fetch() -> list[Shown]:
        known = load_contexts(cli.settings_here)
        return [(found, name == known.current) for name, found in known.all.items()]

    return await show(cli, fetch, CONTEXTS)


def use(cli: Cli) -> int:
    """Use a context from now on."""
    from sparkplug.contexts import use_context

    use_context(cli.args.name, cli.settings_here)
    return _told(cli, f"context {cli.args.name} is used from now on")


async def add(cli: Cli) -> int:
    """Add a context: by its URL, or by a token that its mesh made for a face."""
    if looks_like_token(cli.args.address) or cli.args.address == "-":
        return await _redeem(cli)
    from sparkplug.contexts import add_context
    from sparkplug.schema.contexts import ContextEntry
    from sparkplug.schema.problems import validate

    creds = _absolute(cli.args.creds)
    ca = _absolute(cli.args.ca)
    description = cli.args.description or ""
    data = {"url": cli.args.address, "creds": creds, "ca": ca, "description": description}
    entry = validate(ContextEntry, data)
    if isinstance(entry, list):
        raise InvalidError("; ".join(found.message for found in entry))
    add_context(cli.args.name, entry, cli.settings_here)
    return _told(cli, f"context {cli.args.name} is added")


def _absolute(name: str | None) -> str:
    return str(Path(name).expanduser().absolute()) if name else ""


async def _redeem(cli: Cli) -> int:
    from sparkplug.cli.mesh import read_token
    from sparkplug.client import joining

    if cli.args.creds or cli.args.ca:
        raise InvalidError("a token brings its own credentials", hint="leave --creds and --ca out")
    token = decode_token(read_token(cli.args.address))
    await joining.add_face(cli.settings_here, cli.args.name, token, cli.args.description or "")
    return _told(cli, f"context {cli.args.name} is added")


def remove(cli: Cli) -> int:
    """Forget a context."""
    from sparkplug.contexts import remove_context

    remove_context(cli.args.name, cli.settings_here)
    return _told(cli, f"context {cli.args.name} is forgotten")


def _told(cli: Cli, text: str) -> int:
    if cli.out.structured:
        cli.out.data({"changed": [cli.args.name]})
    else:
        cli.out.talk(text)
    return 0


CONTEXTS: Listing[Shown] = Listing(
    columns=(
        Column("used", lambda c: "*" if c[1] else ""),
        Column("name", lambda c: c[0].name),
        Column("url", lambda c: c[0].url),
        Column("creds", lambda c: c[0].creds, wide=True),
        Column("ca", lambda c: c[0].ca, wide=True),
        Column("description", lambda c: c[0].description),
    ),
    name=lambda c: c[0].name,
    data=lambda c: {
        "name": c[0].name,
        "url": c[0].url,
        "creds": str(c[0].creds) if c[0].creds else None,
        "ca": str(c[0].ca) if c[0].ca else None,
        "description": c[0].description,
        "current": c[1],
    },
)
