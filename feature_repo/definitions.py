"""Feast's view of the features: one entity, one view a table, one service a model, looped from `features.schema`."""

from datetime import timedelta

from feast import Entity, FeatureService, FeatureView, Field, FileSource, ValueType
from feast.types import Float64, String

from features.schema import features_folder, load_schema

schema = load_schema(features_folder())
types = {"float64": Float64, "string": String}

customer = Entity(name="customer", join_keys=["customer_id"], value_type=ValueType.STRING, description="A customer.")

rows = FileSource(
    name="feature_rows",
    path=str(features_folder() / "rows.parquet"),
    timestamp_field="as_of",
    created_timestamp_column="known_at",
    description="One row per customer and as-of moment.",
)

views = [
    FeatureView(
        name=f"customer_{table}",
        entities=[customer],
        ttl=timedelta(days=3660),
        schema=[
            Field(name=f.name, dtype=types[f.dtype], description=f.doc) for f in schema.features if f.table == table
        ],
        source=rows,
        description=f"Features told from the table '{table}'.",
    )
    for table in dict.fromkeys(f.table for f in schema.features)
]

services = [
    FeatureService(name=name, features=views, description=description)
    for name, description in (("churn", "What the churn model reads."), ("clv", "What the value model reads."))
]
