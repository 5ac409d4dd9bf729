"""A real Ceph object gateway for the tests of one process: on loopback, in memory, gone with the process."""

import atexit
import contextlib
import http.client
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from dlmodeler_site.parent_death import die_with_parent

PACKAGES = ("radosgw", "ceph-mon", "ceph-osd", "ceph-common")  # Debian's
PROGRAMS = ("radosgw", "radosgw-admin", "ceph-mon", "ceph-osd", "ceph", "ceph-authtool", "monmaptool")
REGION = "default"
USER = "tester"
START_TIMEOUT_S = 60


@dataclass(frozen=True)
class Ceph:
    """Where the gateway is, the key of a user who may do everything with its own buckets, and the configuration."""

    endpoint: str
    access_key: str
    secret_key: str
    folder: Path
    region: str = REGION

    def client(self, **options: Any) -> Any:
        """An S3 client of the user, or with another key."""
        import boto3
        from botocore.config import Config

        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name=self.region,
            aws_access_key_id=options.get("access_key", self.access_key),
            aws_secret_access_key=options.get("secret_key", self.secret_key),
            config=Config(
                s3={"addressing_style": "path"},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )

    @property
    def options(self) -> dict[str, str]:
        """What S3Workspace takes, beside its bucket."""
        return {
            "endpoint_url": self.endpoint,
            "region_name": self.region,
            "access_key": self.access_key,
            "secret_key": self.secret_key,
        }

    def use_as_workspace(self, settings: Any, **options: Any) -> None:
        """From now on the test's workspace is a bucket, a new one unless `bucket_name` is given."""
        options = {"bucket_name": options.get("bucket_name") or self.new_bucket(), **self.options, **options}
        bucket = {"BACKEND": "dlmodeler_site.storage_s3.S3Workspace", "OPTIONS": options}
        settings.STORAGES = {**settings.STORAGES, "workspace": bucket}

    def new_bucket(self) -> str:
        """An empty bucket of a name never used before."""
        name = f"test-{uuid.uuid4().hex[:12]}"
        self.client().create_bucket(Bucket=name)
        return name

    def new_key(self) -> tuple[str, str]:
        """Another key of the same user."""
        access_key, secret_key = uuid.uuid4().hex[:20].upper(), uuid.uuid4().hex
        key = (f"--access-key={access_key}", f"--secret-key={secret_key}")
        self.administer("key", "create", f"--uid={USER}", "--key-type=s3", *key)
        return access_key, secret_key

    def new_user(self) -> tuple[str, str]:
        """The key of a user without rights to the buckets of others."""
        access_key, secret_key = uuid.uuid4().hex[:20].upper(), uuid.uuid4().hex
        key = (f"--access-key={access_key}", f"--secret-key={secret_key}")
        self.administer("user", "create", f"--uid={access_key}", f"--display-name={access_key}", *key)
        return access_key, secret_key

    def revoke_key(self, access_key: str) -> None:
        """From now on the gateway does not know the key, which was the user's (`new_key`)."""
        self.administer("key", "rm", f"--uid={USER}", "--key-type=s3", f"--access-key={access_key}")

    def gets(self, bucket: str, *, offset: int = 0) -> list[tuple[str, int]]:
        """The objects that were asked for since byte `offset` of the log, each with the bytes that it was answered."""
        with open(self.log, "rb") as log:
            log.seek(offset)
            text = log.read().decode(errors="replace")
        found = re.findall(rf'"GET /{bucket}/([^ ?"]+)\S* HTTP/1.1" 20[06] (\d+) ', text)
        return [(unquote(key), int(size)) for key, size in found]

    @property
    def log(self) -> Path:
        """The gateway's own, with a line for each request."""
        return self.folder / "client.rgw.a.log"

    def administer(self, *arguments: str) -> str:
        """Run `radosgw-admin`."""
        return _run("radosgw-admin", "-c", self.folder / "ceph.conf", *arguments)


def missing() -> str:
    """Why there can be no gateway on this machine, "" where there can."""
    absent = [program for program in PROGRAMS if not shutil.which(program)]
    return f"no {', '.join(absent)}: install Debian's packages {' '.join(PACKAGES)}" if absent else ""


