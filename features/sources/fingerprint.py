"""What the checked tables rest on, as a short hash; nothing heavy is imported for it."""

from __future__ import annotations

from pathlib import Path

from configs.fingerprint import files_fingerprint, fingerprint
from configs.settings import Settings
from configs.variables import expand
from features.sources.loaders import loader

CODE_VERSION = 2


def ingest_fingerprint(settings: Settings) -> str:
    """A short hash of all that the checked tables depend on."""
    rates = [Path(expand(settings.rates.file, "rates.file"))] if settings.rates.file else []
    source = loader(settings.source.loader).source_fingerprint(settings.source.options)
    return fingerprint(
        CODE_VERSION,
        source,
        settings.source.customers_from,
        settings.currency,
        settings.rates,
        files_fingerprint([path for path in rates if path.is_file()]),
        settings.columns,
        settings.quality,
        settings.time_zone,
        settings.data_until,
        settings.churn.kind,
    )
