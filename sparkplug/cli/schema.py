"""`sparkplug schema`."""

from __future__ import annotations

from sparkplug.cli.context import Cli


def schema(cli: Cli) -> int:
    """Print the JSON Schema of a kind of file, for editors."""
    from sparkplug.schema.documents import document_schema

    cli.out.data(document_schema(cli.args.name))
    return 0
