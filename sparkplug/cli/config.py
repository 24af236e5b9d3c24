"""The verbs about settings."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from sparkplug.cli.context import Cli
from sparkplug.cli.listing import show
from sparkplug.cli.output import Column, Listing
from sparkplug.schema.errors import NotFoundError

Setting = tuple[str, Any, str]


async def show_all(cli: Cli) -> int:
    """Print every setting."""

    async def fetch() -> list[Setting]:
        return list(cli.settings.items())

    return await show(cli, fetch, SETTINGS)


def get(cli: Cli) -> int:
    """Print one value."""
    value = cli.settings.get(cli.args.key)
    if cli.out.structured:
        key = cli.args.key
        cli.out.data({"key": key, "value": value, "origin": cli.settings.origin(key)})
    else:
        cli.out.text(_text(value))
    return 0


def set_key(cli: Cli) -> int:
    """Set one value in the user's settings file."""
    from sparkplug.config import config_file, set_value

    path = config_file()
    set_value(path, cli.args.key, cli.args.value)
    return _told(cli, f"{cli.args.key} is set in {path}", [cli.args.key])


def path(cli: Cli) -> int:
    """Print where the user's settings file is."""
    from sparkplug.config import config_file

    if cli.out.structured:
        cli.out.data({"path": str(config_file()), "exists": config_file().exists()})
    else:
        cli.out.text(str(config_file()))
    return 0


def export(cli: Cli) -> int:
    """Print every setting that differs from the built-in, as TOML."""
    from sparkplug.config import export_settings

    cli.out.piece(export_settings(cli.settings))
    return 0


def take_in(cli: Cli) -> int:
    """Put the settings of a file into the user's."""
    from sparkplug.config import config_file, import_settings
    from sparkplug.schema.textfile import read_text

    name = cli.args.file
    text = sys.stdin.read() if name == "-" else read_text(Path(name))
    if text is None:
        raise NotFoundError("no such file", where=name)
    names = import_settings(text, config_file(), "<stdin>" if name == "-" else name)
    return _told(cli, f"{len(names)} settings are set in {config_file()}", names)


def _told(cli: Cli, text: str, names: list[str]) -> int:
    if cli.out.structured:
        cli.out.data({"changed": names})
    else:
        cli.out.talk(text)
    if any(not name.startswith("tui.") for name in names):
        from sparkplug.client.local import read_node

        if read_node(cli.paths) is not None:
            cli.out.talk(
                "  the node that runs goes by it once it is started again: "
                "`sparkplug down`, then `sparkplug up`"
            )
    return 0


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return ",".join(f"{key}={entry}" for key, entry in value.items())
    return str(value)


SETTINGS: Listing[Setting] = Listing(
    columns=(
        Column("setting", lambda s: s[0]),
        Column("value", lambda s: _text(s[1])),
        Column("from", lambda s: s[2]),
    ),
    name=lambda s: s[0],
    data=lambda s: {"key": s[0], "value": s[1], "origin": s[2]},
)
