"""Every answer that was served, on disk before it is sent: sealed, in a chain, and ready to be made again.

An answer that was sent survives a crash of the process and of the machine (`features.store.durable_file`), or of a
database server (`serving.records.postgres_store`). Several processes may write to one record. What is kept of a person
is sealed with a key of that person's own, whose destruction erases it (`serving.records.envelope`); entries name
persons at random, and the table that leads from an id there knows only a keyed hash of it. No entry can change unseen
(`serving.records.chain`).
"""

from __future__ import annotations

import hmac
import logging
import os
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import orjson
import pandas as pd
from cryptography.exceptions import InvalidTag

from configs.errors import ConfigError
from configs.settings import Records
from configs.workspace import Workspace
from features.store.timestamps import to_micros
from serving.records.chain import Entry, Link
from serving.records.checkpoints import Checkpoints
from serving.records.envelope import DataKey, MasterKeys, name_in, new_key
from serving.records.evidence import NOBODY, Asker, Context, EvidentAnswer, Record, pack, unpack
from serving.records.store import Person, RecordUnavailableError, SqliteStore, Store

BUSY_SECONDS = 5.0
NO_MODEL = ""  # in the log, whose column takes no null
TIMES = ("as_of", "scored_at")
NUMBERS = ("probability", "expected", "low", "high")
COLUMNS = (
    "prediction_id",
    "customer_id",
    "as_of",
    "scored_at",
    "probability",
    "expected",
    "low",
    "high",
    "tier",
    "band",
    "stage",
    "action",
    "churn_model",
    "clv_model",
    "targets",  # what was asked for, where not all was
)
PLAIN_COLUMNS = COLUMNS[:-1]  # of a log of an early version
FOLDER, MASTER_KEY = "records", "master.key"  # beside the log
SECRETS = ("pseudonyms", "own", "signing")
TRIES = 10
MOST_KEYS = 10_000  # kept unwrapped
Row = tuple[Any, ...]
logger = logging.getLogger(__name__)


def to_record(answer: dict[str, Any]) -> dict[str, Any]:
    """The columns of the log for one answer, see `COLUMNS`; times as datetimes, UTC."""
    churn, clv = answer["churn"] or {}, answer["clv"] or {}
    return {
        "prediction_id": answer["prediction_id"],
        "customer_id": answer["customer_id"],
        "as_of": datetime.fromisoformat(answer["as_of"]),
        "scored_at": datetime.fromisoformat(answer["scored_at"]),
        "probability": churn.get("probability"),
        "expected": clv.get("expected"),
        "low": clv.get("low"),
        "high": clv.get("high"),
        "tier": clv.get("tier"),
        "band": churn.get("band"),
        "stage": answer["stage"],
        "action": answer["action"]["code"],
        "churn_model": answer["model"]["churn"],
        "clv_model": answer["model"]["clv"],
        "targets": answer.get("targets"),
    }


