"""What the checked tables rest on, as a short hash; nothing heavy is imported for it."""

from __future__ import annotations

from configs.fingerprint import fingerprint
from configs.settings import Settings
from features.sources.loaders import loader

CODE_VERSION = 2


def ingest_fingerprint(settings: Settings) -> str:
    """A short hash of all that the checked tables depend on."""
    source = loader(settings.source.loader).source_fingerprint(settings.source.options)
    return fingerprint(
        CODE_VERSION,
        source,
        settings.source.customers_from,
        settings.columns,
        settings.quality,
        settings.time_zone,
        settings.data_until,
        settings.churn.kind,
    )
