from __future__ import annotations

from types import SimpleNamespace

import pandas as pd
import pytest

from configs.errors import RegistryError
from configs.settings import Settings
from configs.workspace import Workspace
from monitoring import run
from monitoring.run import monitor


def test_without_a_champion_there_is_nothing_to_watch(few: Settings, fresh: Workspace) -> None:
    with pytest.raises(RegistryError, match="run `staycast train`"):
        monitor(few, fresh)
    assert not fresh.reports.joinpath("churn").exists()


class MeasuredError(Exception):
    pass


@pytest.mark.parametrize(
    ("learned_until", "rows"),
    [("2024-02-02", {"as_of": [pd.Timestamp("2024-02-01")]}), ("2024-02-02", {"customer_part": [0]})],
)
def test_groups_are_compared_on_customers_whose_outcomes_the_model_had_not_seen_alone(
    learned_until: str, rows: dict, settings: Settings, fresh: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forecast(*given: object) -> None:
        raise MeasuredError

    held_out = pd.DataFrame({"as_of": [pd.Timestamp("2024-02-01")], **rows})
    seen = SimpleNamespace(info={"holdout": None}, learned_until=pd.Timestamp(learned_until))
    monkeypatch.setattr(run, "holdout", lambda *given: (held_out, held_out))
    monkeypatch.setattr(run, "forecast", forecast)
    business = settings.model_copy(
        update={"columns": settings.columns.model_copy(update={"sensitive": ("age_group",)})}
    )
    monkeypatch.setattr(run.model_registry, "bundles", lambda *given: (None, seen))
    assert run._fairness("churn", "1", business, fresh) is None
    unseen = SimpleNamespace(info={"holdout": None}, learned_until=pd.Timestamp("2024-02-01"))
    monkeypatch.setattr(run.model_registry, "bundles", lambda *given: (seen, unseen))
    with pytest.raises(MeasuredError):
        run._fairness("churn", "1", business, fresh)
