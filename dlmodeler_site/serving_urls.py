"""What the serving process answers."""

from django.urls import include, path

from dlmodeler_site import health

urlpatterns = [
    path("d/", include("deployments.serving_urls")),
    path("health/live/", health.live),
]
handler400 = "dlmodeler_site.serving_errors.bad_request"
handler404 = "dlmodeler_site.serving_errors.not_found"
handler500 = "dlmodeler_site.serving_errors.server_error"
