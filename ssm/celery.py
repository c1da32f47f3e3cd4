"""The Celery app; its settings, the beat schedule included, are the CELERY_* names in ssm.settings."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ssm.settings")

app = Celery("ssm")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
