"""Where a teacher is asked: the address, the key, and the words that name both in an error."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from selfinstruct.errors import ConfigError

_NETWORKS_OF_ONES_OWN = (".localhost", ".local", ".internal", ".lan", ".home.arpa")
_KEY_SHAPES = re.compile(r"\b(?:sk|rk|gsk|xai|hf)[-_][A-Za-z0-9_\-]{12,}|(?<=Bearer )[^\s\"',;]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
_LONGEST_QUOTE = 400  # characters of a provider's own words in one of our messages


def own_network(host: str) -> bool:
    """Whether `host` is this machine or a private network: there a key may travel without TLS.

    Names without a dot are container or intranet names; nobody can register them on the internet.
    """
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return "." not in host or host.endswith(_NETWORKS_OF_ONES_OWN)
    # link-local addresses are where clouds keep their machines' own secrets
    return address.is_loopback or (address.is_private and not address.is_link_local)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One provider's address. `key_env` names the environment variable that holds the key, `key_file` a file of
    the user's own that only he may read; the key itself is read from there when it is needed, so that no object of
    ours, and so no traceback or dump, carries it.

    `identity` is the teacher's model as it enters the request key; `own` says that the address was given by
    the user (`base_url`), so that no key is needed unless one is named.
    """

    identity: str
    url: str
    key_env: str = ""
    own: bool = False
    key_file: str = ""

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        where = f"{self.identity}: base_url {self.shown!r}"
        try:
            _ = parts.port
        except ValueError:
            raise ConfigError(f"{where} has no valid port", "write http://host:port/v1") from None
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(
                f"{where} is not a web address", "write it whole, e.g. http://localhost:8000/v1"
            )
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ConfigError(
                f"{where} carries more than host and path",
                "take a key out of the address and name its variable: key_env: MY_KEY",
            )
        if parts.scheme == "http" and not own_network(parts.hostname):
            raise ConfigError(
                f"{where} would send prompts and key unencrypted",
                f"write https://{parts.hostname}; http is for this machine and private networks",
            )

    @property
    def shown(self) -> str:
        """The address without what may be secret in it."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}" if parts.scheme else self.url

    @property
    def private(self) -> bool:
        return own_network(urlsplit(self.url).hostname or "")

    @property
    def key(self) -> str:
        if self.key_file:
            with contextlib.suppress(OSError, UnicodeDecodeError):
                return Path(self.key_file).expanduser().read_text("utf-8").strip()
            return ""
        return os.environ.get(self.key_env, "").strip() if self.key_env else ""

    @property
    def key_hint(self) -> str:
        if self.key_file or self.key_env:
            return f"check the key in {self.key_file or self.key_env}"
        return "name the variable that holds the key: key_env: MY_KEY"

    def check(self) -> None:
        """Raises ConfigError unless the key that this address needs is there and can be sent."""
        if self.key_file:
            self._check_file()
        elif not self.key_env:
            return
        elif not self.key:
            mend = f"export {self.key_env}=..."
            if not self.own:
                mend += ", or point base_url at a local server"
            raise ConfigError(f"{self.identity}: {self.key_env} is not set", mend)
        if not self.key.isascii() or any(c.isspace() or not c.isprintable() for c in self.key):
            raise ConfigError(
                f"{self.identity}: the key in {self.key_file or self.key_env} holds characters no key has",
                "export it again; it may have been copied with a line break or quotes",
            )

    def _check_file(self) -> None:
        """Raises ConfigError unless the key's file is one that nobody else can read or put there."""
        path = Path(self.key_file).expanduser()
        where = f"{self.identity}: key_file {self.key_file}"
        try:
            found = path.lstat()
        except OSError as error:
            raise ConfigError(
                f"{where}: can't be read ({error.strerror})", "name the file that holds the key"
            ) from None
        if not stat.S_ISREG(found.st_mode):
            raise ConfigError(f"{where}: is not a plain file", "name the file itself, not a link or a folder")
        if os.name == "posix" and (found.st_mode & 0o077 or found.st_uid != os.geteuid()):
            raise ConfigError(
                f"{where}: others may read or change it (mode {stat.S_IMODE(found.st_mode):04o})",
                f"chmod 600 {self.key_file}",
            )
        if not self.key:
            raise ConfigError(f"{where}: is empty, or not text", "write the key into it, and nothing else")

    def quote(self, text: str) -> str:
        """A provider's words, fit for a message: no key (ours or alike), one line, of bounded length."""
        if self.key:
            text = text.replace(self.key, "[key]")
        text = _CONTROL.sub(" ", _KEY_SHAPES.sub("[key]", text)).strip()
        return text if len(text) <= _LONGEST_QUOTE else text[:_LONGEST_QUOTE] + "…"


def endpoint_name(base_url: str) -> str:
    """The default identity of a server of one's own: host, port and path, e.g. `localhost:8000`."""
    parts = urlsplit(base_url)
    path = parts.path.rstrip("/").removesuffix("/v1")
    return parts.netloc.rpartition("@")[2].lower() + path
