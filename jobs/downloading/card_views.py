"""The model card as a page, and as one file."""

from pathlib import Path

from django.contrib.auth.decorators import login_required
from django.contrib.staticfiles import finders
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils.http import content_disposition_header
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from dlmodeler_site.access import get_visible
from jobs.downloading.card import card as card_of
from jobs.models import Training
from jobs.views import job_frame

STYLES = ("dlmodeler/card.css", "dlmodeler/matrix.css")


@login_required
@require_safe
def card(request: HttpRequest, pk: int) -> HttpResponse:
    """The model card; with `?download=1` one file that needs nothing else."""
    training = get_visible(Training.objects.select_related("job__project", "creator"), request.user, pk=pk)
    told = card_of(training)
    if request.GET.get("download"):
        page = render_to_string("jobs/card_file.html", {**told, "styles": _styles()})
        name = content_disposition_header(as_attachment=True, filename=f"{training.slug}-card.html")
        return HttpResponse(page, headers={"Content-Disposition": name})
    crumbs = (training.name, training.get_absolute_url()), (_("Model card"), None)
    return render(request, "jobs/card.html", job_frame(request, training.job, *crumbs, **told))


def _styles() -> str:
    """The style sheets of the card, to stand in the file itself."""
    paths = [finders.find(name) for name in STYLES]
    return "\n".join(Path(str(path)).read_text(encoding="utf-8") for path in paths if path)
