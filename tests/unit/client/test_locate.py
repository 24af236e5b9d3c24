"""Where the mesh is."""

from __future__ import annotations

from pathlib import Path

import pytest

from sparkplug.bus.connection import without_secret
from sparkplug.client.session import locate
from sparkplug.config import load_settings
from sparkplug.paths import Paths
from sparkplug.schema.errors import NoMeshError


def test_a_flag_goes_before_the_environment_and_that_before_settings(tmp_path: Path) -> None:
    home = {"SPARKPLUG_HOME": str(tmp_path)}
    settings = load_settings(environ={**home, "SPARKPLUG_NATS_URL": "nats://settings:1"})
    paths = Paths(tmp_path)
    named = {"SPARKPLUG_URL": "nats://environment:1"}
    assert locate("nats://flag:1", paths, settings, named).url == "nats://flag:1"
    assert locate(None, paths, settings, named).url == "nats://environment:1"
    assert locate(None, paths, settings, {}).url == "nats://settings:1"
    assert locate(None, paths, settings, {}).creds is None


def test_without_any_the_private_server_has_to_run(tmp_path: Path) -> None:
    settings = load_settings(environ={"SPARKPLUG_HOME": str(tmp_path)})
    with pytest.raises(NoMeshError, match="no mesh runs here") as caught:
        locate(None, Paths(tmp_path), settings, {})
    assert "sparkplug up" in (caught.value.hint or "")


def test_a_url_is_shown_without_its_secret() -> None:
    assert without_secret("nats://user:secret@host:4222") == "nats://host:4222"
    assert without_secret("nats://host:4222") == "nats://host:4222"