class PredictionLog:
    """The log in its file or database. May be called from several threads.

    Parameters
    ----------
    path
        The file; it and its folder are made if they do not exist. What an earlier version kept there in the clear is
        sealed and chained at once.
    masters
        The master keys; None: of a file in the folder ``records`` beside.
    checkpoints
        Folder of the signed checkpoints; None: that folder.
    busy_seconds
        How long to wait for another who writes.
    clock
        Gives the present, UTC.
    database
        Address of the PostgreSQL database that takes the place of the file; None: the file does.
    may_be_away
        Whether a database that cannot be reached now is no error: each use tries again.

    Raises
    ------
    ConfigError
        The master key is not there; so from every method that seals or opens. Or the address cannot be used.
    RecordUnavailableError
        The database cannot be reached; so from every method.
    """

    def __init__(
        self,
        path: Path,
        masters: MasterKeys | None = None,
        checkpoints: Path | None = None,
        busy_seconds: float = BUSY_SECONDS,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        database: str | None = None,
        may_be_away: bool = False,
    ) -> None:
        folder = path.parent / FOLDER
        self.masters = masters or MasterKeys(folder / MASTER_KEY)
        self.store = _open_store(path, database)
        self._folder = checkpoints or folder
        self._clock = clock
        self._keys: dict[bytes, DataKey] = {}
        try:
            self._open(may_be_away)
            self.store.wait_at_most(busy_seconds)
        except BaseException:
            self.close()
            raise

    @classmethod
    def of(
        cls, workspace: Workspace, settings: Records, busy_seconds: float = BUSY_SECONDS, may_be_away: bool = False
    ) -> PredictionLog:
        """The log of a workspace, with keys and checkpoints where the settings say."""
        key = settings.master_key_file
        file = Path(key) if key else workspace.state / FOLDER / MASTER_KEY
        folder = Path(settings.checkpoints) if settings.checkpoints else None
        masters = MasterKeys(file, settings.master_key_variable or "")
        path, database = workspace.prediction_log, settings.database
        if database and path.exists():
            raise ConfigError(f"the record so far lies in '{path}': `staycast audit move` takes it to records.database")
        return cls(path, masters, folder, busy_seconds, database=database, may_be_away=may_be_away)

    @cached_property
    def checkpoints(self) -> Checkpoints:
        """The signed checkpoints; ConfigError if those of a database are of another record."""
        checkpoints = Checkpoints(self._folder, self._secrets["signing"])
        if isinstance(self.store, SqliteStore) or checkpoints.are_own:
            return checkpoints
        checkpoints.close()
        raise ConfigError(
            f"the checkpoints in '{self._folder}' are of another record than that of records.database: give its "
            "address, or this record a folder of its own (records.checkpoints)"
        )

    @cached_property
    def _own(self) -> DataKey:
        return DataKey(self._secrets["own"])

    @cached_property
    def _secrets(self) -> dict[str, bytes]:
        return self._open_secrets()

    def append(self, answers: Sequence[dict[str, Any]], askers: Sequence[Asker] | None = None) -> None:
        """Write answers, all or none; they are on disk when this returns.

        Parameters
        ----------
        answers
            As they are sent; an `EvidentAnswer` is kept with what it was made from.
        askers
            Who asked for each; None: nobody knows.

        Raises
        ------
        sqlite3.Error, RecordUnavailableError
            They could not be written.
        """
        rows = [_row(answer) for answer in answers]
        askers = askers or [NOBODY] * len(answers)
        evidence = [answer.evidence if isinstance(answer, EvidentAnswer) else None for answer in answers]
        contents = [pack(*parts) for parts in zip(answers, askers, evidence, strict=True)]
        contexts = [each.context if each else None for each in evidence]
        self._append_answers(rows, contents, contexts)

    def note_read(self, asker: Asker, what: str, prediction_id: str = "") -> None:
        """Keep who read what of the record; on disk when this returns.

        Raises
        ------
        sqlite3.Error, RecordUnavailableError
            It could not be written.
        """
        content = {"caller": asker.caller, "role": asker.role, "what": what, "prediction_id": prediction_id}
        self.note_event("read", content)

    def note_event(self, kind: str, about: dict[str, Any]) -> None:
        """Add an entry that is no answer, sealed with the record's own key; on disk when this returns."""
        with self.store.writing():
            last = self._chain([self._event(kind, about)])
        self.checkpoints.note(last, self._now())

    def read(
        self,
        start: datetime | None = None,
        end: datetime | None = None,
        customer_id: str | None = None,
        newest: int | None = None,
    ) -> pd.DataFrame:
        """Read answers back, oldest first.

        Parameters
        ----------
        start, end
            Scored in ``[start, end)``; None leaves a side open.
        customer_id
            Only this customer's; None: everybody's.
        newest
            So many at most, the newest of them; None: all. No other is decrypted.

        Returns
        -------
        pandas.DataFrame
            One row an answer, columns `COLUMNS`; ``probability`` is NaN and ``band`` None where the customer was
            none; what a value model says is NaN or None without one; ``targets`` are None where all were asked for.
            Of who was erased there is none.
        """
        person = None if customer_id is None else self.store.person_of(self._pseudonym(customer_id))
        if customer_id is not None and person is None:
            return _frame([])
        filters = {
            "at >= ?": None if start is None else to_micros(start),
            "at < ?": None if end is None else to_micros(end),
            "person = ?": person,
        }
        given = {condition: value for condition, value in filters.items() if value is not None}
        found = self.store.answers(given, newest)
        keys = self.store.keys() if person is None else {person: self.store.key_of(person)}
        wanted = {name for _, name, _ in found}
        ciphers = {name: self._cipher(key) for name, key in keys.items() if name in wanted and key is not None}
        rows = [
            orjson.loads(ciphers[name].open(summary, _about("answer", id_, "summary")))
            for id_, name, summary in found
            if name in ciphers
        ]
        return _frame(rows)

    def find(self, prediction_id: str) -> Record | None:
        """One answer with all that is kept of it; None if there is none, or its person was erased."""
        found = self.store.answer(prediction_id)
        wrapped = self.store.key_of(found[0]) if found else None
        if found is None or wrapped is None:
            return None
        _, summary, content, hash_, sealed = found
        cipher = self._cipher(wrapped)
        columns = orjson.loads(cipher.open(summary, _about("answer", prediction_id, "summary")))
        packed = cipher.open(content, _about("answer", prediction_id, "content"))
        context = Context.load(self._own.open(sealed, hash_)) if hash_ is not None and sealed is not None else None
        row = {str(name): value for name, value in _frame([columns]).iloc[0].items()}
        return unpack(prediction_id, row, packed, context) if packed else Record(prediction_id, row)

    def fault_in_person(self, pseudonym: bytes, wrapped: bytes, first: Entry) -> str:
        """Why a customer's first answer cannot be read by the row of that person; "" where it can."""
        try:
            row = self._cipher(wrapped).open(first.summary, _about("answer", first.id or "", "summary"))
        except (ConfigError, InvalidTag):
            return "cannot be read: its key was changed"
        customer_id = orjson.loads(row)[COLUMNS.index("customer_id")]
        return (
            "" if self._pseudonym(customer_id) == pseudonym else "is not found by its customer: the pseudonym changed"
        )

    def fault_in_context(self, hash_: bytes) -> str:
        """Why a context cannot be read; "" where it can."""
        sealed = self.store.context(hash_)
        if sealed is None:
            return "cannot be replayed: what it shares with others is gone"
        try:
            self._own.open(sealed, hash_)
        except InvalidTag:
            return "cannot be replayed: what it shares with others was changed"
        return ""

    def require_writable(self) -> None:
        """Write a little, to see whether an answer could be kept now.

        Raises
        ------
        sqlite3.Error, RecordUnavailableError
            It could not: the file is locked, the disk is full, or the database cannot be reached.
        """
        self._require_keys()
        with self.store.writing():
            self.store.probe()

    def erase(self, customer_ids: Iterable[str]) -> int:
        """Destroy the keys of persons: what is kept of them can be read by nobody any more; of how many answers.

        The chain stays whole, and says that it was done, not to whom.
        """
        pseudonyms = [self._pseudonym(i) for i in customer_ids]
        with self.store.writing():
            persons = {p: name for p, (name, _) in self.store.persons(pseudonyms).items()}
            answers = self.store.count_answers(persons.values())
            last = None
            if persons:
                self.store.remove_persons(persons)
                names = sorted(name.hex() for name in persons.values())
                last = self._chain([self._event("erased", {"answers": answers}, orjson.dumps(names))])
        self.store.overwrite_deleted()
        self._keys.clear()
        if last is not None:
            self._keep_checkpoint(last, "erased")
        return answers

    def close(self) -> None:
        """Close the files."""
        if "checkpoints" in self.__dict__:
            self.checkpoints.close()
        self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _append_answers(
        self, rows: Sequence[Row], contents: Sequence[bytes], contexts: Sequence[Context | None]
    ) -> None:
        """Seal outside of the transaction, and write if the persons are then as they were found; else again."""
        pseudonyms = [self._pseudonym(row[COLUMNS.index("customer_id")]) for row in rows]
        several = list(dict.fromkeys(pseudonyms))
        for _ in range(TRIES):
            with self.store.looking():
                found = self.store.persons(several)
                master = b"" if len(found) == len(several) else name_in(self.store.secrets()["own"])
            new = {p: self._new_person(master) for p in several if p not in found}
            persons = found | new
            entries = [
                self._answer(row, content, context, persons[pseudonym])
                for row, content, context, pseudonym in zip(rows, contents, contexts, pseudonyms, strict=True)
            ]
            with self.store.writing():
                if self.store.persons(several) != found or (new and name_in(self.store.secrets()["own"]) != master):
                    continue
                self._keep_contexts(contexts)
                if new:
                    self.store.add_persons(new)
                last = self._chain(entries)
            self.checkpoints.note(last, self._now())
            return
        raise RecordUnavailableError("the persons of these answers changed all the time")

    def _answer(self, row: Row, content: bytes, context: Context | None, person: Person) -> Entry:
        id_, (name, wrapped) = row[0], person
        cipher = self._cipher(wrapped)
        summary = cipher.seal(orjson.dumps(row), _about("answer", id_, "summary"))
        sealed = cipher.seal(content, _about("answer", id_, "content"))
        at = row[COLUMNS.index("scored_at")]
        return Entry("answer", at, id_, name, context.hash if context else None, summary, sealed)

    def _keep_contexts(self, contexts: Iterable[Context | None]) -> None:
        for context in {c.hash: c for c in contexts if c is not None}.values():
            if not self.store.has_context(context.hash):
                self.store.add_context(context.hash, self._own.seal(context.content, context.hash))

    def _event(self, kind: str, about: dict[str, Any], content: bytes = b"") -> Entry:
        """An entry that is no answer: what it is about is sealed with the record's own key, its content open."""
        summary = self._own.seal(orjson.dumps(about), _about(kind, "", "summary"))
        return Entry(kind, self._now(), None, b"", None, summary, content)

    def _chain(self, entries: Sequence[Entry]) -> Link:
        """Write entries behind the last one; for the body of a transaction."""
        last, chained = self.store.end(), []
        for entry in entries:
            chained.append(entry.after(last.position, last.hash))
            last = Link(chained[-1].position, chained[-1].hash)
        self.store.insert(chained)
        return last

    def _keep_checkpoint(self, last: Link, why: str) -> None:
        self.checkpoints.add(last, self._now(), why)
        self.checkpoints.note(last, self._now())

    def _pseudonym(self, customer_id: str) -> bytes:
        return hmac.digest(self._secrets["pseudonyms"], customer_id.encode(), "sha256")

    def _cipher(self, wrapped: bytes) -> DataKey:
        cipher = self._keys.get(wrapped)
        if cipher is None:
            if len(self._keys) >= MOST_KEYS:
                self._keys.clear()
            cipher = self._keys[wrapped] = DataKey(self.masters.unwrap(wrapped))
        return cipher

    def _now(self) -> int:
        return to_micros(self._clock())

    def _open(self, may_be_away: bool) -> None:
        try:
            self.store.open()
            self._require_keys()
        except RecordUnavailableError as error:
            if not may_be_away:
                raise
            logger.error("%s", error)
        else:
            self._seal_plain_answers()

    def _require_keys(self) -> None:
        """The keys of the record itself are there, and the files of its checkpoints."""
        self.checkpoints  # noqa: B018 - read at its first use

    def _open_secrets(self) -> dict[str, bytes]:
        """The keys of the record itself; made where it is new."""
        with self.store.looking():
            secrets = self.store.secrets()
        if not secrets:
            self.masters.create()
            name = self.masters.newest
            with self.store.writing():
                secrets = self.store.secrets()
                if not secrets:
                    secrets = {secret: self.masters.wrap(new_key(), name) for secret in SECRETS}
                    self.store.add_secrets(secrets)
        return {secret: self.masters.unwrap(wrapped) for secret, wrapped in secrets.items()}

    def _seal_plain_answers(self) -> None:
        """Take over what an earlier version kept: each row once, whoever else opens the file meanwhile."""
        with self.store.looking():
            if not self.store.has_plain_answers():
                return
        with self.store.writing():
            rows = self.store.plain_answers(PLAIN_COLUMNS) if self.store.has_plain_answers() else []
            if rows:
                last = self._chain(self._sealed(rows))
            if self.store.has_plain_answers():
                self.store.drop_plain_answers()
        self.store.overwrite_deleted()
        if rows:
            self._keep_checkpoint(last, "sealed")

    def _sealed(self, rows: Sequence[Row]) -> list[Entry]:
        """Entries of rows that an earlier version kept; for the body of a transaction."""
        pseudonyms = [self._pseudonym(row[COLUMNS.index("customer_id")]) for row in rows]
        several = list(dict.fromkeys(pseudonyms))
        known, master = self.store.persons(several), name_in(self.store.secrets()["own"])
        new = {p: self._new_person(master) for p in several if p not in known}
        self.store.add_persons(new)
        persons = known | new
        return [self._answer(row, b"", None, persons[p]) for row, p in zip(rows, pseudonyms, strict=True)]

    def _new_person(self, master: bytes) -> Person:
        return os.urandom(16), self.masters.wrap(new_key(), master)


