"""What a trained model *is*: boosters, calibration, interval, explanation, reference profile, schema hash.

A bundle is a folder of plain files, never a pickle: LightGBM text, JSON, one parquet. Its manifest names the SHA-256 of
every other file; loading checks them, see `training.model.proof.manifest`. It is the only part of training that serving
knows.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import lightgbm as lgb
import numpy as np
import pandas as pd
from scipy.special import expit, logit

from configs.errors import RegistryError
from configs.workspace import Workspace
from training.model import catalog
from training.model.calibration import Affine
from training.model.catalog import Version
from training.model.encoding import encode
from training.model.ends.known_end import END, PRICE, Fees, KnownEnds, known_ends
from training.model.explanation import Link, effects, link
from training.model.intervals import LEVELS, Interval, known_days, load_interval
from training.model.longer import Amounts, LongerValue
from training.model.proof import manifest
from training.model.survival import Curve, direct_curve, median_days, survival_curve
from training.model.trees.forest import Forest
from training.priors.expectation import COLUMNS as RETURN_COLUMNS
from training.priors.prior import Prior
from training.priors.prior import dump as dump_prior
from training.priors.prior import load as load_prior

FORMAT = 4
Task = Literal["churn", "clv"]
Event = Literal["order", "end"]
Basis = Literal["model", "hybrid", "prior"]
FEW_ROWS = 64  # up to so many LightGBM takes longer to be called than to answer


@dataclass(frozen=True)
class Score:
    """A booster, a prior that it corrects, or either alone; and the affine map of their raw score."""

    name: str
    booster: lgb.Booster | None
    affine: Affine
    prior: Prior | None = None

    def __call__(self, matrix: np.ndarray) -> np.ndarray:
        """The calibrated raw score, shape (n,)."""
        raw = self._of_trees(self.booster, matrix) if self.booster else np.zeros(len(matrix))
        return self.affine(raw + self.prior(matrix) if self.prior else raw)

    def split(self, matrix: np.ndarray) -> tuple[float, np.ndarray]:
        """The calibrated raw score as a base and one value a feature, shape (n, features)."""
        base, phi = self._split_trees(self.booster, matrix) if self.booster else (0.0, np.zeros(matrix.shape))
        if self.prior:
            prior_base, prior_phi = self.prior.split(matrix)
            base, phi = base + prior_base, phi + prior_phi
        return float(self.affine(np.asarray([base]))[0]), phi * self.affine.slope

    def _of_trees(self, booster: lgb.Booster, matrix: np.ndarray) -> np.ndarray:
        """The booster's raw score, to the last bit the same from both."""
        if self._forest and len(matrix) <= FEW_ROWS:
            return self._forest.scores(matrix)
        return np.asarray(booster.predict(matrix, raw_score=True))

    def _split_trees(self, booster: lgb.Booster, matrix: np.ndarray) -> tuple[float, np.ndarray]:
        """The booster's mean raw score over the rows it learned from, and what each feature adds."""
        if self._forest:
            return self._tree_base, self._forest.effects(matrix)
        contrib = np.asarray(booster.predict(matrix, pred_contrib=True))
        return float(contrib[0, -1]), contrib[:, :-1]

    @cached_property
    def _forest(self) -> Forest | None:
        return Forest.of(self.booster.model_to_string()) if self.booster else None

    @cached_property
    def _tree_base(self) -> float:
        if not self.booster:
            return 0.0
        unknown = np.full((1, self.booster.num_feature()), np.nan)
        return float(np.asarray(self.booster.predict(unknown, pred_contrib=True))[0, -1])


@dataclass(frozen=True)
class HorizonModel:
    """The model of one further horizon: how likely nothing happens until then, given its neighbouring horizon.

    `direct`: the chance itself, given nothing; a bundle's are all direct, or none. `level`: what is added to the
    log-odds of the chance that follows, as outcomes of this horizon showed it.
    """

    days: int
    score: Score
    direct: bool = False
    level: float = 0.0


