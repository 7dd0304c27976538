from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from serving.release import observations
from serving.release.observations import Observations, ShadowScore, bucket, quantile_ms


def test_counts_of_several_processes_and_times_add_up(tmp_path: Path) -> None:
    path = tmp_path / "releases.db"
    with Observations(path) as one, Observations(path) as other, ThreadPoolExecutor(4) as pool:
        added = [
            pool.submit(each.add, {("r", "canary", "calls"): 2, ("s", "canary", "calls"): 1}, [])
            for each in (one, other) * 10
        ]
        assert all(each.result() is None for each in added)
        other.add({("r", "champion", "errors"): 3}, [])
    with Observations(path) as later:
        assert later.counts("r") == {"canary": Counter(calls=40), "champion": Counter(errors=3)}
        assert later.counts("none") == {}


@pytest.mark.parametrize("share", [0.5, 0.95, 0.99])
def test_a_quantile_is_that_of_the_times_and_at_most_nine_percent_longer(share: float) -> None:
    seconds = np.random.default_rng(1).lognormal(-5, 1, 5000)
    counts = Counter(bucket(each) for each in seconds)
    exact = float(np.quantile(seconds, share, method="inverted_cdf")) * 1000
    assert exact <= quantile_ms(counts, share) <= exact * 1.0906
    assert quantile_ms({"errors": 3}, share) is None


def test_of_a_shadow_the_newest_scores_are_kept_without_a_customer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observations, "MOST_SCORES", 3)
    with Observations(tmp_path / "releases.db") as opened:
        opened.add({}, [ShadowScore("r", f"id{n}", n / 10, n / 20) for n in range(5)])
        opened.add({}, [ShadowScore("other", "x", 0.5, 0.5)])
        kept = opened.scores("r")
    assert kept["prediction_id"].tolist() == ["id2", "id3", "id4"]
    assert kept["champion"].tolist() == [0.2, 0.3, 0.4] and kept["shadow"].tolist() == [0.1, 0.15, 0.2]
