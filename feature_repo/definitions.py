"""Feast's view of the features: one entity, one view a table, one service a model, looped from `features.schema`."""

from datetime import timedelta
from pathlib import Path

from feast import Entity, FeatureService, FeatureView, Field, FileSource, ValueType
from feast.types import Float64, String

from features.schema import features_folder, load_schema

TYPES = {"float64": Float64, "string": String}
SERVICES = {"churn": "What the churn model reads.", "clv": "What the value model reads."}


def definitions(features: Path) -> dict[str, Entity | FeatureView | FeatureService]:
    """What Feast registers of a workspace, by name: the entity, then the views, then the services.

    Parameters
    ----------
    features
        The folder of its feature rows, as a whole path.

    Raises
    ------
    NotReadyError
        No features were built yet.
    """
    schema = load_schema(features)
    customer = Entity(
        name="customer", join_keys=["customer_id"], value_type=ValueType.STRING, description="A customer."
    )
    rows = FileSource(
        name="feature_rows",
        path=str(features / "rows.parquet"),
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
                Field(name=f.name, dtype=TYPES[f.dtype], description=f.doc) for f in schema.features if f.table == table
            ],
            source=rows,
            description=f"Features told from the table '{table}'.",
        )
        for table in dict.fromkeys(f.table for f in schema.features)
    ]
    services = [FeatureService(name=n, features=views, description=text) for n, text in SERVICES.items()]
    return {one.name: one for one in (customer, *views, *services)}


if __name__ == "definitions":  # imported by Feast's command line, which registers what stands in the module
    globals().update(definitions(features_folder()))
