"""Fills a database as a small installation has it, with what copies of tables may stumble over.

Run as a program: ``python -m tests.recovery.installation``, with DATABASE_URL naming an empty database.
"""

from datetime import UTC, datetime, timedelta

import django

AWKWARD = 'tab\there, "quotes", back\\slash, \\N, line\nend, carriage\rreturn, ünïcode \u202e and \U0001f433'
SECRET = "marked-secret-of-the-backup"


def fill() -> None:
    """People, a device with a secret, operations in several states, figures in two partitions, an audit row."""
    from django.contrib.auth.models import User
    from django.db import connection

    from containers.models import Operation
    from containers.statistics.partitions import SAMPLES, make
    from ssm.accounts.audit import record_audit
    from tests.factories import ContainerFactory, CredentialFactory, DeviceFactory, EventFactory, OperationFactory

    root = User.objects.create_superuser("root", "root@example.com", "a long password of the test")
    device = DeviceFactory(name="kept", credential=CredentialFactory(password=SECRET), state_message=AWKWARD)
    container = ContainerFactory(device=device, labels={"awkward": AWKWARD.replace("\0", "")})
    for state in Operation.State.values:
        ended = {} if state in Operation.ACTIVE_STATES else {"finished_at": datetime(2026, 1, 2, tzinfo=UTC)}
        # One act at a time on a container: each has its own.
        OperationFactory(container=ContainerFactory(device=device), device=device, state=state, **ended)
    EventFactory.create_batch(50, device=device)
    record_audit(root, "device.add", device)
    moments = [datetime(2026, 3, 1, 5, tzinfo=UTC) + timedelta(hours=8 * number, microseconds=7) for number in (0, 1)]
    with connection.cursor() as cursor:
        for moment in moments:
            make(SAMPLES, moment)
            cursor.execute(
                "INSERT INTO containers_usage_sample (device_id, sampled_at, host, containers, figures)"
                " VALUES (%s, %s, %s, %s, %s)",
                [device.pk, moment, bytes(range(40)), [container.pk], bytes(range(256))],
            )


if __name__ == "__main__":
    django.setup()
    from django.core.management import call_command

    call_command("migrate", interactive=False, verbosity=0)
    fill()
