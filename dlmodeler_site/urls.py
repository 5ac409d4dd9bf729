"""The urls of pages and API; the only module of the platform that knows the apps."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from dlmodeler_site import health, pages

api: list[URLPattern | URLResolver] = [
    path("", include("dlmodeler_site.api_urls")),
    path("", include("projects.api_urls")),
    path("", include("datasets.api_urls")),
    path("", include("jobs.api_urls")),
    path("", include("deployments.api_urls")),
    path("schema/", SpectacularAPIView.as_view(), name="api-schema"),
    path("docs/", SpectacularSwaggerSplitView.as_view(url_name="api-schema"), name="api-docs"),
]
urlpatterns = [
    path("", pages.intro, name="intro"),
    path("favicon.ico", RedirectView.as_view(url="/static/dlmodeler/logo.svg")),
    path("accounts/", include("allauth.urls")),
    path("admin/", admin.site.urls),
    path("i18n/", include("django.conf.urls.i18n")),
    path("api/v1/", include(api)),
    path("metrics/", health.metrics, name="metrics"),
    path("projects/", include("projects.urls")),
    path("", include("datasets.urls")),
    path("", include("jobs.urls")),
    path("", include("deployments.urls")),
]
handler500 = "dlmodeler_site.pages.server_error"
