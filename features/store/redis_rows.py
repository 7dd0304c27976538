"""The online store in Redis: one value a customer and view, written only if nothing newer is there.

A value is 32 digits that tell the row's moment and how far the event log was read for it, eight characters that name
its layout, the numbers as doubles, and the texts as JSON. A layout says which features these are; a reader takes what
it asks for by name, so an old value stays readable when a feature is added. An index, sorted by moment, tells whose
row is newer or older than a moment. A script in the server compares and writes, so that two writers at once leave the
newer row. It names its keys itself: one server, with replicas or without, but no cluster.

A mark says that all customers were put online. A server that was emptied lacks it, and reads then say so, where Feast
answers that nobody is known. A Redis that evicts keys loses single customers unseen: set ``maxmemory-policy
noeviction``.

Nothing here waits longer than it is told to: the client's own retries after a timeout are off, and after a failed
read the next ones fail at once for `REST_SECONDS`.
"""

from __future__ import annotations

import hashlib
import math
import struct
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import orjson
import redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as LostError
from redis.exceptions import RedisError
from redis.retry import Retry

from configs.errors import ConfigError, NotReadyError, StoreError

CUSTOMERS_A_CALL = 250
REST_SECONDS = 1.0
STAMP, LAYOUT = 32, 8
BEFORE_ALL = 5 * 10**15  # makes microseconds since 1970 positive: digits then compare as the numbers do
Row = tuple[Any, ...]

_WRITE = """
local prefix, tables, written = ARGV[1], tonumber(ARGV[2]), 0
for i = 3 + tables, #ARGV, 2 + tables do
  local id, moment, newer = ARGV[i], ARGV[i + 1], false
  for t = 1, tables do
    local key, value = prefix .. ':' .. ARGV[2 + t] .. ':' .. id, ARGV[i + 1 + t]
    if redis.call('GETRANGE', key, 0, 31) <= string.sub(value, 1, 32) then
      redis.call('SET', key, value)
      written, newer = written + 1, true
    end
  end
  if newer then redis.call('ZADD', KEYS[1], 'GT', moment, id) end
end
return written
"""
_DROP = """
local ids = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[2], 'LIMIT', 0, 1000)
for _, id in ipairs(ids) do
  for t = 3, #ARGV do redis.call('UNLINK', ARGV[1] .. ':' .. ARGV[t] .. ':' .. id) end
  redis.call('ZREM', KEYS[1], id)
end
return #ids
"""
_FORGET = """
local gone = 0
for i = 4 + tonumber(ARGV[3]), #ARGV do
  local score = redis.call('ZSCORE', KEYS[1], ARGV[i])
  if score and (ARGV[2] == '' or tonumber(score) <= tonumber(ARGV[2])) then
    for t = 1, tonumber(ARGV[3]) do redis.call('UNLINK', ARGV[1] .. ':' .. ARGV[3 + t] .. ':' .. ARGV[i]) end
    gone = gone + redis.call('ZREM', KEYS[1], ARGV[i])
  end
end
return gone
"""


@dataclass(frozen=True)
class Place:
    """Where the server is and how long it may take.

    Attributes
    ----------
    url
        ``redis://[user:password@]host:port/database``, or ``rediss://`` for TLS; holds the password, so it is shown
        nowhere.
    prefix
        What all keys begin with; no two workspaces share it.
    read_timeout_ms
        A read, and the connection it may need, each answer within this or fail.
    write_timeout_seconds
        The same for one call that writes, of some thousand values.
    """

    url: str
    prefix: str
    read_timeout_ms: int
    write_timeout_seconds: float

    @property
    def shown(self) -> str:
        """Where it is, without user and password."""
        parts = urlsplit(self.url)
        return f"redis at {parts.hostname or 'localhost'}:{parts.port or 6379}{parts.path}"


