"""What the serving process answers."""

from django.urls import include, path

from dlmodeler_site import health

urlpatterns = [
    path("d/", include("deployments.serving_urls")),
    path("health/live/", health.live),
]
