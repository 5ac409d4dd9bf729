from django.urls import path

from dlmodeler_site import health
from dlmodeler_site.tokens import ObtainToken

urlpatterns = [
    path("auth/token/", ObtainToken.as_view(), name="api-token"),
    path("health/live/", health.live, name="health-live"),
    path("health/ready/", health.ready, name="health-ready"),
    path("metrics/", health.metrics, name="api-metrics"),
]
