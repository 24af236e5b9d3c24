"""The doctor's checks of this host, on folders and ports made for them."""

from __future__ import annotations

import socket
from pathlib import Path

from sparkplug.client import doctor_host
from sparkplug.config import Settings, load_settings
from sparkplug.paths import Paths


def settings(home: Path, **environ: str) -> Settings:
    return load_settings(environ={"SPARKPLUG_HOME": str(home), **environ})


def test_a_state_folder_others_can_read_is_warned_of(tmp_path: Path) -> None:
    paths = Paths(tmp_path / "home")
    assert doctor_host.state_folder(paths, settings(tmp_path)).state == "ok"
    paths.ensure()
    assert doctor_host.state_folder(paths, settings(tmp_path)).state == "ok"
    paths.home.chmod(0o755)
    check = doctor_host.state_folder(paths, settings(tmp_path))
    assert (check.state, check.fix) == ("warn", f"chmod 700 {paths.home}")


def test_keys_others_can_read_fail(tmp_path: Path) -> None:
    paths = Paths(tmp_path / "home")
    paths.ensure()
    secret = paths.keys / "face.creds"
    secret.write_text("x")
    secret.chmod(0o600)
    assert doctor_host.key_files(paths, settings(tmp_path)).state == "ok"
    secret.chmod(0o644)
    check = doctor_host.key_files(paths, settings(tmp_path))
    assert (check.state, check.fix) == ("fail", f"chmod 600 {secret}")


def test_a_port_in_use_fails_and_a_free_one_does_not(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        mine = settings(tmp_path, SPARKPLUG_NATS_PORT=port)
        assert doctor_host.server_port(paths, mine).state == "fail"
    assert doctor_host.server_port(paths, mine).state == "ok"


def test_a_server_that_does_not_run_fails_with_a_fix(tmp_path: Path) -> None:
    broken = settings(tmp_path, SPARKPLUG_NATS_SERVER=str(tmp_path / "nowhere"))
    check = doctor_host.server_binary(Paths(tmp_path), broken)
    assert (check.state, check.fix) == ("fail", "point nats.server at a newer one")
    assert "nowhere does not run" in check.text
    assert doctor_host.server_binary(Paths(tmp_path), settings(tmp_path)).state == "ok"


def test_a_cap_larger_than_the_disk_is_warned_of(tmp_path: Path) -> None:
    huge = settings(tmp_path, SPARKPLUG_NATS_MAX_STORE="1000TiB")
    check = doctor_host.state_space(Paths(tmp_path / "not" / "made"), huge)
    assert check.state == "warn"
    assert "nats.max_store" in (check.fix or "")


def test_no_node_is_told_with_the_way_to_one(tmp_path: Path) -> None:
    check = doctor_host.node_process(Paths(tmp_path), settings(tmp_path))
    assert (check.state, check.fix) == ("warn", "sparkplug up")