class RedisRows:
    """Rows of one workspace in one Redis; the same methods as `features.store.online_rows.CustomerRows`.

    Raises
    ------
    ConfigError
        The address is none of a Redis. From here.
    StoreError
        Redis does not answer in time, or refuses. From every method.
    NotReadyError
        Redis was emptied, or never filled. From `read` and `require`.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self._reader = _client(place, place.read_timeout_ms / 1000)
        self._writer = _client(place, place.write_timeout_seconds)
        self._layouts: dict[bytes, tuple[tuple[str, ...], tuple[str, ...]]] = {}
        self._down_until = -math.inf

    def make(self, table: str, names: Sequence[str]) -> None:
        """Nothing: a value names its own layout."""

    def drop(self, table: str) -> None:
        """Delete all rows of a table."""
        with self._answering():
            keys = self._writer.scan_iter(f"{_literally(self._key(table))}:*", count=1000)
            for some in _chunks(keys, 1000):
                self._writer.unlink(*some)

    def require(self) -> None:
        """Raise unless all customers were put online since Redis was last empty."""
        with self._answering():
            if not self._writer.exists(self._key("filled")):
                raise self._empty()

    def filled(self) -> None:
        """Say that all customers are online now."""
        with self._answering():
            self._writer.set(self._key("filled"), 1)

    def write(self, tables: dict[str, tuple[Sequence[str], Sequence[Sequence[Any]]]]) -> int:
        """Write rows into several tables, see `CustomerRows.write`; a customer's rows all or none.

        Calls go in one pipeline; one that is sent again after a lost connection changes nothing.
        """
        values = [self._values(names, rows) for names, rows in tables.values()]
        keys = [(row[0], row[1]) for row in next(iter(tables.values()))[1]]
        head = [self._place.prefix, len(tables), *tables]
        with self._answering():
            script = self._writer.register_script(_WRITE)
            pipe = self._writer.pipeline(transaction=False)
            for start in range(0, len(keys), CUSTOMERS_A_CALL):
                rows = zip(keys[start : start + CUSTOMERS_A_CALL], *(v[start:] for v in values), strict=False)
                told = [argument for (who, moment), *packed in rows for argument in (who, moment, *packed)]
                script(keys=[self._key("moments")], args=[*head, *told], client=pipe)
            return sum(pipe.execute())

    def read(self, table: str, names: Sequence[str], ids: Sequence[str]) -> dict[str, Row]:
        """Rows by customer: ``event_ts``, then the features asked; None for what the row does not know."""
        if time.monotonic() < self._down_until:
            raise StoreError(f"{self._place.shown} did not answer a moment ago: try again in a second")
        with self._answering():
            mark, *found = self._reader.mget([self._key("filled"), *(self._key(table, i) for i in ids)])
            if mark is None:
                raise self._empty()
            return {i: self._row(value, names) for i, value in zip(ids, found, strict=True) if value is not None}

    def newer_than(self, table: str, moment: int) -> list[str]:
        """Customers whose row is of a later moment than this, in microseconds since 1970."""
        with self._answering():
            return sorted(i.decode() for i in self._writer.zrangebyscore(self._key("moments"), f"({moment}", "+inf"))

    def drop_older_than(self, tables: Sequence[str], moment: int) -> None:
        """Delete the rows of earlier moments than this."""
        with self._answering():
            script = self._writer.register_script(_DROP)
            while script(keys=[self._key("moments")], args=[self._place.prefix, f"({moment}", *tables]):
                pass

    def forget(self, tables: Sequence[str], ids: Iterable[str], moment: int) -> int:
        """Delete the rows of these customers, but those of later moments than this; how many customers had one."""
        return self._forget(tables, ids, str(moment))

    def erase(self, tables: Sequence[str], ids: Iterable[str]) -> int:
        """Delete the rows of these customers, of whatever moment; how many customers had one."""
        return self._forget(tables, ids, "")

    def close(self) -> None:
        """Close the connections."""
        self._reader.close()
        self._writer.close()

    def _forget(self, tables: Sequence[str], ids: Iterable[str], moment: str) -> int:
        head = [self._place.prefix, moment, len(tables), *tables]
        with self._answering():
            script = self._writer.register_script(_FORGET)
            return sum(script(keys=[self._key("moments")], args=[*head, *some]) for some in _chunks(ids, 1000))

    def _key(self, *parts: str) -> str:
        return ":".join((self._place.prefix, *parts))

    def _empty(self) -> NotReadyError:
        return NotReadyError(
            f"{self._place.shown} holds no features of this workspace, or was emptied: "
            "run `staycast features --again` to put all customers online"
        )

    @contextmanager
    def _answering(self) -> Iterator[None]:
        """Turn what the client raises into an error that says where, and remember that the server is down."""
        try:
            yield
        except RedisError as error:
            self._down_until = time.monotonic() + REST_SECONDS
            raise StoreError(
                f"{self._place.shown} does not answer ({_why(error)}): see that it runs and may be reached, "
                "that the address and the password in redis.url are right, and try again"
            ) from None

    def _values(self, names: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[bytes]:
        """Each row packed; a column in which a text stands is one of texts."""
        columns = list(zip(*rows, strict=True))[3:] if rows else []
        texts = [any(isinstance(v, str) for v in column) for column in columns] if rows else []
        layout = self._layout(
            tuple(n for n, text in zip(names, texts, strict=False) if not text),
            tuple(n for n, text in zip(names, texts, strict=False) if text),
        )
        return [_pack(row, texts, layout) for row in rows]

    def _layout(self, numbers: tuple[str, ...], texts: tuple[str, ...]) -> bytes:
        """The name of a layout, which is kept in Redis before the first row that has it."""
        told = orjson.dumps([numbers, texts])
        name = hashlib.sha256(told).hexdigest()[:LAYOUT]
        with self._answering():
            self._writer.set(self._key("layout", name), told)
        return name.encode()

    def _row(self, value: bytes, names: Sequence[str]) -> Row:
        numbers, texts = self._told(value[STAMP : STAMP + LAYOUT])
        start = STAMP + LAYOUT
        end = start + 8 * len(numbers)
        known: dict[str, Any] = {
            n: None if v != v else v
            for n, v in zip(numbers, struct.unpack(f"<{len(numbers)}d", value[start:end]), strict=True)
        }
        if texts:
            known.update(zip(texts, orjson.loads(value[end:]), strict=True))
        return (int(value[: STAMP // 2]) - BEFORE_ALL, *map(known.get, names))

    def _told(self, layout: bytes) -> tuple[tuple[str, ...], tuple[str, ...]]:
        if layout not in self._layouts:
            told = self._reader.get(self._key("layout", layout.decode()))
            if told is None:
                raise self._empty()
            numbers, texts = orjson.loads(told)
            self._layouts[layout] = tuple(numbers), tuple(texts)
        return self._layouts[layout]


def _client(place: Place, seconds: float) -> Any:
    """A client that gives up after this long; a connection that was lost in between is opened again, once."""
    try:
        return redis.Redis.from_url(
            place.url,
            socket_timeout=seconds,
            socket_connect_timeout=seconds,
            retry=Retry(NoBackoff(), 1, supported_errors=(LostError,)),
            protocol=2,
            driver_info=None,
        )
    except ValueError:
        raise ConfigError(
            "redis.url is no address of a Redis: write for example redis://:${REDIS_PASSWORD}@127.0.0.1:6379/0"
        ) from None


def _why(error: RedisError) -> str:
    """The kind of an error; a message that the server itself sent is told, for it quotes no customer."""
    return str(error).partition("\n")[0] if isinstance(error, LostError) else type(error).__name__


def _pack(row: Sequence[Any], texts: Sequence[bool], layout: bytes) -> bytes:
    values = row[3:]
    numbers = [math.nan if v is None else v for v, text in zip(values, texts, strict=True) if not text]
    told = [v if isinstance(v, str) else None for v, text in zip(values, texts, strict=True) if text]
    stamp = f"{row[1] + BEFORE_ALL:016d}{row[2] + BEFORE_ALL:016d}".encode()
    return b"".join((stamp, layout, struct.pack(f"<{len(numbers)}d", *numbers), orjson.dumps(told) if told else b""))


def _chunks(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    held: list[Any] = []
    for item in items:
        held.append(item)
        if len(held) == size:
            yield held
            held = []
    if held:
        yield held


def _literally(text: str) -> str:
    """A text as a pattern that matches only itself."""
    return "".join(f"\\{c}" if c in "*?[]\\" else c for c in text)
