"""Folds: later judges earlier, and no outcome is used before it was known; without dates, a seeded lot by label."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs.errors import NotEnoughDataError
from configs.settings import Settings
from configs.workspace import Workspace
from features.schema import Feature, FeatureSchema
from training.data import task_rows
from training.data.dataset import Dataset
from training.data.split import HOLDOUT, Fold, customer_parts, matured, plan_as_ofs, plan_customers, rolling_origin


def months(first, n):
    return list(pd.date_range(first, periods=n, freq="MS", tz="UTC").as_unit("us"))


def day(text):
    return pd.Timestamp(text, tz="UTC")


def test_fold_trains_on_moments_whose_thirty_days_have_ended():
    fold = rolling_origin(months("2017-01-01", 5), horizon_days=30, n_folds=1)[0]
    assert fold == Fold(train=tuple(months("2017-01-01", 4)), valid=day("2017-05-01"))


def test_label_window_that_ends_at_the_moment_has_ended_and_one_day_later_has_not():
    assert matured([day("2017-02-01")], 28, by=day("2017-03-01")) == (day("2017-02-01"),)
    assert matured([day("2017-02-01")], 29, by=day("2017-03-01")) == ()


def test_folds_are_the_newest_and_come_oldest_first():
    folds = rolling_origin(months("2017-01-01", 8), horizon_days=30, n_folds=3)
    assert [f.valid.month for f in folds] == [6, 7, 8]
    assert [len(f.train) for f in folds] == [5, 6, 7]


def test_short_history_gives_fewer_folds():
    folds = rolling_origin(months("2017-01-01", 6), horizon_days=90, n_folds=3)
    assert [(f.valid.month, len(f.train)) for f in folds] == [(4, 1), (5, 1), (6, 3)]
    assert len(rolling_origin(months("2017-01-01", 4), horizon_days=90, n_folds=3)) == 1


def test_order_and_repetition_of_the_moments_do_not_matter():
    as_ofs = months("2017-01-01", 6)
    assert rolling_origin([*as_ofs[::-1], as_ofs[2]], 30, 3) == rolling_origin(as_ofs, 30, 3)


def test_plan_of_a_year_with_a_horizon_of_ninety_days():
    built = plan_as_ofs(months("2017-02-01", 9), horizon_days=90, holdout_as_ofs=1, n_folds=3)
    assert [a.month for a in built.holdout] == [10]
    assert [a.month for a in built.train_for_holdout] == [2, 3, 4, 5, 6, 7]
    assert [(f.valid.month, [a.month for a in f.train]) for f in built.folds] == [(6, [2, 3]), (7, [2, 3, 4])]
    assert len(built.final) == 9


def test_february_is_not_matured_in_march_when_the_horizon_is_thirty_days():
    built = plan_as_ofs(months("2017-01-01", 3), horizon_days=28, holdout_as_ofs=1, n_folds=1)
    assert [a.month for a in built.train_for_holdout] == [1, 2]
    with pytest.raises(NotEnoughDataError):
        plan_as_ofs(months("2017-02-01", 2), horizon_days=30, holdout_as_ofs=1, n_folds=1)


@given(n=st.integers(2, 30), horizon=st.integers(1, 200), holdout=st.integers(1, 4), folds=st.integers(1, 6))
def test_no_outcome_is_used_before_it_was_known(n, horizon, holdout, folds):
    as_ofs, horizon_ = months("2015-01-01", n), pd.Timedelta(days=horizon)
    try:
        built = plan_as_ofs(as_ofs, horizon, holdout, folds)
    except NotEnoughDataError:
        return
    assert all(a + horizon_ <= built.holdout[0] for a in built.train_for_holdout)
    assert len(built.folds) <= folds and 1 <= len(built.holdout) <= holdout
    for fold in built.folds:
        assert fold.train and all(a + horizon_ <= fold.valid for a in fold.train)
        assert fold.valid in built.train_for_holdout and set(fold.train) < set(built.train_for_holdout)
    assert built.final == tuple(as_ofs)


def test_a_short_history_holds_out_fewer_moments_rather_than_leave_no_fold() -> None:
    built = plan_as_ofs(months("2017-01-01", 7), horizon_days=90, holdout_as_ofs=2, n_folds=3)
    assert [len(built.holdout), len(built.folds)] == [1, 1]
    assert len(plan_as_ofs(months("2017-01-01", 8), horizon_days=90, holdout_as_ofs=2, n_folds=3).holdout) == 2


def test_a_history_too_short_for_any_fold_still_holds_out_all_that_it_can() -> None:
    built = plan_as_ofs(months("2017-01-01", 5), horizon_days=90, holdout_as_ofs=2, n_folds=3)
    assert [len(built.holdout), len(built.train_for_holdout), built.folds] == [2, 1, ()]


@settings(max_examples=12)
@given(horizon=st.integers(7, 365), holdout=st.integers(1, 3), folds=st.integers(1, 5))
def test_more_history_never_leaves_a_plan_with_less(horizon: int, holdout: int, folds: int) -> None:
    before = (False, 0, 0, 0)
    for n in range(1, 61):
        try:
            plan = plan_as_ofs(months("2015-01-01", n), horizon, holdout, folds)
        except NotEnoughDataError:
            assert not before[0]
            continue
        now = (True, bool(plan.folds), len(plan.holdout) if plan.folds else 0, len(plan.folds))
        assert now[:3] >= before[:3]
        before = now


@pytest.mark.parametrize(
    ("n", "horizon", "holdout", "said"),
    [
        (0, 30, 1, "found no labelled moment"),
        (1, 30, 2, "found one labelled moment (2017-01-01)"),
        (3, 90, 1, "two labelled moments at least 90 days apart"),
        (3, 90, 1, "found 3 labelled moments (2017-01-01 to 2017-03-01)"),
    ],
)
def test_too_short_a_history_is_refused_with_what_is_needed_found_and_to_do(n, horizon, holdout, said):
    with pytest.raises(NotEnoughDataError) as caught:
        plan_as_ofs(months("2017-01-01", n), horizon, holdout, n_folds=3)
    assert said in str(caught.value) and "longer history" in str(caught.value)


IDS = [f"c{i}" for i in range(2000)]
Y = (np.arange(2000) % 4 == 0).astype(float)


def test_every_fold_has_as_many_of_each_label_up_to_one() -> None:
    parts = customer_parts(IDS, Y, 0.2, 5, seed=1)
    for label in (0.0, 1.0):
        counts = np.bincount(parts[(label == Y) & (parts != HOLDOUT)], minlength=6)[1:]
        assert counts.max() - counts.min() <= 1
    assert (parts == HOLDOUT).mean() == pytest.approx(0.2, abs=0.04)


def test_who_is_held_out_does_not_hang_on_the_other_customers_nor_on_the_label() -> None:
    parts = customer_parts(IDS, Y, 0.2, 5, seed=1)
    half = customer_parts(IDS[::2], 1 - Y[::2], 0.2, 3, seed=1)
    np.testing.assert_array_equal(parts[::2] == HOLDOUT, half == HOLDOUT)


def test_the_seed_settles_the_parts() -> None:
    first, again, other = (customer_parts(IDS, Y, 0.2, 5, seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_rows_of_a_group_share_one_part_and_other_rows_keep_theirs() -> None:
    groups = np.arange(2000)
    groups[1000:1200] = groups[:200]
    numbers = np.unique(groups, return_inverse=True)[1]
    parts = customer_parts(IDS, Y, 0.2, 5, seed=1, groups=numbers)
    np.testing.assert_array_equal(parts[1000:1200], parts[:200])
    alone = customer_parts(IDS, Y, 0.2, 5, seed=1)
    np.testing.assert_array_equal((parts == HOLDOUT)[1200:], (alone == HOLDOUT)[1200:])
    np.testing.assert_array_equal(customer_parts(IDS, Y, 0.2, 5, seed=1, groups=np.arange(2000)), alone)
    assert np.bincount(parts, minlength=6).min() > 200


def test_no_part_both_teaches_and_judges() -> None:
    plan = plan_customers(4)
    assert plan.holdout == (HOLDOUT,) and HOLDOUT not in plan.train_for_holdout
    assert [f.valid for f in plan.folds] == [1, 2, 3, 4]
    assert all(f.valid not in f.train and HOLDOUT not in f.train for f in plan.folds)
    assert set(plan.final) == {HOLDOUT, 1, 2, 3, 4}


def test_twins_of_a_table_without_dates_are_parted_by_nobody(
    settings: Settings, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    n, columns = 300, [f"n{k}" for k in range(6)]
    values = np.random.default_rng(1).normal(size=(n, 6))
    frame = pd.DataFrame(np.concatenate([values, values]), columns=columns)
    frame = frame.assign(customer_id=[f"c{i}" for i in range(2 * n)], as_of=pd.Timestamp("2024-01-01"), label=0.0)
    schema = FeatureSchema(tuple(Feature(name, "profiles", "float64", "") for name in columns))
    monkeypatch.setattr(task_rows, "load", lambda workspace, task: Dataset("churn", frame, schema, "x"))
    ready = settings.model_copy(update={"churn": settings.churn.model_copy(update={"kind": "label"})})
    parts = task_rows.labelled(ready, workspace, "churn").frame["part"].to_numpy()
    np.testing.assert_array_equal(parts[:n], parts[n:])
    assert len(np.unique(parts)) > 2


def customers_each_month(n_customers: int, n_months: int) -> Dataset:
    keys = [(f"c{i}", as_of) for as_of in months("2022-01-01", n_months) for i in range(n_customers)]
    frame = pd.DataFrame(keys, columns=["customer_id", "as_of"]).assign(label=1.0)
    return Dataset("clv", frame, FeatureSchema(()), "x")


def of_horizon(settings: Settings, days: int) -> Settings:
    return settings.model_copy(update={"clv": settings.clv.model_copy(update={"horizon_days": days})})


@pytest.mark.parametrize(("n_months", "days"), [(1, 30), (3, 90), (11, 350)])
def test_where_no_later_moment_can_judge_customers_do_at_the_newest_and_nobody_is_on_both_sides(
    n_months: int, days: int, settings: Settings
) -> None:
    business = of_horizon(settings, days)
    data = task_rows.parted_by_customer(customers_each_month(60, n_months), business)
    plan = task_rows.plan_of(data, business)
    judging, learned = data.at(plan.holdout), data.at(plan.train_for_holdout)
    assert set(judging["as_of"]) == {data.as_ofs[-1]} == {plan.begins} and learned["as_of"].max() <= plan.begins
    assert len(judging) > 0 and not set(judging["customer_id"]) & set(learned["customer_id"])
    assert len(data.at(plan.final)) == len(data.frame) and set(learned["as_of"]) == set(data.as_ofs)
    for fold in plan.folds:
        taught, judged = data.at(fold.train), data.at([fold.valid])
        assert not set(taught["customer_id"]) & set(judged["customer_id"])
        assert not {*taught["customer_id"], *judged["customer_id"]} & set(judging["customer_id"])
    assert "customers held out at the newest one judged it" in task_rows.shortened(plan, data, business)[0]


def test_who_is_held_out_stays_held_out_when_a_customer_or_a_month_is_added(settings: Settings) -> None:
    def held_out(n_customers: int, n_months: int) -> set[str]:
        business = of_horizon(settings, 350)
        data = task_rows.parted_by_customer(customers_each_month(n_customers, n_months), business)
        return set(data.at([HOLDOUT])["customer_id"])

    assert held_out(60, 3) == held_out(60, 4) == {c for c in held_out(80, 4) if int(c[1:]) < 60}


def test_moments_judge_where_they_can_and_a_part_of_nobody_judges_nothing(settings: Settings) -> None:
    assert task_rows.parted_by_customer(customers_each_month(60, 4), of_horizon(settings, 90)).by == "as_of"
    alone = task_rows.parted_by_customer(customers_each_month(1, 3), of_horizon(settings, 90))
    assert alone.by == "as_of" and task_rows.plan_if_any(alone, of_horizon(settings, 90)) is None


def test_a_training_reads_its_rows_parted_where_the_history_is_short(
    settings: Settings, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_rows, "load", lambda workspace, task: customers_each_month(60, 3))
    assert task_rows.labelled(of_horizon(settings, 90), workspace, "clv").by == "customer_part"
    judging, learned = task_rows.holdout(of_horizon(settings, 90), workspace, "clv")
    assert not set(judging["customer_id"]) & set(learned["customer_id"])
    assert task_rows.labelled(of_horizon(settings, 30), workspace, "clv").by == "as_of"
