"""What the checked tables rest on, as a short hash; nothing heavy is imported for it."""

from __future__ import annotations

from pathlib import Path

from configs.fingerprint import code_fingerprint, files_fingerprint, fingerprint
from configs.settings import Settings
from configs.variables import expand
from features.sources.loaders import loader


def ingest_fingerprint(settings: Settings) -> str:
    """A short hash of all that the checked tables depend on: source, settings and code."""
    rates = [Path(expand(settings.rates.file, "rates.file"))] if settings.rates.file else []
    source = loader(settings.source.loader).source_fingerprint(settings.source.options)
    return fingerprint(
        code_fingerprint("features"),
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
        settings.churn.ends,
    )
