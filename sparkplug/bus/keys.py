"""The secrets of a mesh on disk: made once, 0600, inside the 0700 state directory."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from sparkplug.bus import jwt
from sparkplug.bus.jwt import Credentials, Permissions
from sparkplug.paths import write_private
from sparkplug.schema.errors import RefusedError

_SECRETS = "mesh.json"
FACE_CREDS = "face.creds"


@dataclass(frozen=True, slots=True)
class MeshKeys:
    """The operator, the system account and the owner's account of a private server."""

    operator_seed: str
    system_seed: str
    account_seed: str

    @property
    def operator_jwt(self) -> str:
        """The operator's JWT for the server's configuration."""
        return jwt.operator_jwt("sparkplug", self.operator_seed, self.system_account)

    @property
    def system_account(self) -> str:
        """Public key of the system account."""
        return jwt.public_key(self.system_seed)

    @property
    def account(self) -> str:
        """Public key of the owner's account."""
        return jwt.public_key(self.account_seed)

    def system_jwt(self) -> str:
        """The JWT of the system account."""
        return jwt.account_jwt("SYS", self.system_account, self.operator_seed, jetstream=False)

    def account_jwt(self, signing_keys: Sequence[str], revocations: Mapping[str, int]) -> str:
        """The JWT of the owner's account: who else signs its users, and which are revoked."""
        return jwt.account_jwt(
            "owner",
            self.account,
            self.operator_seed,
            jetstream=True,
            signing_keys=signing_keys,
            revocations=revocations,
        )

    def system_user(self, name: str) -> Credentials:
        """A new user of the system account, which the server's internals answer to."""
        return jwt.user_credentials(name, self.system_seed, Permissions())

    def user(self, name: str, permissions: Permissions) -> Credentials:
        """A new user of the owner's account."""
        return jwt.user_credentials(name, self.account_seed, permissions)


def ensure_keys(folder: Path) -> MeshKeys:
    """The keys in `folder`, made on the first call, with the face's credentials beside them.

    Raises RefusedError when the file can be read by others or does not hold keys.
    """
    path = folder / _SECRETS
    if path.exists():
        return read_keys(folder)
    keys = MeshKeys(*(jwt.create_seed(kind) for kind in ("operator", "account", "account")))
    write_private(path, json.dumps(asdict(keys), indent=1))
    write_private(folder / FACE_CREDS, keys.user("face", Permissions()).as_creds_file())
    return keys


def read_keys(folder: Path) -> MeshKeys:
    """The keys in `folder`. Raises RefusedError when they are exposed or broken."""
    path = folder / _SECRETS
    try:
        if path.stat().st_mode & 0o077:
            raise RefusedError(
                "the keys of the mesh can be read by others",
                where=str(path),
                hint=f"chmod 600 {path}; if others use this host, remove the state and start anew",
            )
        return MeshKeys(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise RefusedError(
            f"the keys of the mesh cannot be read: {error}",
            where=str(path),
            hint="restore the file from a backup, or remove the state directory and start anew",
        ) from error


def read_creds(path: Path) -> Credentials:
    """Credentials from a `.creds` file. Raises RefusedError naming the file."""
    try:
        return jwt.read_creds_file(path.read_text())
    except (OSError, ValueError) as error:
        raise RefusedError(
            f"cannot read the credentials: {error}",
            where=str(path),
            hint="is this your mesh? `sparkplug status` says which state directory is in use",
        ) from error
