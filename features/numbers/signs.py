"""Which sign is the decimal one: decided by a column in its file, else by the column elsewhere and by the file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from configs.errors import DataError
from features.numbers.reading import SignEvidence


def decimal_signs(table: str, parts: Sequence[Mapping[str, SignEvidence]]) -> list[dict[str, str]]:
    """The decimal sign of each column of each file.

    Parameters
    ----------
    table
        What errors call the table.
    parts
        For each file: what the values of its columns tell.

    Returns
    -------
    list of dict
        For each file: column -> sign, see `SignEvidence.sign`.

    Raises
    ------
    DataError
        Some values may have a decimal sign or a thousands separator, and nothing decides. Nothing is guessed, and no
        row is left out: a business's largest orders are the ones that are written with a thousands separator.

    Examples
    --------
    >>> sure, plain = SignEvidence(2, 0, 0, None), SignEvidence(0, 0, 1, "1.234")
    >>> decimal_signs("orders", [{"amount": sure, "quantity": plain}])
    [{'amount': ',', 'quantity': ','}]
    """
    signs = [{name: _sign(name, part, parts) for name in part} for part in parts]
    doubts: dict[str, str] = {}
    for part, own in zip(parts, signs, strict=True):
        for name, told in part.items():
            if told.in_doubt and own[name] not in (",", "."):
                doubts.setdefault(name, _question(name, told, own[name] == "mixed"))
    if doubts:
        raise DataError(f"{table}: " + "; ".join(doubts.values()))
    return signs


def _sign(name: str, part: Mapping[str, SignEvidence], parts: Sequence[Mapping[str, SignEvidence]]) -> str:
    own = part[name].sign
    if own != "none":
        return own
    elsewhere = {other[name].sign for other in parts if name in other} | {told.sign for told in part.values()}
    elsewhere -= {"none"}
    return elsewhere.pop() if len(elsewhere) == 1 and "mixed" not in elsewhere else own


def _question(name: str, told: SignEvidence, mixed: bool) -> str:
    example = told.example or ""
    point = float(example.replace(",", ""))
    comma = float(example.replace(".", "").replace(",", "."))
    why = "other values have decimal commas and decimal points" if mixed else "no other value decides"
    return (
        f"{name}: '{example}' may be {point:g} or {comma:g}, in {told.in_doubt:,} rows, and {why}; say "
        f'numbers: {{{told.factor_of or name}: {{decimal: "."}}}} for the first, {{decimal: ","}} for the second'
    )