def start() -> Ceph:
    """Start a gateway that ends with this process.

    HAZARD: its daemons die with the thread that calls this, which must be the main thread.
    """
    folder = Path(tempfile.mkdtemp(prefix="dlm-ceph-"))
    daemons: list[subprocess.Popen[bytes]] = []
    atexit.register(_stop, daemons, folder)
    monitor_port, port = _free_port(), _free_port()
    monitor, fsid, osd = f"[v1:127.0.0.1:{monitor_port}]", str(uuid.uuid4()), str(uuid.uuid4())
    config, keyring, monmap = folder / "ceph.conf", folder / "monitor.keyring", folder / "monmap"
    config.write_text(_config(folder, fsid=fsid, monitor=monitor, port=port))
    for name in ("monitor", "osd"):
        (folder / name).mkdir()
    (folder / "keyring").touch()
    _run("ceph-authtool", "--create-keyring", keyring, "--gen-key", "-n", "mon.", "--cap", "mon", "allow *")
    _run("monmaptool", "--create", "--fsid", fsid, "--addv", "a", monitor, monmap)
    _run("ceph-mon", "-c", config, "-i", "a", "--mkfs", "--monmap", monmap, "--keyring", keyring)
    daemons.append(_daemon(folder, "ceph-mon", "-i", "a"))
    # RACE: a client's first command is refused when it is sent before the client was told the cluster's id.
    _wait(lambda: _run("ceph", "-c", config, "osd", "new", osd) == "0\n", daemons, folder)
    _run("ceph-osd", "-c", config, "-i", "0", "--mkfs", "--osd-uuid", osd)
    daemons.append(_daemon(folder, "ceph-osd", "-i", "0"))
    place = ("osd", "crush", "create-or-move", "osd.0", "1.0", "root=default", "host=localhost")
    _wait(lambda: _run("ceph", "-c", config, *place) == "", daemons, folder)
    _wait(lambda: "1 up" in _run("ceph", "-c", config, "osd", "stat"), daemons, folder)
    ceph = Ceph(f"http://127.0.0.1:{port}", "TESTACCESSKEY", "a-secret-key-for-tests", folder)
    key = (f"--access-key={ceph.access_key}", f"--secret-key={ceph.secret_key}")
    ceph.administer("user", "create", f"--uid={USER}", f"--display-name={USER}", "--max-buckets=0", *key)
    daemons.append(_daemon(folder, "radosgw", "-n", "client.rgw.a"))
    _wait(lambda: _answers(port), daemons, folder)
    return ceph


def _stop(daemons: list[subprocess.Popen[bytes]], folder: Path) -> None:
    for daemon in daemons:
        daemon.kill()
    for daemon in daemons:
        daemon.wait()
    shutil.rmtree(folder, ignore_errors=True)


def _run(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=START_TIMEOUT_S)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stderr}")
    return done.stdout


def _daemon(folder: Path, *command: str) -> subprocess.Popen[bytes]:
    parent_pid = os.getpid()
    return subprocess.Popen(
        [*command, "-c", folder / "ceph.conf", "-f"],
        stdin=subprocess.DEVNULL,
        stdout=open(folder / "daemons.log", "ab"),
        stderr=subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=lambda: die_with_parent(parent_pid),
    )


def _config(folder: Path, *, fsid: str, monitor: str, port: int) -> str:
    """One copy of everything on one daemon, no authentication between the daemons, and nothing outside `folder`."""
    everywhere = {
        "fsid": fsid,
        "mon_initial_members": "a",
        "mon_host": monitor,
        "public_addr": "127.0.0.1",
        "cluster_addr": "127.0.0.1",
        "auth_cluster_required": "none",
        "auth_service_required": "none",
        "auth_client_required": "none",
        "keyring": folder / "keyring",
        "run_dir": folder,
        "admin_socket": folder / "$name.asok",
        "log_file": folder / "$name.log",
        "mon_cluster_log_file": folder / "cluster.log",
        "mon_data": folder / "monitor",
        "mon_data_avail_crit": 1,  # percent of the disk
        "mon_allow_pool_size_one": "true",
        "paxos_propose_interval": 0.02,  # s; the pools are made one after the other, each a proposal or two
        "paxos_min_wait": 0.01,  # s
        "osd_data": folder / "osd",
        "osd_objectstore": "memstore",
        "memstore_device_bytes": 8 << 30,  # a limit, taken only as it fills
        "osd_pool_default_size": 1,
        "osd_pool_default_min_size": 1,
        "osd_pool_default_pg_num": 4,
        "osd_pool_default_pgp_num": 4,
        "osd_pool_default_pg_autoscale_mode": "off",
        "osd_crush_chooseleaf_type": 0,
        "osd_class_load_list": "*",
        "osd_class_update_on_start": "false",  # its first command: see the race in `start`
        "osd_crush_update_on_start": "false",
        "osd_op_num_shards": 1,
    }
    gateway = {
        "rgw_frontends": f"beast endpoint=127.0.0.1:{port} tcp_nodelay=1",  # without it an answer takes 40 ms
        "rgw_thread_pool_size": 32,
        "rgw_dns_name": "localhost",
    }
    sections = {"global": everywhere, "client.rgw.a": gateway}
    return "".join(
        f"[{name}]\n" + "".join(f"{option} = {value}\n" for option, value in options.items())
        for name, options in sections.items()
    )


def _wait(holds: Callable[[], bool], daemons: list[subprocess.Popen[bytes]], folder: Path) -> None:
    """Wait until it holds, which it does not while it raises."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        with contextlib.suppress(RuntimeError, OSError, http.client.HTTPException):
            if holds():
                return
        if time.monotonic() > deadline or any(daemon.poll() is not None for daemon in daemons):
            raise RuntimeError(f"The Ceph gateway did not start.\n{(folder / 'daemons.log').read_text()[-4000:]}")
        time.sleep(0.05)


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request("GET", "/")
    return connection.getresponse().status == 200


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
