from __future__ import annotations

import pytest
from pydantic import ValidationError

from serving.api.schema.answers import Reason


def test_an_answer_with_a_number_that_is_not_finite_is_refused() -> None:
    with pytest.raises(ValidationError, match="finite"):
        Reason(feature="x", value=float("nan"), effect=0.1, text="")
