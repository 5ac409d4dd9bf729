"""The REST addresses of deployments, and of the files that they predict."""

from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse

from datasets.models import File
from deployments.models import Deployment


def address_of(deployment: Deployment, request: HttpRequest) -> str:
    """The deployment's absolute address without a trailing slash, under the name that the request came for."""
    return f"{serving_base(request)}/d/{deployment.pk}"


def serving_base(request: HttpRequest) -> str:
    """`DLM_SERVING_URL`, else the request's host with the serving port."""
    if settings.DLM_SERVING_URL:
        return str(settings.DLM_SERVING_URL)
    host = urlsplit(f"//{request.get_host()}").hostname or "localhost"
    if ":" in host:  # IPv6
        host = f"[{host}]"
    return f"{request.scheme}://{host}:{settings.DLM_SERVING_PORT}"


def file_url(file: File, request: HttpRequest) -> str:
    """Where the file's bytes are; takes the API token."""
    return request.build_absolute_uri(reverse("api-file-content", args=[file.pk]))