@dataclass(frozen=True)
class Explanation:
    """A prediction split by features: ``base + effects.sum(axis=1) == prediction``."""

    base: float
    effects: np.ndarray


@dataclass(frozen=True)
class Survival:
    """Chance that the event has not come by each horizon, and the probability of leaving that it was computed from.

    Attributes
    ----------
    no_event
        Shape (n,) for each horizon, the shortest first.
    prediction
        Probability of leaving at the main horizon, shape (n,).
    """

    no_event: Curve
    prediction: np.ndarray


@dataclass(frozen=True)
class Bundle:
    """One model, whole.

    Attributes
    ----------
    task
        ``churn`` (predicts a probability) or ``clv`` (predicts an amount of money).
    link
        How the raw scores become the prediction, see `training.model.explanation.link`.
    scores
        The boosters with their affine maps, in the order the link takes them.
    features
        Names of the columns, in the order the boosters take them.
    categories
        For every category column its known values; any other value is read as missing.
    schema_hash
        Hash of the feature definitions that the model learned from.
    horizon_days
        How far ahead the prediction looks.
    trained_through
        Newest as-of date that the boosters were learned from, ISO 8601, UTC.
    interval
        The conformal interval of a value, or None.
    quantiles
        101 quantiles of the predictions of the reference customers, rising: the scale of percentiles and tiers.
    reference
        How features and prediction of the reference customers are distributed, each column by itself and no row of
        one customer (`training.data.profile`): what drift is measured against.
    info
        Facts for people: data fingerprint, settings name, number of trees.
    event
        Whose time a churn model forecasts: the next ``order``, or the ``end`` of the contract.
    steps
        Models of the horizons of a churn model beside the main one.
    returns
        Churn by inactivity: the chance that a lapsed customer orders again, one model a horizon, of the columns
        ``RETURN_COLUMNS``; empty: none is held.
    longer
        Value within longer horizons; None: none is held, ``info`` says why.
    basis
        What the prediction rests on: trees (``model``), trees that correct a prior (``hybrid``), or a ``prior`` alone.
    full_season
        Whether the outcomes learned from cover a whole year, so that a season could be learned.
    full_price
        How often the price of a month is paid within the horizon, which no value of a customer with a price exceeds;
        None: nothing bounds it so.
    """

    task: Task
    link: Link
    scores: tuple[Score, ...]
    features: tuple[str, ...]
    categories: dict[str, tuple[str, ...]]
    schema_hash: str
    horizon_days: int
    trained_through: str
    interval: Interval | None
    quantiles: tuple[float, ...]
    reference: pd.DataFrame
    info: dict[str, Any]
    event: Event = "order"
    steps: tuple[HorizonModel, ...] = ()
    returns: tuple[HorizonModel, ...] = ()
    longer: LongerValue | None = None
    basis: Basis = "model"
    full_season: bool = True
    full_price: float | None = None

    @property
    def learned_until(self) -> pd.Timestamp:
        """The end of the newest label window that the boosters were learned from."""
        days = self.info.get("outcome_days", self.horizon_days)
        return pd.Timestamp(self.trained_through) + pd.Timedelta(days=days)

    @property
    def level_sd(self) -> float:
        """How far the level of a probability missed at later moments, in log-odds; 0 where a model does not tell."""
        return float(self.info.get("level_sd", 0.0))

    @property
    def chosen_on_folds(self) -> bool:
        """Whether it won a contest on folds; False: a prior that answers as there was too little to learn from."""
        return self.basis != "prior" or bool(self.info.get("contest"))

    def encode(self, frame: pd.DataFrame, rows: list[list[Any]] | None = None) -> np.ndarray:
        """Turn a feature frame into the boosters' matrix, shape (n, features), float64.

        Parameters
        ----------
        frame
            Feature rows.
        rows
            The same as Python values, where they are known already: it takes long to get them from a frame.

        Raises
        ------
        RegistryError
            A column that the model learned from is missing.
        """
        return encode(frame, self.features, self.categories, rows)

    def raw_scores(self, matrix: np.ndarray) -> np.ndarray:
        """Calibrated raw scores, shape (n, J)."""
        return np.column_stack([score(matrix) for score in self.scores])

    def predict(self, matrix: np.ndarray) -> np.ndarray:
        """The prediction, shape (n,): a calibrated probability, or a value; as known ends of contracts let it be."""
        learned, ends = self._learned(matrix), self._ends(matrix)
        return learned if ends is None else self._as_known(learned, ends)

    @property
    def reads_known_ends(self) -> bool:
        """Whether it tells of contracts, and reads their known ends; models of before may not."""
        return self.event == "end" and END in self.features

    @property
    def fees(self) -> Fees | None:
        """What a price of 1 a month brings; None where value is not bounded by fees."""
        rate = self.info.get("annual_discount_rate", 0.0)
        return None if self.full_price is None else Fees(self.full_price / self.horizon_days, rate)

    def _ends(self, matrix: np.ndarray) -> KnownEnds | None:
        """The known ends of contracts, as far as these rows tell; None: they tell of none."""
        past = self.info.get("known_ends", {})
        return known_ends(matrix, self.features, past, self.fees) if self.reads_known_ends else None

    def _learned(self, matrix: np.ndarray) -> np.ndarray:
        """What scores and price give, whatever end is known."""
        return self._at_most_its_price(link(self.link, self.raw_scores(matrix)), matrix)

    def _as_known(self, learned: np.ndarray, ends: KnownEnds) -> np.ndarray:
        return (ends.probability if self.task == "churn" else ends.value)(learned, self.horizon_days)

    def _at_most_its_price(self, prediction: np.ndarray, matrix: np.ndarray) -> np.ndarray:
        if self.full_price is None:
            return prediction
        price = np.nan_to_num(matrix[:, self.features.index(PRICE)])
        return np.where(price > 0, np.minimum(prediction, price * self.full_price), prediction)

    def survival(self, matrix: np.ndarray, prediction: np.ndarray) -> Survival:
        """Chance that the event has not come by each horizon.

        Parameters
        ----------
        matrix
            Encoded rows, shape (n, features).
        prediction
            Their probability of leaving at the main horizon, as `predict` gives it.
        """
        ends = self._ends(matrix)
        if ends is None:
            return Survival(self._curve(matrix, prediction if self.event == "order" else 1 - prediction), prediction)
        raw, known = prediction.copy(), ~np.isnan(ends.days)
        raw[known] = self._learned(matrix[known])
        curve, so_far = {}, np.ones(len(matrix))
        for days, no_event in self._curve(matrix, 1 - raw).items():
            left = prediction if days == self.horizon_days else ends.probability(1 - no_event, days)
            curve[days] = so_far = np.minimum(so_far, 1 - left)
        return Survival(curve, prediction)

    def _curve(self, matrix: np.ndarray, no_event: np.ndarray) -> Curve:
        """The chance of no event by each horizon, from that at the main one, whatever end is known."""
        if self.steps and self.steps[0].direct:
            chances = {s.days: expit(s.score(matrix)) for s in self.steps}
            return direct_curve(self.horizon_days, no_event, chances)
        conditional = {s.days: expit(s.score(matrix)) for s in self.steps}
        curve = survival_curve(self.horizon_days, no_event, conditional)
        levels = {s.days: s.level for s in self.steps}
        if any(levels.values()):
            chances = {d: expit(logit(curve[d]) + level) for d, level in levels.items()}
            curve = direct_curve(self.horizon_days, no_event, chances)
        return curve

    def by_horizon(self, survival: Survival) -> Curve:
        """Probability of leaving by horizon: no order until then, or the end of the contract before.

        At the main horizon it is the prediction itself, to the last digit; no horizon contradicts another.
        """
        if self.event == "order":
            return survival.no_event
        main, p = self.horizon_days, survival.prediction
        return {
            days: np.clip(1 - no_event, p if days >= main else 0.0, p if days <= main else 1.0)
            for days, no_event in survival.no_event.items()
        }

    def reactivation(self, frame: pd.DataFrame) -> Curve | None:
        """Chance that each customer orders again within each horizon, by days, rising; shape (n,) each.

        To be asked of lapsed customers alone; None in a model that does not hold it.
        """
        if not self.returns:
            return None
        x, so_far = encode(frame, RETURN_COLUMNS, {}), np.zeros(len(frame))
        out: Curve = {}
        for model in sorted(self.returns, key=lambda each: each.days):
            so_far = np.maximum(so_far, expit(model.score(x)))
            out[model.days] = so_far
        return out

    def event_days(self, survival: Survival) -> np.ndarray:
        """Days until the event is as likely as not to have come; NaN: past the longest horizon."""
        return median_days(survival.no_event)

    def bounds(self, expected: np.ndarray, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper ends of the value interval of expected values and their encoded rows, each of shape (n,)."""
        if self.interval is None:
            raise RegistryError(f"the {self.task} model holds no interval")
        ends, found = self._ends(matrix), self.interval(expected, known_days(matrix, self.features))
        return found if ends is None else ends.within(self.horizon_days, expected, *found)

    def longer_values(self, frame: pd.DataFrame, matrix: np.ndarray, main: Amounts) -> dict[int, Amounts]:
        """Value within each longer horizon by days, none smaller than a nearer one; empty: none is held.

        `frame` and `matrix`: rows and their encoding; `main`: their forecast of the main horizon.
        """
        if self.longer is None:
            return {}
        x = encode(frame, self.longer.growth.columns, {})
        found = self.longer(x, main, known_days(matrix, self.features))
        ends = self._ends(matrix)
        return {days: ends.amounts(amounts, days) if ends else amounts for days, amounts in found.items()}

    def value_quantiles(self, expected: np.ndarray, matrix: np.ndarray) -> dict[int, np.ndarray]:
        """Quantiles of a value by percent, ``10, 50, 90``, rising, shape (n,) each; empty: the model learned none."""
        at = self.interval.at_levels(expected, known_days(matrix, self.features)) if self.interval else None
        if at is not None and (ends := self._ends(matrix)):
            at = np.clip(at.T, *ends.limits(self.horizon_days)).T
        return {} if at is None else {round(100 * level): at[:, i] for i, level in enumerate(LEVELS)}

    def explain(self, matrix: np.ndarray) -> Explanation:
        """Split every prediction by features, in the unit of the prediction; sums are exact.

        What a price takes off a value beyond it is an effect of the price; what a known end changes, of the days to it.
        """
        bases, phi = zip(*(score.split(matrix) for score in self.scores), strict=True)
        base, split = effects(self.link, np.asarray(bases), np.stack(phi, axis=1))
        if self.full_price is not None:
            total = base + split.sum(axis=1)
            split[:, self.features.index(PRICE)] += self._at_most_its_price(total, matrix) - total
        if (ends := self._ends(matrix)) is not None:
            total = base + split.sum(axis=1)
            split[:, self.features.index(END)] += self._as_known(total, ends) - total
        return Explanation(base, split)

    def percentile(self, prediction: np.ndarray) -> np.ndarray:
        """Share of reference customers at or below each prediction, in percent, shape (n,), whole numbers."""
        return np.clip(self._quantiles.searchsorted(prediction, side="right") - 1, 0, 100)

    def quantile(self, share: float) -> float:
        """The prediction below which this share of the reference customers lies."""
        return float(np.interp(share, self._shares, self._quantiles))

    @cached_property
    def _quantiles(self) -> np.ndarray:
        return np.asarray(self.quantiles, dtype=np.float64)

    @cached_property
    def _shares(self) -> np.ndarray:
        return np.linspace(0, 1, len(self.quantiles))

    def save(self, folder: Path) -> Path:
        """Write the bundle as plain files into a new folder and return it."""
        folder.mkdir(parents=True)
        for score in (*self.scores, *(horizon.score for horizon in (*self.steps, *self.returns))):
            if score.booster:
                (folder / f"{score.name}.txt").write_text(score.booster.model_to_string(), "utf-8")
        self.reference.to_parquet(folder / "reference.parquet", index=False)
        content = {
            "format": FORMAT,
            "task": self.task,
            "link": self.link,
            "scores": [_score_content(s) for s in self.scores],
            "event": self.event,
            "steps": [
                {"days": s.days, "direct": s.direct, "level": s.level, **_score_content(s.score)} for s in self.steps
            ],
            "returns": [{"days": s.days, **_score_content(s.score)} for s in self.returns],
            "longer": self.longer.to_dict() if self.longer else None,
            "features": self.features,
            "categories": self.categories,
            "schema_hash": self.schema_hash,
            "horizon_days": self.horizon_days,
            "trained_through": self.trained_through,
            "interval": asdict(self.interval) if self.interval else None,
            "quantiles": self.quantiles,
            "info": self.info,
            "basis": self.basis,
            "full_season": self.full_season,
            "full_price": self.full_price,
        }
        (folder / "bundle.json").write_text(json.dumps(content, indent=1), "utf-8")
        manifest.seal(folder)
        return folder


def load(folder: Path, registered: str | None = None) -> Bundle:
    """Read a bundle and check that every file is the one that was written, and no other is there.

    Parameters
    ----------
    folder
        Of its files.
    registered
        The hash of its manifest as the registry notes it; None: not compared.

    Raises
    ------
    RegistryError
        A file is missing, altered or added, or of another format than this program reads.
    """
    path = folder / "bundle.json"
    if not path.is_file():
        raise RegistryError(f"no model bundle at {folder}: expected a bundle.json; train and register a model first")
    manifest.verify(folder, registered)
    content = json.loads(path.read_text("utf-8"))
    if content.get("format") != FORMAT:
        raise RegistryError(f"{path}: format {content.get('format')!r}, this program reads {FORMAT}; retrain the model")
    return Bundle(
        task=content["task"],
        link=content["link"],
        scores=tuple(_load_score(folder, s) for s in content["scores"]),
        features=tuple(content["features"]),
        categories={k: tuple(v) for k, v in content["categories"].items()},
        schema_hash=content["schema_hash"],
        horizon_days=content["horizon_days"],
        trained_through=content["trained_through"],
        interval=load_interval(content["interval"]) if content["interval"] else None,
        quantiles=tuple(content["quantiles"]),
        reference=pd.read_parquet(folder / "reference.parquet"),
        info=content["info"],
        basis=content["basis"],
        full_season=content["full_season"],
        full_price=content.get("full_price"),
        event=content["event"],
        steps=tuple(
            HorizonModel(s["days"], _load_score(folder, s), s.get("direct", False), s.get("level", 0.0))
            for s in content["steps"]
        ),
        returns=tuple(HorizonModel(s["days"], _load_score(folder, s)) for s in content.get("returns", [])),
        longer=LongerValue.from_dict(content["longer"]) if content.get("longer") else None,
    )


def registered_bundle(workspace: Workspace, version: Version, part: str = "bundle") -> Bundle:
    """Read the model of a version, ``bundle``, or the one that was ``judged``, as it was registered.

    Raises
    ------
    RegistryError
        Its files are not in this workspace, or not those that were registered.
    """
    folder = catalog.files(workspace, version) / part
    try:
        return load(folder, catalog.manifest_of(version, part))
    except RegistryError as error:
        raise RegistryError(str(error).replace(str(folder.parents[1]), version.label)) from None


def _score_content(score: Score) -> dict[str, Any]:
    return {
        "name": score.name,
        "trees": score.booster is not None,
        "affine": asdict(score.affine),
        "prior": dump_prior(score.prior),
    }


def _load_score(folder: Path, content: dict[str, Any]) -> Score:
    booster = lgb.Booster(model_file=str(folder / f"{content['name']}.txt")) if content["trees"] else None
    return Score(content["name"], booster, Affine(**content["affine"]), load_prior(content["prior"]))
