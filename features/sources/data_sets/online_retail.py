"""Online Retail (UCI data set 352): a British wholesaler of gifts, 2010-12-01 to 2011-12-09, to the minute.

    source:
      loader: online_retail
      options: {path: "${STAYCAST_DATA}/online_retail.parquet", sha256: ...}

The file holds invoice lines: InvoiceNo, StockCode, Description, Quantity, InvoiceDate, UnitPrice, CustomerID, Country;
as parquet, or as CSV with the same names. The lines of one invoice become one order; every line is in an order or in
quarantine, and the report counts lines:

- ``amount`` is the sum of quantity x price. A cancellation (InvoiceNo C...) or a return has negative quantities, so it
  is an order with a negative amount. Postage, discounts and corrections by hand are money between shop and customer,
  too, and count. A line that stands twice on an invoice is two lines: nothing tells a mistake from a second piece.
- A line without CustomerID (a quarter of them) belongs to nobody and goes to quarantine.
- A line with a price of 0 (samples, write-offs, counts of the stock) is no sale and goes to quarantine.
- A customer is known from the first invoice on, and has the country of that invoice.

Times are told by the shop's clock and become UTC.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import duckdb

from configs.errors import DataError
from configs.fingerprint import files_fingerprint, fingerprint
from features.sources.data_sets.options import known_file
from features.sql import connect_duckdb, quote_literal
from features.tables import REASON, SOURCE_GRAIN, SOURCE_ROWS

if TYPE_CHECKING:
    import pandas as pd

ZONE = "Europe/London"
NEEDED = ("InvoiceNo", "StockCode", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country")
NO_CUSTOMER = "customer_id: is empty, the invoice names no customer"
NO_PRICE = "amount: is not the value of a sale, the price is 0"
LINES = f"""
    create temp view lines as
    select cast(InvoiceNo as varchar) as invoice, cast(cast(CustomerID as double) as bigint) as customer,
           cast(InvoiceDate as timestamp) at time zone '{ZONE}' at time zone 'UTC' as placed,
           cast(Quantity as bigint) as quantity, cast(UnitPrice as double) as price,
           cast(StockCode as varchar) as product, cast(Country as varchar) as country,
           nullif(concat_ws('; ', case when CustomerID is null or trim(cast(CustomerID as varchar)) = ''
                                       then '{NO_CUSTOMER}' end,
                                  case when cast(UnitPrice as double) = 0 then '{NO_PRICE}' end), '') as reason
    from {{source}}
"""
ORDERS = f"""
    select invoice as order_id, cast(customer as varchar) as customer_id, min(placed) as ordered_at,
           round(sum(quantity * price), 3) as amount, cast(sum(quantity) as double) as quantity,
           null::varchar as product, null::varchar as {REASON}, count(*) as {SOURCE_ROWS}
    from lines where reason is null group by invoice, customer
    union all
    select invoice, cast(customer as varchar), placed, round(quantity * price, 3), cast(quantity as double),
           product, reason, 1
    from lines where reason is not null
    order by ordered_at, order_id, customer_id, product
"""
CUSTOMERS = """
    select cast(customer as varchar) as customer_id, min(placed) as signed_up_at,
           arg_min(country, (placed, invoice)) as country
    from lines where customer is not null group by customer order by customer
"""


def load(options: dict[str, Any]) -> dict[str, pd.DataFrame]:
    """Read customers and orders from the file of invoice lines; lines that are in no order come with a reason.

    Raises
    ------
    ConfigError, DataError
        See `features.sources.data_sets.options.known_file`; also where the file lacks a column or cannot be read.
    """
    path = known_file(options)
    reader = "read_parquet({})" if path.suffix == ".parquet" else "read_csv({}, all_varchar = true, parallel = false)"
    source = reader.format(quote_literal(str(path)))
    with connect_duckdb() as connection:
        try:
            columns = connection.sql(f"select * from {source} limit 0").columns
            missing = [name for name in NEEDED if name not in columns]
            if missing:
                raise DataError(
                    f"'{path}' is not Online Retail: it lacks {', '.join(missing)}; it has {', '.join(columns)}"
                )
            connection.execute(LINES.format(source=source))
            orders = connection.sql(ORDERS).df()
            orders.attrs[SOURCE_GRAIN] = "invoice line"
            return {"customers": connection.sql(CUSTOMERS).df(), "orders": orders}
        except duckdb.Error as error:
            raise DataError(f"cannot read '{path}' as Online Retail: {error}") from None


def source_fingerprint(options: dict[str, Any]) -> str:
    """Hash of the file."""
    return fingerprint("online_retail", files_fingerprint([known_file(options)]))
