"""Feast's view of the features: one entity, one view a table, one service a model, looped from `features.schema`."""

from datetime import timedelta
from pathlib import Path

from feast import Entity, FeatureService, FeatureView, Field, FileSource, ValueType
from feast.types import Float64, String

from features.schema import features_folder, load_schema

TYPES = {"float64": Float64, "string": String}
SERVICES = {"churn": "What the churn model reads.", "clv": "What the value model reads."}


def definitions(folder: Path) -> dict[str, Entity | FeatureView | FeatureService]:
    """What Feast registers of a workspace, by name: the entity, then the views, then the services.

    Parameters
    ----------
    folder
        The folder of its feature rows, as a whole path.

    Raises
    ------
    NotReadyError
        No features were built yet.
    """
    schema = load_schema(folder)
    features = {f.name: f for f in schema.features}
    customer = Entity(
        name="customer", join_keys=["customer_id"], value_type=ValueType.STRING, description="A customer."
    )
    rows = FileSource(
        name="feature_rows",
        path=str(folder / "rows.parquet"),
        timestamp_field="as_of",
        created_timestamp_column="known_at",
        description="One row per customer and as-of moment.",
    )
    views = [
        FeatureView(
            name=view,
            entities=[customer],
            ttl=timedelta(days=3660),
            schema=[Field(name=n, dtype=TYPES[features[n].dtype], description=features[n].doc) for n in names],
            source=rows,
            description=f"Features told from the table '{features[names[0]].table}'.",
        )
        for view, names in schema.views.items()
    ]
    services = [FeatureService(name=n, features=views, description=text) for n, text in SERVICES.items()]
    return {one.name: one for one in (customer, *views, *services)}


if __name__ == "definitions":  # imported by Feast's command line, which registers what stands in the module
    globals().update(definitions(features_folder()))
