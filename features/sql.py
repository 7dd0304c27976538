"""SQL text: names and strings, written so that no character of theirs can end them.

What DuckDB and SQLite take as it stands; another database's quotes are an argument.
"""

from __future__ import annotations


def quote_literal(text: str) -> str:
    """A text as a string literal.

    >>> quote_literal("O'Hara; --")
    "'O''Hara; --'"
    """
    return "'" + text.replace("'", "''") + "'"


def quote_identifier(name: str, opening: str = '"') -> str:
    """One name, of a table or a column, as an identifier.

    Parameters
    ----------
    name
        The name, unquoted; a dot is part of it.
    opening
        What the database opens an identifier with: ``"``, a backtick or ``[``.

    Examples
    --------
    >>> print(quote_identifier('a"b'), quote_identifier("a]b", "["))
    "a""b" [a]]b]
    """
    closing = "]" if opening == "[" else opening
    return opening + name.replace(closing, closing * 2) + closing


def quote_qualified(name: str, opening: str = '"') -> str:
    """``schema.table`` as identifiers, each part by itself.

    >>> print(quote_qualified("sales.orders"))
    "sales"."orders"
    """
    return ".".join(quote_identifier(part, opening) for part in name.split("."))
