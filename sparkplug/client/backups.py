"""Backup and restore of a mesh: its streams and buckets, its keys, its settings, in one file.

The file is a tar: the parts, then `manifest.json` with the size and SHA-256 of each. One that
was cut short has no manifest, and one that was changed does not agree with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import io
import os
import secrets
import shutil
import tarfile
import tempfile
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from pydantic import Field, ValidationError

from sparkplug import __version__
from sparkplug.bus import snapshots
from sparkplug.bus.claims import ACCOUNT_FILE
from sparkplug.bus.connection import Bus
from sparkplug.bus.keys import read_keys
from sparkplug.bus.memory import home_of
from sparkplug.bus.server import free_port
from sparkplug.client import local, memory_copy
from sparkplug.client.offline import held, own_server
from sparkplug.client.session import Client
from sparkplug.config import Settings, mesh_file, read_mesh_settings, write_mesh_settings
from sparkplug.paths import Paths, write_private
from sparkplug.schema.base import Record, utc_now
from sparkplug.schema.errors import InvalidError, NotFoundError, RefusedError, SparkplugError
from sparkplug.schema.mesh import parse_address
from sparkplug.schema.textfile import storage_error

_FORMAT = 1
_MANIFEST = "manifest.json"
_MOST_MANIFEST = 16 << 20
_READ_BYTES = 1 << 20
_KEYS = ("mesh.json", "face.creds", "ca.pem", "ca.key", "server.pem", "server.key")
_NATS = ("port", ACCOUNT_FILE)

Tell = Callable[[str], None]


class Part(Record):
    """One file of a backup. Of a stream, `about` is its configuration and state."""

    size: int
    sha256: str
    about: dict[str, Any] | None = None


class Manifest(Record):
    """What a backup holds."""

    format: int = _FORMAT
    version: str = __version__
    mesh: str
    node: str
    created: str
    parts: dict[str, Part] = Field(default_factory=dict)
    closed: str = Field("", description="the address it listened on, when this host has no such")

    @property
    def streams(self) -> list[str]:
        """The streams in it."""
        return [name.partition("/")[2] for name in self.parts if name.startswith("streams/")]

    def describe(self) -> str:
        """In words."""
        return f"the mesh {self.mesh} as of {self.created} ({len(self.streams)} streams)"


@dataclass(frozen=True, slots=True)
class Made:
    """A backup that was written. `size` in bytes."""

    size: int
    streams: int


def has_state(paths: Paths) -> bool:
    """Whether this state directory holds a mesh, or belongs to one."""
    return (paths.keys / "mesh.json").exists() or paths.joined.exists()


async def backup(
    paths: Paths, settings: Settings, target: Path, tell: Tell = lambda _: None
) -> Made:
    """Write this host's mesh into `target`, 0600, while it runs or while it is down.

    Each stream is consistent in itself; what is written meanwhile is in it or not. The file
    appears whole or not at all. Raises RefusedError when the mesh is another host's.
    """
    if settings.nats.url:
        raise RefusedError(
            "the mesh is stored on another host",
            hint="make the backup where its server runs: `sparkplug status` there says `ours`",
        )
    if not has_state(paths):
        raise NotFoundError("this host has no mesh", where=str(paths.home))
    keys = await asyncio.to_thread(read_keys, paths.keys)
    del keys  # only that they hold: a backup without them would be good for nothing
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(6)}")
    try:
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as error:
            raise storage_error(error, "cannot write", target) from error
        with os.fdopen(descriptor, "wb") as file:
            async with _bus_of(paths, settings) as bus:
                count = await _write(paths, settings, bus, file, tell)
            file.flush()
            await asyncio.to_thread(os.fsync, file.fileno())
            size = file.tell()
        temporary.replace(target)
    except OSError as error:
        raise storage_error(error, "cannot write", target) from error
    finally:
        temporary.unlink(missing_ok=True)
    return Made(size, count)


@contextlib.asynccontextmanager
async def _bus_of(paths: Paths, settings: Settings) -> AsyncGenerator[Bus, None]:
    if local.read_node(paths) is not None:
        async with await Client.connect(url=None, paths=paths, settings=settings) as client:
            yield client.bus
    else:
        with held(paths):
            async with own_server(paths, settings) as bus:
                yield bus


async def _write(paths: Paths, settings: Settings, bus: Bus, file: IO[bytes], tell: Tell) -> int:
    manifest = Manifest(
        mesh=settings.mesh.name,
        node=settings.node.name,
        created=utc_now().isoformat(timespec="seconds"),
    )
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, path in _files(paths):
            if path.exists() and name != memory_copy.NAME:
                _add(archive, manifest, name, io.BytesIO(path.read_bytes()))
        await _add_memory(paths, bus, archive, manifest, tell)
        names = await snapshots.list_streams(bus)
        for number, stream in enumerate(names, 1):
            tell(f"{number}/{len(names)} {stream}")
            with tempfile.TemporaryFile() as spool:
                about: dict[str, Any] = {}
                async with contextlib.aclosing(snapshots.snapshot(bus, stream)) as chunks:
                    async for chunk in chunks:
                        if isinstance(chunk, dict):
                            about = chunk
                        else:
                            await asyncio.to_thread(spool.write, chunk)
                spool.seek(0)
                await asyncio.to_thread(_add, archive, manifest, f"streams/{stream}", spool, about)
        _add_plain(archive, _MANIFEST, io.BytesIO(manifest.model_dump_json().encode()))
    return len(names)


async def _add_memory(
    paths: Paths, bus: Bus, archive: tarfile.TarFile, manifest: Manifest, tell: Tell
) -> None:
    """What agents remember, where this host keeps it: a copy of the catalogue as it is now."""
    source = paths.memory / memory_copy.FILE
    if not source.exists():
        home = await home_of(bus)
        if home and home != manifest.node:
            tell(f"the memory is kept on {home} and is not in it: `sparkplug memory export` has it")
        return
    tell("what agents remember")
    with tempfile.TemporaryDirectory(dir=paths.cache) as folder:
        copy = Path(folder) / memory_copy.FILE
        await asyncio.to_thread(memory_copy.copy_catalogue, source, copy)
        with copy.open("rb") as file:
            await asyncio.to_thread(_add, archive, manifest, memory_copy.NAME, file)


def _files(paths: Paths) -> Iterator[tuple[str, Path]]:
    """The files of a mesh beside its streams, by their names in a backup."""
    for name in _KEYS:
        yield f"keys/{name}", paths.keys / name
    for name in _NATS:
        yield f"nats/{name}", paths.nats / name
    yield "mesh.toml", mesh_file(paths.home)
    yield memory_copy.NAME, paths.memory / memory_copy.FILE


def _add(
    archive: tarfile.TarFile,
    manifest: Manifest,
    name: str,
    source: IO[bytes],
    about: dict[str, Any] | None = None,
) -> None:
    digest = hashlib.sha256()
    size = 0
    while data := source.read(_READ_BYTES):
        digest.update(data)
        size += len(data)
    source.seek(0)
    manifest.parts[name] = Part(size=size, sha256=digest.hexdigest(), about=about)
    _add_plain(archive, name, source, size)


def _add_plain(
    archive: tarfile.TarFile, name: str, source: IO[bytes], size: int | None = None
) -> None:
    info = tarfile.TarInfo(name)
    info.mode = 0o600
    info.size = source.seek(0, io.SEEK_END) if size is None else size
    source.seek(0)
    archive.addfile(info, source)


async def inspect(source: Path) -> Manifest:
    """What a backup holds, all of it checked. Raises NotFoundError, InvalidError."""
    return await asyncio.to_thread(_inspect, source)


def _inspect(source: Path) -> Manifest:
    found: dict[str, tuple[int, str]] = {}
    manifest: Manifest | None = None
    with _opened(source) as archive:
        for member in archive:
            data = archive.extractfile(member) if member.isfile() else None
            if data is None or manifest is not None or member.name in found:
                raise _broken(source, f"{member.name} does not belong there")
            if member.name == _MANIFEST:
                try:
                    manifest = Manifest.model_validate_json(data.read(_MOST_MANIFEST))
                except ValidationError as error:
                    raise _broken(source, "its manifest does not hold") from error
                continue
            digest, size = hashlib.sha256(), 0
            while block := data.read(_READ_BYTES):
                digest.update(block)
                size += len(block)
            found[member.name] = (size, digest.hexdigest())
    if manifest is None:
        raise _broken(source, "its end is missing")
    if manifest.format > _FORMAT:
        raise InvalidError(
            f"the backup was made by {manifest.version}, in a form this release cannot read",
            where=str(source),
            hint=f"restore it with SparkPlug {manifest.version} or newer",
        )
    if found != {name: (part.size, part.sha256) for name, part in manifest.parts.items()}:
        raise _broken(source, "what it holds is not what its manifest says")
    if "keys/mesh.json" not in found:
        raise _broken(source, "it holds no keys")
    return manifest


@contextlib.contextmanager
def _opened(source: Path) -> Generator[tarfile.TarFile, None, None]:
    try:
        with tarfile.open(source, mode="r:") as archive:
            yield archive
    except FileNotFoundError as error:
        raise NotFoundError("no such backup", where=str(source)) from error
    except (tarfile.TarError, EOFError) as error:
        raise _broken(source, str(error)) from error
    except OSError as error:
        raise storage_error(error, "cannot read", source) from error


def _broken(source: Path, why: str) -> InvalidError:
    return InvalidError(
        f"that is no whole backup: {why}", where=str(source), hint="nothing was changed"
    )


async def restore(
    paths: Paths, settings: Settings, source: Path, tell: Tell = lambda _: None
) -> Manifest:
    """Make the mesh of a backup this host's own. Its node has to be down.

    All is built beside what there is, and takes its place in the end: whatever goes wrong
    before leaves this host as it was.
    """
    manifest = await inspect(source)
    paths.ensure()
    with held(paths):
        new = Paths(paths.home / "restoring")
        await asyncio.to_thread(shutil.rmtree, new.home, ignore_errors=True)
        try:
            new.ensure()
            await asyncio.to_thread(_unpack, source, new)
            own = Settings(node=settings.node, nats=settings.nats.model_copy(update={"url": ""}))
            async with own_server(new, own) as bus:
                for number, stream in enumerate(manifest.streams, 1):
                    tell(f"{number}/{len(manifest.streams)} {stream}")
                    part = manifest.parts[f"streams/{stream}"]
                    with _opened(source) as archive:
                        data = archive.extractfile(f"streams/{stream}")
                        assert data is not None
                        await snapshots.restore(bus, stream, part.about or {}, _blocks(data))
            await asyncio.to_thread(_unpack, source, new)  # the port is the mesh's again
            manifest.closed = await asyncio.to_thread(_close_elsewhere, new)
            if (new.memory / memory_copy.FILE).exists():
                # Whatever node kept it, the one of this host does from now on.
                await asyncio.to_thread(write_private, new.memory / memory_copy.RESTORED, "")
            await asyncio.to_thread(_take_place, new, paths)
        except OSError as error:
            raise storage_error(error, "cannot restore", paths.home) from error
        finally:
            await asyncio.to_thread(shutil.rmtree, new.home, ignore_errors=True)
    return manifest


def _close_elsewhere(new: Paths) -> str:
    """Listen on loopback when the mesh's address is not one of this host's; that address."""
    values = read_mesh_settings(new.home)
    listen = values.get("nats.listen", "")
    if not listen:
        return ""
    try:
        free_port(parse_address(listen)[0])
    except SparkplugError:
        write_mesh_settings(new.home, {**values, "nats.listen": "", "nats.advertise": ""})
        return listen
    return ""


def _blocks(data: IO[bytes]) -> Iterator[bytes]:
    while block := data.read(snapshots.CHUNK_BYTES):
        yield block


def _unpack(source: Path, into: Paths) -> None:
    """The files of a backup beside its streams; only those a mesh has are taken."""
    with _opened(source) as archive:
        for name, path in _files(into):
            try:
                data = archive.extractfile(name)
            except KeyError:
                continue
            if data is not None:
                write_private(path, data.read())


def _take_place(new: Paths, paths: Paths) -> None:
    """Put what was built where the mesh of this host is; what was there goes."""
    old = paths.home / "replaced"
    shutil.rmtree(old, ignore_errors=True)
    old.mkdir(mode=0o700)
    moved: list[tuple[Path, Path]] = []
    try:
        for here, there in (
            (paths.nats, new.nats),
            (paths.keys, new.keys),
            (paths.memory, new.memory),
            (mesh_file(paths.home), mesh_file(new.home)),
        ):
            if here.exists():
                here.rename(old / here.name)
                moved.append((old / here.name, here))
            if there.exists():
                there.rename(here)
    except OSError:
        for before, here in moved:
            if here.is_dir():
                shutil.rmtree(here, ignore_errors=True)
            before.replace(here)
        raise
    shutil.rmtree(old, ignore_errors=True)
