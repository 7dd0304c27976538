"""How the service is started: the command, and the environment that names business and workspace to it.

Apart from `serving.service`, so that starting it does not first import BentoML.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import shutil
import socket
import ssl
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from configs import settings as configs
from configs.errors import ConfigError
from configs.workspace import Workspace
from serving.access.control import access_control
from serving.access.provider_keys import ProviderKeys
from training.model.catalog import versions

ROOT = Path(__file__).resolve().parents[1]
WORKSPACE, CONFIG, COUNTS = "STAYCAST_WORKSPACE", "STAYCAST_CONFIG", "STAYCAST_COUNTS"
MEMORY = Path("/dev/shm")  # noqa: S108 - files there are in memory; each folder is its owner's alone
COUNTS_PREFIX = "staycast-counts-"
ENVIRONMENT = {
    "BENTOML_DO_NOT_TRACK": "True",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "FEAST_USAGE": "False",
}


@dataclass(frozen=True)
class Tls:
    """PEM files by which the service proves who it is: its certificate with those that vouch for it, and the key."""

    certificate: Path
    key: Path

    @classmethod
    def of(cls, certificate: Path | None, key: Path | None) -> Tls | None:
        """Both files, or neither.

        Raises
        ------
        ConfigError
            One of the two is not given, cannot be read, or the key is not the certificate's.
        """
        if certificate is None and key is None:
            return None
        if certificate is None or key is None:
            raise ConfigError("TLS takes a certificate and its key: give both --tls-cert and --tls-key")
        try:
            ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(certificate, key, password="")
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(
                f"'{certificate}' and '{key}' are no certificate and its key in PEM form: {error}"
            ) from None
        return cls(certificate.resolve(), key.resolve())


def serve(
    config: str, workspace: Path, host: str, port: int, open_to_all: bool = False, tls: Tls | None = None
) -> NoReturn:
    """Serve in place of this process: does not return.

    Parameters
    ----------
    config
        As for `configs.settings.load`.
    workspace
        Root folder of the workspace.
    host, port
        Address to listen on.
    open_to_all
        Listen elsewhere than on this machine even if callers need not say who they are.
    tls
        What to speak HTTPS with; None: plain HTTP, as behind a proxy.

    Raises
    ------
    ConfigError
        The configuration cannot be used, the address is in use, or it lets other machines in without access control.
    RegistryError
        The model registry cannot be read.
    """
    if tokens := configs.load(config).access.tokens:
        ProviderKeys(tokens.jwks).require()
    if not open_to_all:
        require_access_control(config, workspace, host)
    arguments, environment = command(config, workspace, host, port, tls)
    versions(Workspace(workspace), "churn")  # a registry that cannot be read is said here; none yet is no fault
    require_free_port(host, port)
    os.execve(arguments[0], arguments, environment)  # noqa: S606 - a program and its arguments, no shell


def require_access_control(config: str, workspace: Path, host: str) -> None:
    """Check that nobody on another machine is let in without saying who asks.

    Raises
    ------
    ConfigError
        The address is not of this machine alone, and callers need not say who they are.
    """
    if is_loopback(host) or access_control(configs.load(config).access, Workspace(workspace)).required():
        return
    raise ConfigError(
        f"listening on {host} would let everybody who reaches this machine read forecasts of all customers: make a key "
        "(`staycast keys create NAME --role crm`), set access.tokens, or say --open-to-all if something else guards it"
    )


def is_loopback(host: str) -> bool:
    """Whether an address is of this machine alone.

    >>> [is_loopback(host) for host in ("localhost", "127.0.0.1", "::1", "0.0.0.0", "::", "example.com")]
    [True, True, True, False, False, False]
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def require_free_port(host: str, port: int) -> None:
    """Check that a server can listen on an address, before it starts and fails in one of its workers.

    Raises
    ------
    ConfigError
        Another program listens there, or this one must not.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ConfigError(
                f"port {port} of {host} is in use: stop the program that listens there, or give another --port"
            ) from None
        raise ConfigError(
            f"cannot listen on port {port} of {host}: {error.strerror}; give another --host or --port"
        ) from None


def command(
    config: str, workspace: Path, host: str, port: int, tls: Tls | None = None
) -> tuple[list[str], dict[str, str]]:
    """The command that starts the service, and its environment; all that BentoML writes goes into the workspace.

    Raises
    ------
    ConfigError
        The configuration cannot be used: raised here, not in a worker that starts again and again.
    """
    serving = configs.load(config).serving
    workers = serving.workers
    path, root = Path(config), workspace.resolve()
    arguments = ["-m", "bentoml", "serve", "serving.service:Staycast", "--working-dir", str(ROOT)]
    environment = {
        **os.environ,
        **ENVIRONMENT,
        WORKSPACE: str(root),
        CONFIG: str(path.resolve()) if path.is_file() else config,
        "BENTOML_CONFIG_OPTIONS": f"services.staycast.workers={workers}",
        "BENTOML_HOME": str(Workspace(root).state / "bentoml"),
        "FORWARDED_ALLOW_IPS": ",".join(serving.trusted_proxies),
        COUNTS: str(_folder_of_counts()) if workers > 1 else "",
    }
    files = ["--ssl-certfile", str(tls.certificate), "--ssl-keyfile", str(tls.key)] if tls else []
    return [sys.executable, *arguments, "--host", host, "--port", str(port), *files], environment


def _folder_of_counts() -> Path:
    """A new folder for the counts of several workers, in memory where there is such a place; those of the dead go."""
    parent = MEMORY if os.access(MEMORY, os.W_OK) else Path(tempfile.gettempdir())
    for old in parent.glob(f"{COUNTS_PREFIX}*"):
        pid = old.name.removeprefix(COUNTS_PREFIX).partition("-")[0]
        if old.stat().st_uid == os.getuid() and not Path("/proc", pid).exists():
            shutil.rmtree(old, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"{COUNTS_PREFIX}{os.getpid()}-", dir=parent))


def from_environment() -> tuple[str, Workspace]:
    """The configuration and the workspace that the environment names.

    Raises
    ------
    ConfigError
        One of the two is not named.
    """
    missing = [name for name in (WORKSPACE, CONFIG) if not os.environ.get(name)]
    if missing:
        raise ConfigError(f"the service needs the environment variables {', '.join(missing)}: use `staycast serve`")
    return os.environ[CONFIG], Workspace(Path(os.environ[WORKSPACE]).resolve())


def disable_telemetry() -> None:
    """Keep MLflow and Feast, which are imported later, from reporting home.

    BentoML reads its own variable before it imports a service: it must stand in the environment, as `command` sees to.
    """
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
