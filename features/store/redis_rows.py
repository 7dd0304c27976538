"""The online store in Redis: one value a customer and view, written only if nothing newer is there.

A value is 32 digits that tell the row's moment and how far the event log was read for it, eight characters that name
its layout, the numbers as doubles, and the texts as JSON. A layout says which features these are; a reader takes what
it asks for by name, so an old value stays readable when a feature is added. An index, sorted by moment, tells whose
row is newer or older than a moment. A script in the server compares and writes, so that two writers at once leave the
newer row. It names its keys itself: one server, with replicas or without, but no cluster.

A key says that all customers were put online. A server that was emptied lacks it, and reads then say so, where Feast
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
from contextlib import AbstractContextManager, contextmanager, nullcontext
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
MICROS_OFFSET = 5 * 10**15  # makes microseconds since 1970 positive: digits then compare as the numbers do
Row = tuple[Any, ...]

_WRITE = """
local prefix, tables, written = ARGV[1], tonumber(ARGV[2]), 0
for i = 3 + tables, #ARGV, 2 + tables do
  local id, as_of, newer = ARGV[i], ARGV[i + 1], false
  for t = 1, tables do
    local key, value = prefix .. ':' .. ARGV[2 + t] .. ':' .. id, ARGV[i + 1 + t]
    if redis.call('GETRANGE', key, 0, 31) <= string.sub(value, 1, 32) then
      redis.call('SET', key, value)
      written, newer = written + 1, true
    end
  end
  if newer then redis.call('ZADD', KEYS[1], 'GT', as_of, id) end
end
return written
"""
_DELETE_OLDER = """
local ids = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[2], 'LIMIT', 0, 1000)
for _, id in ipairs(ids) do
  for t = 3, #ARGV do redis.call('UNLINK', ARGV[1] .. ':' .. ARGV[t] .. ':' .. id) end
  redis.call('ZREM', KEYS[1], id)
end
return #ids
"""
_DELETE = """
local deleted = 0
for i = 4 + tonumber(ARGV[3]), #ARGV do
  local score = redis.call('ZSCORE', KEYS[1], ARGV[i])
  if score and (ARGV[2] == '' or tonumber(score) <= tonumber(ARGV[2])) then
    for t = 1, tonumber(ARGV[3]) do redis.call('UNLINK', ARGV[1] .. ':' .. ARGV[3 + t] .. ':' .. ARGV[i]) end
    deleted = deleted + redis.call('ZREM', KEYS[1], ARGV[i])
  end
