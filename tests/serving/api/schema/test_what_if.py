from __future__ import annotations

import pytest

from serving.api.problems import InvalidRequestError
from serving.api.schema.what_if import MAX_CHANGES, parse_what_if


@pytest.mark.parametrize("changes", ["[]", "{}", '{"a": []}', '{"a": NaN}', '{"a": 1, "a": 2}'])
def test_changes_are_numbers_texts_or_null_by_name_each_once(changes: str) -> None:
    with pytest.raises(InvalidRequestError):
        parse_what_if(f'{{"customer_id": "1", "changes": {changes}}}'.encode())


def test_so_many_may_be_changed_and_no_more() -> None:
    def body(count: int) -> bytes:
        changes = ", ".join(f'"f{i}": {i}' for i in range(count))
        return f'{{"customer_id": "1", "changes": {{{changes}}}}}'.encode()

    assert len(parse_what_if(body(MAX_CHANGES)).changes) == MAX_CHANGES
    with pytest.raises(InvalidRequestError, match="/changes"):
        parse_what_if(body(MAX_CHANGES + 1))
