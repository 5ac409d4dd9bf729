from django.urls import path

from deployments.predict import InstancesView, MetadataView, PredictView

urlpatterns = [
    path("<int:pk>/predict", PredictView.as_view()),
    path("<int:pk>/metadata", MetadataView.as_view()),
    path("<int:pk>:predict", InstancesView.as_view()),
]
