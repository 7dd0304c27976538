"""Signed checkpoints of the record, in files outside of its database: how far the chain went, and its hash there.

``head.json`` holds the newest one, written over as the chain grows; ``checkpoints.jsonl`` one for every thousand
entries and for each event after which it must be known, added at the end. Signed with Ed25519: whoever has
``public.txt`` can verify the record without being able to read or to forge it. A checkpoint protects from who can write
the database, not from who can also put older copies of these files back: keep their folder, or copies, where others
cannot write.
"""

from __future__ import annotations

import base64
import fcntl
import logging
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from configs.errors import ConfigError
from configs.files import write_text
from serving.records.chain import Link

HEAD, LINES, PUBLIC_KEY = "head.json", "checkpoints.jsonl", "public.txt"
EVERY = 1000  # entries
HEAD_BYTES = 512
SECONDS_BETWEEN = 0.05
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Checkpoint:
    """The hash (hexadecimal) at a position, when (microseconds since 1970) and why it was noted, signed."""

    position: int
    hash: str
    at: int
    why: str
    signature: str = ""

    @property
    def link(self) -> Link:
        """The position and its hash."""
        return Link(self.position, bytes.fromhex(self.hash))

    def content(self) -> bytes:
        """What is signed."""
        return f"staycast record {self.position} {self.hash} {self.at} {self.why}".encode()


class Checkpoints:
    """The files of one record, in their folder. Several processes may write to them.

    Parameters
    ----------
    folder
        Is made if it does not exist.
    signing_key
        32 bytes, of Ed25519.
    """

    def __init__(self, folder: Path, signing_key: bytes) -> None:
        self.folder = folder
        self._signer = Ed25519PrivateKey.from_private_bytes(signing_key)
        folder.mkdir(parents=True, exist_ok=True)
        public = folder / PUBLIC_KEY
        raw = self._signer.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self._public_key = base64.b64encode(raw).decode()
        if not public.exists():
            write_text(public, f"{self._public_key}\n")
        self._head = os.open(folder / HEAD, os.O_RDWR | os.O_CREAT, 0o644)
        self._added = 0
        self._newest: tuple[Link, int] | None = None
        self._woken, self._closed, self._signing = threading.Event(), threading.Event(), threading.Lock()
        self._thread: threading.Thread | None = None

    @property
    def are_own(self) -> bool:
        """Whether the files of the folder are of this record, by the key that signs them."""
        return (self.folder / PUBLIC_KEY).read_text("ascii").strip() == self._public_key

    def close(self) -> None:
        """Sign what was noted last, and close the files."""
        self._closed.set()
        self._woken.set()
        if self._thread is not None:
            self._thread.join()
        self.sign()
        os.close(self._head)

    def note(self, last: Link, at: int) -> None:
        """Say that the chain ends here now: signed in the background, at once or within `SECONDS_BETWEEN`."""
        self._newest = (last, at)
        if self._thread is None:
            self._thread = threading.Thread(target=self._keep_signing, daemon=True, name="checkpoints")
            self._thread.start()
        self._woken.set()

    def _keep_signing(self) -> None:
        while not self._closed.is_set():
            self._woken.wait()
            self._woken.clear()
            self.sign()
            self._closed.wait(SECONDS_BETWEEN)

    def sign(self) -> None:
        """Sign what was noted last, if it is not; a disk that takes nothing now is asked again at the next note."""
        with self._signing:
            noted, self._newest = self._newest, None
            if noted is None:
                return
            try:
                self._write_head(*noted)
            except OSError as error:
                logger.error("the checkpoint of the record cannot be written: %s", error.strerror)

    def _write_head(self, last: Link, at: int) -> None:
        """Never waits for another process: of several at once, one is left to the next note."""
        checkpoint = self._signed(last, at, "head")
        try:
            fcntl.flock(self._head, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        try:
            if _head_position(os.pread(self._head, HEAD_BYTES, 0)) < last.position:
                os.pwrite(self._head, f"{_json(checkpoint):<{HEAD_BYTES - 1}}\n".encode(), 0)
        finally:
            fcntl.flock(self._head, fcntl.LOCK_UN)
        if last.position // EVERY > self._added // EVERY:
            self.add(last, at, "so far")

    def add(self, link: Link, at: int, why: str) -> None:
        """Add a checkpoint for good; it is on disk when this returns."""
        line = f"{_json(self._signed(link, at, why))}\n".encode()
        file = os.open(self.folder / LINES, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            os.write(file, line)
            os.fsync(file)
        finally:
            os.close(file)
        self._added = max(self._added, link.position)

    def _signed(self, link: Link, at: int, why: str) -> Checkpoint:
        plain = Checkpoint(link.position, link.hash.hex(), at, why)
        signature = base64.b64encode(self._signer.sign(plain.content())).decode()
        return Checkpoint(plain.position, plain.hash, plain.at, plain.why, signature)


def load_checkpoints(folder: Path, public_key: str | None = None) -> list[Checkpoint]:
    """All checkpoints of a folder, oldest first, the head last; only what is signed.

    Parameters
    ----------
    folder
        Of the files.
    public_key
        Base64, of who must have signed; None: as ``public.txt`` says.

    Raises
    ------
    ConfigError
        A file is missing or cannot be read, or a signature does not hold.
    """
    try:
        raw = base64.b64decode(public_key or (folder / PUBLIC_KEY).read_text("ascii"))
        signer = Ed25519PublicKey.from_public_bytes(raw)
        found = list(_lines(folder))
    except FileNotFoundError as error:
        raise ConfigError(f"the checkpoints of the record are missing: no file '{error.filename}'") from None
    except (ValueError, TypeError) as error:
        raise ConfigError(f"the checkpoints of the record in '{folder}' cannot be read: {error}") from None
    for checkpoint in found:
        try:
            signer.verify(base64.b64decode(checkpoint.signature), checkpoint.content())
        except (InvalidSignature, ValueError):
            raise ConfigError(
                f"the checkpoint of entry {checkpoint.position} in '{folder}' has no valid signature: it was changed"
            ) from None
    return found


def _lines(folder: Path) -> Iterator[Checkpoint]:
    lines = folder / LINES
    texts = [*(lines.read_text("utf-8").splitlines() if lines.exists() else ()), (folder / HEAD).read_text("utf-8")]
    return (Checkpoint(**orjson.loads(text)) for text in texts if text.strip())


def _head_position(content: bytes) -> int:
    """The position of a head as it lies in its file; 0 where it holds none yet, or half of one."""
    try:
        return int(orjson.loads(content)["position"])
    except (ValueError, KeyError, TypeError):
        return 0


def _json(checkpoint: Checkpoint) -> str:
    return orjson.dumps(checkpoint).decode()