end
return deleted
"""


@dataclass(frozen=True)
class RedisAddress:
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
    def label(self) -> str:
        """Where it is, without user and password."""
        parts = urlsplit(self.url)
        return f"redis at {parts.hostname or 'localhost'}:{parts.port or 6379}{parts.path}"


class RedisRows:
    """Rows of one workspace in one Redis; the same methods as `features.store.online_rows.SqliteRows`.

    Raises
    ------
    ConfigError
        The address is none of a Redis. From here.
    StoreError
        Redis does not answer in time, or refuses. From every method.
    NotReadyError
        Redis was emptied, or never filled. From `read` and `require_filled`.
    """

    def __init__(self, address: RedisAddress) -> None:
        self._address = address
        self._reader = _client(address, address.read_timeout_ms / 1000)
        self._writer = _client(address, address.write_timeout_seconds)
        self._layouts: dict[bytes, tuple[tuple[str, ...], tuple[str, ...]]] = {}
        self._down_until = -math.inf

    def create_table(self, table: str, names: Sequence[str]) -> None:
        """Nothing: a value names its own layout."""

    def drop_table(self, table: str) -> None:
        """Delete all rows of a table."""
        with self._store_errors():
            keys = self._writer.scan_iter(f"{_escape_pattern(self._key(table))}:*", count=1000)
            for some in _chunks(keys, 1000):
                self._writer.unlink(*some)

    def require_filled(self) -> None:
        """Raise unless all customers were put online since Redis was last empty."""
        with self._store_errors():
            if not self._reader.exists(self._key("filled")):
                raise self._emptied()

    def set_filled(self) -> None:
        """Say that all customers are online now."""
        with self._store_errors():
            self._writer.set(self._key("filled"), 1)

    def write(self, tables: dict[str, tuple[Sequence[str], Sequence[Sequence[Any]]]]) -> int:
        """Write rows into several tables, see `SqliteRows.write`; a customer's rows all or none.

        Calls go in one pipeline; one that is sent again after a lost connection changes nothing.
        """
        values = [self._values(names, rows) for names, rows in tables.values()]
        keys = [(row[0], row[1]) for row in next(iter(tables.values()))[1]]
        head = [self._address.prefix, len(tables), *tables]
        with self._store_errors():
            script = self._writer.register_script(_WRITE)
            pipe = self._writer.pipeline(transaction=False)
            for start in range(0, len(keys), CUSTOMERS_A_CALL):
                rows = zip(keys[start : start + CUSTOMERS_A_CALL], *(v[start:] for v in values), strict=False)
                arguments = [value for key, *packed in rows for value in (*key, *packed)]
                script(keys=[self._key("moments")], args=[*head, *arguments], client=pipe)
            return sum(pipe.execute())

    def read(self, table: str, names: Sequence[str], ids: Sequence[str]) -> dict[str, Row]:
        """Rows by customer: ``event_ts``, then the features asked; None for what the row does not know."""
        self._require_up()
        with self._store_errors():
            filled, *values = self._reader.mget([self._key("filled"), *(self._key(table, i) for i in ids)])
            if filled is None:
                raise self._emptied()
            return {i: self._unpack(value, names) for i, value in zip(ids, values, strict=True) if value is not None}

    def reading(self) -> AbstractContextManager[None]:
        """Nothing: whoever reads several tables compares the moments of their rows."""
        return nullcontext()

    def ids(self, table: str) -> Iterator[str]:
        """All customers who have a row, in the order of their ids, which are all held in memory."""
        self.require_filled()
        with self._store_errors():
            return iter(sorted(i.decode() for i in self._writer.zrange(self._key("moments"), 0, -1)))

    def moments(self) -> list[tuple[str, float]]:
        """Each customer and the moment of their row, the earliest first."""
        self.require_filled()
        with self._store_errors():
            found = self._writer.zrange(self._key("moments"), 0, -1, withscores=True)
        return [(i.decode(), moment) for i, moment in found]

    def newer_than(self, table: str, as_of: int) -> list[str]:
        """Customers whose row is of a later moment than this, in microseconds since 1970."""
        with self._store_errors():
            return sorted(i.decode() for i in self._writer.zrangebyscore(self._key("moments"), f"({as_of}", "+inf"))

    def drop_older_than(self, tables: Sequence[str], as_of: int) -> None:
        """Delete the rows of earlier moments than this."""
        with self._store_errors():
            script = self._writer.register_script(_DELETE_OLDER)
            while script(keys=[self._key("moments")], args=[self._address.prefix, f"({as_of}", *tables]):
                pass

    def delete(self, tables: Sequence[str], ids: Iterable[str], as_of: int) -> int:
        """Delete the rows of these customers, but those of later moments than this; how many customers had one."""
        return self._delete(tables, ids, str(as_of))

    def erase(self, tables: Sequence[str], ids: Iterable[str]) -> int:
        """Delete the rows of these customers, of whatever moment; how many customers had one."""
        return self._delete(tables, ids, "")

    def require_writable(self) -> None:
        """Raise if the server does not answer as soon as a read must be, or was emptied."""
        self._require_up()
        self.require_filled()

    def close(self) -> None:
        """Close the connections."""
        self._reader.close()
        self._writer.close()

    def _delete(self, tables: Sequence[str], ids: Iterable[str], as_of: str) -> int:
        head = [self._address.prefix, as_of, len(tables), *tables]
        with self._store_errors():
            script = self._writer.register_script(_DELETE)
            return sum(script(keys=[self._key("moments")], args=[*head, *some]) for some in _chunks(ids, 1000))

    def _require_up(self) -> None:
        if time.monotonic() < self._down_until:
            raise StoreError(f"{self._address.label} did not answer a moment ago: try again in a second")

    def _key(self, *parts: str) -> str:
        return ":".join((self._address.prefix, *parts))

    def _emptied(self) -> NotReadyError:
        return NotReadyError(
            f"{self._address.label} holds no features of this workspace, or was emptied: "
            "run `staycast features --again` to put all customers online"
        )

    @contextmanager
    def _store_errors(self) -> Iterator[None]:
        """Turn what the client raises into an error that says where, and remember that the server is down."""
        try:
            yield
        except RedisError as error:
            self._down_until = time.monotonic() + REST_SECONDS
            raise StoreError(
                f"{self._address.label} does not answer ({_reason(error)}): see that it runs and may be reached, "
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
        content = orjson.dumps([numbers, texts])
        name = hashlib.sha256(content).hexdigest()[:LAYOUT]
        with self._store_errors():
            self._writer.set(self._key("layout", name), content)
        return name.encode()

    def _unpack(self, value: bytes, names: Sequence[str]) -> Row:
        numbers, texts = self._layout_columns(value[STAMP : STAMP + LAYOUT])
        start = STAMP + LAYOUT
        end = start + 8 * len(numbers)
        known: dict[str, Any] = {
            n: None if v != v else v
            for n, v in zip(numbers, struct.unpack(f"<{len(numbers)}d", value[start:end]), strict=True)
        }
        if texts:
            known.update(zip(texts, orjson.loads(value[end:]), strict=True))
        return (int(value[: STAMP // 2]) - MICROS_OFFSET, *map(known.get, names))

    def _layout_columns(self, layout: bytes) -> tuple[tuple[str, ...], tuple[str, ...]]:
        if layout not in self._layouts:
            content = self._reader.get(self._key("layout", layout.decode()))
            if content is None:
                raise self._emptied()
            numbers, texts = orjson.loads(content)
            self._layouts[layout] = tuple(numbers), tuple(texts)
        return self._layouts[layout]


def _client(address: RedisAddress, seconds: float) -> Any:
    """A client that gives up after this long; a connection that was lost in between is opened again, once."""
    try:
        return redis.Redis.from_url(
            address.url,
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


def _reason(error: RedisError) -> str:
    """The kind of an error, or its message where the client itself wrote it: then it quotes no customer."""
    return str(error).partition("\n")[0] if isinstance(error, LostError) else type(error).__name__


def _pack(row: Sequence[Any], texts: Sequence[bool], layout: bytes) -> bytes:
    values = row[3:]
    numbers = [math.nan if v is None else v for v, text in zip(values, texts, strict=True) if not text]
    known_texts = [v if isinstance(v, str) else None for v, text in zip(values, texts, strict=True) if text]
    stamp = f"{row[1] + MICROS_OFFSET:016d}{row[2] + MICROS_OFFSET:016d}".encode()
    tail = orjson.dumps(known_texts) if known_texts else b""
    return b"".join((stamp, layout, struct.pack(f"<{len(numbers)}d", *numbers), tail))


def _chunks(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    batch: list[Any] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _escape_pattern(text: str) -> str:
    """A text as a pattern that matches only itself."""
    return "".join(f"\\{c}" if c in "*?[]\\" else c for c in text)
