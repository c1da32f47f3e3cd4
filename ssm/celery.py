"""The Celery app and its beat schedule: a few ticks that look for due work, whatever the size of the fleet."""

from celery import Celery
from django.conf import settings

app = Celery("ssm")
app.conf.update(
    broker_url=settings.CELERY_BROKER_URL,
    broker_connection_retry_on_startup=True,
    # A lost message is noticed by the reaper after seconds; a redelivered one is harmless (tasks look first).
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    broker_transport_options={"visibility_timeout": 3600, "global_keyprefix": "ssm-celery:"},
    task_ignore_result=True,
    task_serializer="json",
    accept_content=["json"],
    worker_hijack_root_logger=False,
    worker_send_task_events=False,
    timezone="UTC",
    beat_schedule={
        "sweep-due-devices": {
            "task": "containers.dispatch_due_sweeps",
            "schedule": 10.0,
            "options": {"expires": 10},
        },
        "settle-operations": {
            "task": "containers.settle_operations",
            "schedule": 10.0,
            "options": {"expires": 10},
        },
        "expire-history": {
            "task": "containers.expire_history",
            "schedule": 3600.0,
            "options": {"expires": 3600},
        },
    },
)
app.autodiscover_tasks()
