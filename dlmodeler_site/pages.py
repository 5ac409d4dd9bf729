"""Pages that belong to no app."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from dlmodeler_site.middleware import current_request_id


def intro(request: HttpRequest) -> HttpResponse:
    """What the product does; no login needed."""
    return render(request, "intro.html")


def server_error(request: HttpRequest) -> HttpResponse:
    """Our own fault: a reference that is found in the log, nothing else."""
    return render(request, "500.html", {"reference": current_request_id()}, status=500)
