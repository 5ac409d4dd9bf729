from django.urls import path, re_path

from deployments.predict import InstancesView, MetadataView, NothingHereView, PredictView

urlpatterns = [
    path("<int:pk>/predict", PredictView.as_view()),
    path("<int:pk>/metadata", MetadataView.as_view()),
    path("<int:pk>:predict", InstancesView.as_view()),
    re_path("", NothingHereView.as_view()),
]
