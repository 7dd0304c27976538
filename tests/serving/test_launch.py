from __future__ import annotations

import socket
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from configs.errors import ConfigError
from configs.workspace import Workspace
from serving import launch
from serving.access.keys import ApiKeys
from serving.launch import Tls, command, require_free_port


def test_the_command_names_business_and_workspace_and_tells_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shop.yaml").write_text("name: shop\n", "utf-8")
    monkeypatch.chdir(tmp_path)
    arguments, environment = command("shop.yaml", Path("here"), "127.0.0.1", 3456)
    assert arguments[1:4] == ["-m", "bentoml", "serve"]
    assert arguments[-4:] == ["--host", "127.0.0.1", "--port", "3456"]
    assert environment["STAYCAST_CONFIG"] == str(tmp_path / "shop.yaml")
    assert environment["STAYCAST_WORKSPACE"] == str(tmp_path / "here")
    assert environment["BENTOML_HOME"].startswith(str(tmp_path / "here"))
    assert environment["BENTOML_DO_NOT_TRACK"] == "True"


def test_the_command_starts_as_many_workers_as_the_configuration_says(tmp_path: Path) -> None:
    config = tmp_path / "shop.yaml"
    config.write_text("name: shop\nserving: {workers: 3}\n", "utf-8")
    assert command(str(config), tmp_path, "::1", 1)[1]["BENTOML_CONFIG_OPTIONS"] == "services.staycast.workers=3"
    assert command("test", tmp_path, "::1", 1)[1]["BENTOML_CONFIG_OPTIONS"] == "services.staycast.workers=1"


def test_counts_of_several_workers_are_in_memory_apart_from_the_disk_and_those_of_the_dead_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = tmp_path / "memory"
    memory.mkdir()
    monkeypatch.setattr(launch, "MEMORY", memory)
    dead = memory / f"{launch.COUNTS_PREFIX}{2**22 + 1}-x"  # no process has so high a number
    dead.mkdir()
    config = tmp_path / "shop.yaml"
    config.write_text("name: shop\nserving: {workers: 3}\n", "utf-8")
    folders = [command(str(config), tmp_path, "::1", 1)[1]["STAYCAST_COUNTS"] for _ in range(2)]
    assert sorted(map(str, memory.iterdir())) == sorted(folders) and len(set(folders)) == 2
    assert command("test", tmp_path, "::1", 1)[1]["STAYCAST_COUNTS"] == ""


def test_only_proxies_that_are_named_are_believed_who_asks(tmp_path: Path) -> None:
    config = tmp_path / "shop.yaml"
    config.write_text("name: shop\nserving: {trusted_proxies: [10.0.0.7, 192.168.1.9/16]}\n", "utf-8")
    assert command(str(config), tmp_path, "::1", 1)[1]["FORWARDED_ALLOW_IPS"] == "10.0.0.7,192.168.0.0/16"
    assert command("test", tmp_path, "::1", 1)[1]["FORWARDED_ALLOW_IPS"] == ""
    config.write_text("name: shop\nserving: {trusted_proxies: [proxy]}\n", "utf-8")
    with pytest.raises(ConfigError, match="trusted_proxies"):
        command(str(config), tmp_path, "::1", 1)


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate that vouches for itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(datetime(2024, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2044, 1, 1, tzinfo=UTC))
        .sign(key, SHA256())
    )
    folder.mkdir()
    (folder / "cert.pem").write_bytes(made.public_bytes(Encoding.PEM))
    (folder / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return folder / "cert.pem", folder / "key.pem"


def test_https_takes_a_certificate_with_its_own_key(tmp_path: Path) -> None:
    (cert, key), (_, other) = certificate(tmp_path / "a"), certificate(tmp_path / "b")
    arguments, _ = command("test", tmp_path, "::1", 1, Tls.of(cert, key))
    assert arguments[-4:] == ["--ssl-certfile", str(cert), "--ssl-keyfile", str(key)]
    assert Tls.of(None, None) is None
    for pair in ((cert, None), (None, key), (cert, other), (key, cert), (cert, tmp_path / "none.pem")):
        with pytest.raises(ConfigError, match=r"certificate"):
            Tls.of(*pair)


def test_a_configuration_that_cannot_be_used_is_told_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no configuration"):
        command("no-such-business", tmp_path, "127.0.0.1", 3456)


def test_a_port_in_use_ends_serve_in_one_line_and_exit_code_2(
    staycast: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    (tmp_path / "state").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as occupied:
        port = occupied.getsockname()[1]
        done = staycast("serve", "--config", "test", "--workspace", tmp_path, "--host", "127.0.0.1", "--port", port)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        f"staycast: port {port} of 127.0.0.1 is in use: stop the program that listens there, or give another --port"
    ]


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "localhost"])
def test_a_port_is_free_again_once_it_is_closed(host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as occupied:
        port = occupied.getsockname()[1]
        with pytest.raises(ConfigError, match=f"port {port} of {host} is in use"):
            require_free_port(host, port)
    require_free_port(host, port)


def test_an_address_of_another_machine_is_refused_with_its_reason() -> None:
    with pytest.raises(ConfigError, match=r"cannot listen on port 3000 of 192\.0\.2\.1: Cannot assign"):
        require_free_port("192.0.2.1", 3000)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.7.1", "::", "example.com"])
def test_other_machines_are_let_in_with_a_key_alone_or_where_it_is_said(workspace: Workspace, host: str) -> None:
    with pytest.raises(ConfigError, match="--open-to-all"):
        launch.require_access_control("test", workspace.root, host)
    with pytest.raises(ConfigError, match="--open-to-all"):
        launch.serve("test", workspace.root, host, 3999)
    with ApiKeys(workspace.access_keys) as keys:
        keys.create("crm", "crm")
        launch.require_access_control("test", workspace.root, host)
        keys.revoke("crm")
        launch.require_access_control("test", workspace.root, host)  # it lets nobody in


def test_this_machine_needs_no_key(workspace: Workspace) -> None:
    for host in ("127.0.0.1", "localhost", "::1"):
        launch.require_access_control("test", workspace.root, host)
    assert not workspace.access_keys.exists()
