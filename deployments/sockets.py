"""Where model servers listen, and the clients that talk to them."""

from functools import lru_cache
from pathlib import Path

from django.conf import settings

from deployments.client import ModelServerClient

TIMEOUT_S = 10


def socket_path(deployment_pk: int) -> Path:
    return Path(settings.DLM_SOCKETS) / f"{deployment_pk}.sock"


@lru_cache(maxsize=1024)
def client_of(deployment_pk: int) -> ModelServerClient:
    """This process's client of the deployment's model server; its threads keep their connections open."""
    return ModelServerClient(socket_path(deployment_pk), TIMEOUT_S)
