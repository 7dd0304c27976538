"""CDNOW: the customers of an online music shop who first bought in the first quarter of 1997, to June 1998, to the day.

    source:
      loader: cdnow
      options: {path: "${STAYCAST_DATA}/CDNOW_master.txt", sha256: ...}

Both well-known files are read: the master (customer, date, CDs, dollars a line) and its one-in-ten sample (master id,
sample id, date, CDs, dollars). Each line is one order; several of one customer on one day stay several. A customer is
known from the first order on.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.errors import DataError
from configs.fingerprint import files_fingerprint, fingerprint
from features.sources.data_sets.options import known_file

if TYPE_CHECKING:
    import pandas as pd

MASTER = ("customer_id", "ordered_at", "quantity", "amount")
SAMPLE = ("customer_id", "sample_id", "ordered_at", "quantity", "amount")


def load(options: dict[str, Any]) -> dict[str, pd.DataFrame]:
    """Read customers and orders from the master or the sample file.

    Values stay text, so that the check of the table can say what is wrong with a line.

    Raises
    ------
    ConfigError, DataError
        See `features.sources.data_sets.options.known_file`; also where a line has neither four nor five fields.
    """
    import pandas as pd

    path = known_file(options)
    lines = _lines(path)
    width = len(lines[0])
    odd = next((n for n, line in enumerate(lines) if len(line) != width), None)
    if width not in (len(MASTER), len(SAMPLE)) or odd is not None:
        raise DataError(f"'{path}' is not CDNOW: expected lines of 4 or 5 fields, got {' '.join(lines[odd or 0])!r}")
    orders = pd.DataFrame(lines, columns=list(MASTER if width == len(MASTER) else SAMPLE))
    again = orders.groupby(["customer_id", "ordered_at"]).cumcount() + 1
    order_id = orders["customer_id"] + "-" + orders["ordered_at"] + "-" + again.astype(str)
    days = pd.to_datetime(orders["ordered_at"], format="%Y%m%d", errors="coerce").dt.strftime("%Y-%m-%d")
    orders = orders.assign(order_id=order_id, ordered_at=days.fillna(orders["ordered_at"]))
    customers = orders.groupby("customer_id", as_index=False).agg(signed_up_at=("ordered_at", "min"))
    return {"customers": customers, "orders": orders[["order_id", *MASTER]]}


def source_fingerprint(options: dict[str, Any]) -> str:
    """Hash of the file."""
    return fingerprint("cdnow", files_fingerprint([known_file(options)]))


def _lines(path: Path) -> list[list[str]]:
    """Fields of every line that is not blank; the first may be a header."""
    lines = [fields for line in path.read_text("latin-1").splitlines() if (fields := line.split())]
    if not lines:
        raise DataError(f"'{path}' is empty; fetch it again")
    return lines if lines[0][0].isdigit() else lines[1:]
