"""What the verbs import, imported once: processes forked from one that has it begin with their work at once."""

from __future__ import annotations

import gc
import importlib

from training.registry.runs import load_mlflow

MODULES = """staycast cli.screens.overview features.store.feature_store features.sufficiency ibis.backends.duckdb
    mlflow.pyfunc mlflow.store.model_registry.sqlalchemy_store mlflow.store.tracking.sqlalchemy_store monitoring.run
    serving.bulk.run serving.erasure training.model.trees.kernel training.run"""

load_mlflow()
for name in MODULES.split():
    importlib.import_module(name)
gc.collect()
gc.freeze()  # children need not look through it
gc.set_threshold(20_000, 20, 20)
