"""The prediction API: a process of its own with few middlewares and its own urls."""

import os

from django.core.wsgi import get_wsgi_application

os.environ["DLM_ROLE"] = "serving"
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dlmodeler_site.settings")
application = get_wsgi_application()
