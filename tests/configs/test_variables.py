"""Variables are filled in, and no password passes in an address, however it is written."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from configs.errors import ConfigError
from configs.settings import load
from configs.variables import SECRET_KEYS, expand, without_password
from features.sources import database

SECRET = "hidden1234"
HOSTILE = {
    "beside the user": f"postgresql+psycopg://shop:{SECRET}@127.0.0.1/shop",
    "without a user": f"redis://:{SECRET}@127.0.0.1:6379/0",
    "percent-encoded": f"redis://shop:%20{SECRET}@127.0.0.1",
    "with a slash": f"postgresql://shop:a/{SECRET}@127.0.0.1/shop",
    "with a question mark": f"postgresql://shop:a?{SECRET}@127.0.0.1/shop",
    "with a hash": f"postgresql://shop:a#{SECRET}@127.0.0.1/shop",
    "with an @ in it": f"postgresql://shop:p@{SECRET}@127.0.0.1/shop",
    "after a user with an @": f"redis://me@shop:{SECRET}@127.0.0.1",
    "after a variable": f"redis://${{SHOP_USER}}:{SECRET}@127.0.0.1",
    "half a variable": f"redis://shop:${{SHOP_PASSWORD}}{SECRET}@127.0.0.1",
    "as a default": f"redis://shop:${{SHOP_PASSWORD:-{SECRET}}}@127.0.0.1",
    "in a default address": f"${{SHOP_URL:-postgresql://shop:{SECRET}@127.0.0.1/shop}}",
    "in the query": f"postgresql://127.0.0.1/shop?password={SECRET}",
    "later in the query": f"postgresql://127.0.0.1/shop?a=1&b=&password={SECRET}",
    "after a semicolon": f"mssql://127.0.0.1/shop?a=1;pwd={SECRET}",
    "in capitals": f"postgresql://127.0.0.1/shop?PassWord={SECRET}",
    "under an encoded key": f"redis://127.0.0.1?pass%77ord={SECRET}",
    "after a dollar sign": f"redis://127.0.0.1?password=${SECRET}",
    "as a default in the query": f"redis://127.0.0.1?password=${{SHOP_PASSWORD:-{SECRET}}}",
    **{key: f"postgresql://127.0.0.1/shop?{key}={SECRET}" for key in SECRET_KEYS},
}
HARMLESS = (
    "",
    "nonsense",
    "://",
    "redis://127.0.0.1:6379/0",
    "redis://[::1]:6379/0",
    "redis://shop@[::1]:6379/0",
    "redis://:@127.0.0.1",
    "redis://shop:${SHOP_PASSWORD}@127.0.0.1",
    "redis://shop:${SHOP_PASSWORD:-}@127.0.0.1",
    "redis://:${SHOP_PASSWORD}@${SHOP_HOST:-127.0.0.1}:${SHOP_PORT:-6379}/0",
    "postgresql://127.0.0.1/shop?password=",
    "postgresql://127.0.0.1/shop?password=${SHOP_PASSWORD}&sslmode=require",
    "postgresql://127.0.0.1/shop?passwords=2",
    "${SHOP_URL}",
    "sqlite:///x.db",
    "sqlite:////tmp/a:b@c.db",
    "sqlite:///C:/a@b.db",
)


def test_environment_variables_are_filled_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAYCAST_TRY", "there")
    assert expand("${STAYCAST_TRY}/a", "path") == "there/a"
    monkeypatch.delenv("STAYCAST_TRY")
    assert expand("${STAYCAST_TRY:-here}/a", "path") == "here/a"
    with pytest.raises(ConfigError, match=r"path: the environment variable STAYCAST_TRY is not set; set it, or write"):
        expand("${STAYCAST_TRY}/a", "path")


@pytest.mark.slow
@pytest.mark.parametrize("address", HOSTILE.values(), ids=HOSTILE)
def test_a_password_in_an_address_is_refused_wherever_addresses_are_set_and_never_repeated(
    tmp_path: Path, address: str
) -> None:
    with pytest.raises(ValueError, match=r"holds a password: write the password as \$\{NAME\}") as refused:
        without_password(address)
    messages = [str(refused.value)]
    for content in ({"redis": {"url": address}}, {"tuning": {"storage": address}}):
        (tmp_path / "own.yaml").write_text(yaml.safe_dump(content))
        with pytest.raises(ConfigError, match="holds a password") as setting:
            load(tmp_path / "own.yaml")
        messages.append(str(setting.value))
    with pytest.raises(ConfigError, match=r"source\.options\.url: the address holds a password") as source:
        database.load({"url": address, "tables": {"orders": {"table": "sales"}}})
    assert SECRET not in "".join([*messages, str(source.value)])


@pytest.mark.parametrize("address", HARMLESS)
def test_an_address_without_a_password_stays_as_it_is(address: str) -> None:
    assert without_password(address) == address
