from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from training.model.explanation import effects, link

LINKS = {"sigmoid": 1, "exp": 1, "sigmoid_exp": 2, "mean_exp": 3, "ziln": 3}
size = st.floats(-4, 4)


@pytest.mark.parametrize("name", LINKS)
@settings(max_examples=50)
@given(data=st.data())
def test_base_and_effects_sum_to_the_prediction(name, data) -> None:
    base = data.draw(arrays(np.float64, LINKS[name], elements=size))
    phi = data.draw(arrays(np.float64, (3, LINKS[name], 5), elements=size))
    start, split = effects(name, base, phi)
    expected = link(name, base + phi.sum(axis=2))
    assert start + split.sum(axis=1) == pytest.approx(expected, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("name", ["sigmoid", "exp"])
def test_with_one_score_effects_are_shap_values_rescaled(name) -> None:
    base, phi = np.array([-1.0]), np.array([[[0.5, -0.2, 1.0]]])
    start, split = effects(name, base, phi)
    scale = (link(name, np.array([[0.3]]))[0] - start) / 1.3
    assert split[0] == pytest.approx(phi[0, 0] * scale)


def test_effects_that_cancel_out_keep_their_signs() -> None:
    _, split = effects("sigmoid", np.array([0.0]), np.array([[[1.0, -1.0]]]))
    assert split[0] == pytest.approx([0.25, -0.25])


def test_two_scores_share_out_a_product_along_the_straight_path() -> None:
    base, phi = np.array([0.0, 0.0]), np.array([[[2.0, 0.0], [0.0, 1.0]]])
    _, split = effects("sigmoid_exp", base, phi)
    t = (np.arange(200_000) + 0.5) / 200_000
    share = 1 / (1 + np.exp(-2 * t))
    by_hand = [np.mean(2 * share * (1 - share) * np.exp(t)), np.mean(share * np.exp(t))]
    assert split[0] == pytest.approx(by_hand, rel=1e-6)


def test_a_feature_without_influence_has_no_effect() -> None:
    _, split = effects("sigmoid_exp", np.zeros(2), np.array([[[1.0, 0.0], [0.5, 0.0]]]))
    assert split[0, 1] == 0


def test_the_mean_of_several_forecasts_is_explained_by_the_mean_of_their_explanations() -> None:
    base, phi = np.array([1.0, 2.0]), np.array([[[0.5, 0.0], [0.0, -1.0]]])
    start, split = effects("mean_exp", base, phi)
    assert start == pytest.approx((np.exp(1) + np.exp(2)) / 2)
    assert split[0] == pytest.approx([(np.exp(1.5) - np.exp(1)) / 2, (np.exp(1) - np.exp(2)) / 2])
