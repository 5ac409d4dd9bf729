"""A real PostgreSQL for one test run: made in a temporary folder, gone with the process that started it."""

import atexit
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg

from dlmodeler_site.parent_death import die_with_parent

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "200",
}


def start() -> str:
    """Start a server that ends with this process; return its DATABASE_URL."""
    programs = _programs()
    user = _user()
    folder = Path(tempfile.mkdtemp(prefix="dlm-postgres-"))
    if user:
        os.chown(folder, user.pw_uid, user.pw_gid)
    user_id, group_id = (user.pw_uid, user.pw_gid) if user else (None, None)
    groups: list[int] | None = [] if user else None
    data = folder / "data"
    subprocess.run(
        [
            programs / "initdb",
            "--pgdata",
            data,
            "--username=dlmodeler",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
        ],
        check=True,
        cwd=folder,
        stdout=subprocess.DEVNULL,
        user=user_id,
        group=group_id,
        extra_groups=groups,
    )
    port = _free_port()
    options = {**SETTINGS, "port": str(port), "unix_socket_directories": str(folder)}
    parent_pid = os.getpid()
    server = subprocess.Popen(
        [programs / "postgres", "-D", data, *(f"--{name}={value}" for name, value in options.items())],
        cwd=folder,
        stdout=open(folder / "log", "ab"),
        stderr=subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=lambda: die_with_parent(parent_pid, signal_number=signal.SIGQUIT),
        user=user_id,
        group=group_id,
        extra_groups=groups,
    )
    atexit.register(_stop, server, folder)
    url = f"postgres://dlmodeler@127.0.0.1:{port}/dlmodeler"
    _wait_and_create_database(server, port, folder)
    return url


def _wait_and_create_database(server: subprocess.Popen[bytes], port: int, folder: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            with psycopg.connect(
                host="127.0.0.1", port=port, user="dlmodeler", dbname="postgres", autocommit=True
            ) as connection:
                connection.execute("CREATE DATABASE dlmodeler")
                return
        except psycopg.OperationalError:
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL did not start: {(folder / 'log').read_text()}") from None
            time.sleep(0.1)


def _stop(server: subprocess.Popen[bytes], folder: Path) -> None:
    server.send_signal(signal.SIGQUIT)
    server.wait(timeout=20)
    shutil.rmtree(folder, ignore_errors=True)


def _programs() -> Path:
    """The folder of initdb and postgres: Debian keeps them off the PATH."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if not folders:
        raise RuntimeError("No PostgreSQL server programs (initdb, postgres): install Debian's package `postgresql`.")
    return folders[-1].parent


def _user() -> pwd.struct_passwd | None:
    """PostgreSQL refuses to run as root: whom to run it as instead, None where we are not root."""
    if os.getuid() != 0:
        return None
    names = {entry.pw_name: entry for entry in pwd.getpwall()}
    return names.get("postgres") or names["nobody"]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
