"""A table of any number of rows: sorted, filtered, marked, its columns chosen."""

from sparkplug.tui.widgets.table.columns import Column
from sparkplug.tui.widgets.table.table import Table

__all__ = ["Column", "Table"]
