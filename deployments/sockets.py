"""Where model servers listen, and the clients that talk to them."""

from pathlib import Path

from django.conf import settings

from deployments.client import ModelServerClient

TIMEOUT_S = 10
MAX_CLIENTS = 1024

_clients: dict[int, tuple[int, ModelServerClient]] = {}


def socket_path(deployment_pk: int, version: int) -> Path:
    """Where the model server of the deployment's version of this number listens."""
    return Path(settings.DLM_SOCKETS) / f"{deployment_pk}-{version}.sock"


def client_of(deployment_pk: int, version: int) -> ModelServerClient:
    """This process's client of that model server; its threads keep their connections open.

    One client is kept for each deployment, so that the connections to a version end when another is asked.
    """
    known = _clients.get(deployment_pk)
    if known is None or known[0] != version:
        if len(_clients) >= MAX_CLIENTS:
            _clients.clear()
        known = version, ModelServerClient(socket_path(deployment_pk, version), TIMEOUT_S)
        _clients[deployment_pk] = known
    return known[1]
