"""The page's dialog that runs a training again."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from dlmodeler_site.access import get_editable
from dlmodeler_site.errors import UserError
from jobs.models import Training
from jobs.records.again import changes, free_name, require_repeatable, run_again


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def training_again(request: HttpRequest, pk: int) -> HttpResponse:
    """What is not as it was, to be confirmed; by POST the training is run again."""
    training = get_editable(Training.objects.select_related("job__project"), request.user, pk=pk)
    if request.method == "POST":
        started = run_again(request.user, training, request.POST.get("name", ""))  # type: ignore[arg-type]
        messages.success(request, _("Queued: %(names)s") % {"names": started.name})
        return redirect(started)
    context: dict[str, object] = {"training": training, "name": free_name(training)}
    try:
        require_repeatable(training)
        context["changes"] = changes(training)
    except UserError as error:
        context["refusal"] = error
    return render(request, "jobs/_again.html", context)
