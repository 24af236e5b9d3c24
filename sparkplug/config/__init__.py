"""Settings: read from files, environment and flags, each value with where it came from.

Order, later wins: built-in, the shipped `config/sparkplug.toml`, `/etc/sparkplug/*.toml`
(sorted), `$XDG_CONFIG_HOME/sparkplug/config.toml`, `mesh.toml` in the folder of state,
`SPARKPLUG_<SECTION>_<KEY>`, flags.
"""

from __future__ import annotations

from sparkplug.config.loading import Settings, config_file, load_settings, mesh_file
from sparkplug.config.writing import (
    export_settings,
    import_settings,
    read_mesh_settings,
    set_value,
    write_mesh_settings,
)

__all__ = [
    "Settings",
    "config_file",
    "export_settings",
    "import_settings",
    "load_settings",
    "mesh_file",
    "read_mesh_settings",
    "set_value",
    "write_mesh_settings",
]
