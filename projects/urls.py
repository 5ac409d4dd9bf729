from django.urls import path

from projects import views

app_name = "projects"
urlpatterns = [
    path("", views.project_list, name="list"),
    path("new/", views.project_create, name="create"),
    path("trash/", views.project_trash, name="trash"),
    path("trash/empty/", views.project_trash_empty, name="trash-empty"),
    path("trash/<int:pk>/restore/", views.project_restore, name="restore"),
    path("trash/<int:pk>/delete/", views.project_end, name="delete-forever"),
    path("<int:pk>/edit/", views.project_edit, name="edit"),
    path("<int:pk>/delete/", views.project_delete, name="delete"),
]
