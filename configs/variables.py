"""Environment variables in settings, written ``${NAME}``, and the passwords that must come that way.

Settings are saved with every model that is trained, so no password may stand in them.
"""

from __future__ import annotations

import os
import re
from typing import Annotated
from urllib.parse import unquote

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from configs.errors import ConfigError

VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")
SECRET_KEYS = ("password", "passwd", "pwd", "sslpassword", "token", "secret", "api_key", "access_key")
PASSWORD_ERROR = "password"  # noqa: S105 - the type of an error whose input must not be repeated


def expand(text: str, where: str) -> str:
    """Replace every ``${NAME}`` by that environment variable, or by what follows ``:-`` if it is not set.

    Examples
    --------
    >>> expand("${STAYCAST_NOT_SET:-exports}/orders.csv", "path")
    'exports/orders.csv'

    Raises
    ------
    ConfigError
        A variable is not set and has no default.
    """

    def value(variable: re.Match[str]) -> str:
        name, default = variable.groups()
        content = os.environ.get(name) or default
        if content is None:
            raise ConfigError(f"{where}: the environment variable {name} is not set; set it, or write ${{{name}:-...}}")
        return content

    return VARIABLE.sub(value, text)


def without_password(address: str) -> str:
    """Return an address as it is, unless a password stands in it: beside the user, in the query, or as a default.

    What stands between a colon after the user and an ``@`` is a password, whatever signs it holds: so SQLAlchemy reads
    an address. A key of the query counts if it is one of `SECRET_KEYS`, in capitals or percent-encoded too.

    Examples
    --------
    >>> without_password("redis://:${REDIS_PASSWORD}@${REDIS_HOST:-127.0.0.1}:6379/0")
    'redis://:${REDIS_PASSWORD}@${REDIS_HOST:-127.0.0.1}:6379/0'

    Raises
    ------
    ValueError
        There is a password. The message does not repeat it.
    """
    literal = VARIABLE.sub(lambda variable: variable.group(2) or "", address)
    keys = re.findall(r"[?&;]([^=&;]+)=[^&;]", literal)
    if re.search(r"://[^:/]*:[^@]+@", literal) or any(unquote(key).lower() in SECRET_KEYS for key in keys):
        raise PydanticCustomError(
            PASSWORD_ERROR,
            "the address holds a password: write the password as ${NAME} and set that environment variable, as "
            "settings are kept with every model; write any other @ as %40",
        )
    return address


Address = Annotated[str, AfterValidator(without_password)]
