"""State folders: where they are, whose they are, and what is said when the system refuses."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sparkplug.paths import Paths, state_home, write_private
from sparkplug.schema.errors import InvalidError, RefusedError, SparkplugError
from sparkplug.schema.textfile import read_text

NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: a second Unix user")


def as_nobody(action: Callable[[], object]) -> dict[str, str | None]:
    """What `action` raises when another Unix user does it, as its JSON; {} for nothing."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        said: dict[str, str | None] = {}
        try:
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
            action()
        except SparkplugError as error:
            said = error.as_json()["error"]
        finally:
            os.write(writer, json.dumps(said).encode())
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        data = pipe.read()
    os.waitpid(child, 0)
    result: dict[str, str | None] = json.loads(data)
    return result


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, of 64 KiB."""
    mount = tmp_path / "disk"
    mount.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "sparkplug-test", str(mount)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except FileNotFoundError:
        pytest.skip("needs mount")
    if done.returncode:
        pytest.skip("needs root that may mount a file system")
    try:
        yield mount
    finally:
        subprocess.run(["umount", str(mount)], timeout=10, check=True)


@pytest.mark.parametrize(
    ("environ", "home"),
    [
        ({}, "/home/u/.local/state/sparkplug"),
        ({"XDG_STATE_HOME": "/s"}, "/s/sparkplug"),
        ({"XDG_STATE_HOME": "s"}, "/home/u/.local/state/sparkplug"),
        ({"XDG_STATE_HOME": "/s", "SPARKPLUG_HOME": "/m"}, "/m"),
        ({"SPARKPLUG_HOME": ""}, "/home/u/.local/state/sparkplug"),
    ],
)
def test_where_state_is(environ: dict[str, str], home: str) -> None:
    assert state_home({"HOME": "/home/u", **environ}) == Path(home)


def test_all_folders_are_made_private(tmp_path: Path) -> None:
    paths = Paths(tmp_path / "deep" / "home")
    (tmp_path / "deep").mkdir()
    paths.ensure()
    folders = [paths.home, paths.keys, paths.nats, paths.run, paths.exits, paths.stalls]
    folders += [paths.logs, paths.agent_logs, paths.cache]
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in folders} == {0o700}
    assert set(paths.run.iterdir()) == {paths.exits, paths.stalls}
    paths.keys.chmod(0o755)
    paths.ensure()
    assert stat.S_IMODE(paths.keys.stat().st_mode) == 0o700


def test_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o777)
    try:
        Paths(tmp_path / "home").ensure()
        write_private(tmp_path / "home" / "f", "x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "home" / "logs").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "home" / "f").stat().st_mode) == 0o600


def test_a_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "run").write_text("")
    with pytest.raises(InvalidError) as caught:
        Paths(tmp_path / "home").ensure()
    assert f"{tmp_path}/home/run is not a folder" in caught.value.message
    with pytest.raises(InvalidError, match="is not a folder"):
        Paths(tmp_path / "home" / "run" / "below").ensure()


@as_root
def test_a_folder_of_another_user(tmp_path: Path) -> None:
    paths = Paths(tmp_path / "home")
    paths.ensure()
    os.chown(paths.keys, NOBODY, NOBODY)
    with pytest.raises(RefusedError, match="belongs to another user") as caught:
        paths.ensure()
    assert caught.value.where == str(paths.keys)
    assert "SPARKPLUG_HOME" in (caught.value.hint or "")


@as_root
def test_another_user_may_not_make_or_read(tmp_path: Path) -> None:
    secret = tmp_path / "home" / "keys" / "seed"
    Paths(tmp_path / "home").ensure()
    write_private(secret, "x")
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    made = as_nobody(lambda: Paths(tmp_path / "other").ensure())
    assert (made["code"], made["where"]) == ("refused", str(tmp_path / "other"))
    assert "no permission" in (made["message"] or "")
    read = as_nobody(lambda: read_text(secret))
    assert (read["code"], read["where"]) == ("refused", str(secret))


def test_a_full_disk(small_disk: Path) -> None:
    paths = Paths(small_disk / "home")
    paths.ensure()
    fill = small_disk / "fill"
    with pytest.raises(OSError, match="No space left"), fill.open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
    with pytest.raises(SparkplugError, match="the disk is full") as caught:
        paths.ensure()
    assert "make room" in (caught.value.hint or "")
    with pytest.raises(SparkplugError, match="the disk is full"):
        write_private(paths.keys / "seed", b"x" * 9000)
    assert list(paths.keys.iterdir()) == []
    assert set(paths.run.iterdir()) == {paths.exits, paths.stalls}


def test_a_read_only_disk(small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], timeout=10, check=True)
    with pytest.raises(SparkplugError, match="the disk is read-only"):
        Paths(small_disk / "home").ensure()


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    file = tmp_path / "new" / "f"
    write_private(file, "one")
    file.chmod(0o644)
    write_private(file, b"two")
    assert file.read_bytes() == b"two"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert list(file.parent.iterdir()) == [file]


def test_a_folder_where_a_file_should_be(tmp_path: Path) -> None:
    (tmp_path / "f").mkdir()
    with pytest.raises(InvalidError, match="it is a folder"):
        write_private(tmp_path / "f", "x")
    assert list(tmp_path.iterdir()) == [tmp_path / "f"]