def _open_store(path: Path, database: str | None) -> Store:
    """The tables where they lie; the driver of a database is asked for only where there is one."""
    if database is None:
        return SqliteStore(path)
    try:
        from serving.records.postgres_store import PostgresStore
    except ImportError as error:
        raise ConfigError(f"records.database needs a driver that is not installed: {error}") from None
    return PostgresStore(database)


def _about(kind: str, id_: str, part: str) -> bytes:
    return f"{kind} {id_} {part}".encode()


def _row(answer: dict[str, Any]) -> Row:
    """The columns of an answer as the log keeps them."""
    record = to_record(answer)
    times = {c: to_micros(record[c]) for c in TIMES}
    row = tuple({**record, **times, "churn_model": record["churn_model"] or NO_MODEL}.values())
    return row if record["targets"] is not None else row[: len(PLAIN_COLUMNS)]  # which the version before reads, too


def _frame(rows: Sequence[Row]) -> pd.DataFrame:
    whole = [(*row, *[None] * (len(COLUMNS) - len(row))) for row in rows]  # early versions kept fewer columns
    frame = pd.DataFrame(whole, columns=list(COLUMNS))
    times = {
        c: pd.to_datetime(frame[c].astype("int64"), unit="us", utc=True).astype("datetime64[us, UTC]") for c in TIMES
    }
    return frame.assign(**times).astype(dict.fromkeys(NUMBERS, "float64"))
