import django.contrib.postgres.fields
import django.db.models.deletion
from django.db import migrations, models

# The two tables of the past have no models: they are partitioned, and hold packed figures (containers.statistics).
# No foreign keys: making and dropping partitions would lock the tables of containers and devices, and rows of what
# was deleted go with their partition. The figures are packed already, and parts of them are read: so EXTERNAL.
TABLES = """
CREATE TABLE containers_usage_sample (
    device_id uuid NOT NULL,
    sampled_at timestamp with time zone NOT NULL,
    host bytea NOT NULL,
    containers uuid[] NOT NULL,
    figures bytea NOT NULL,
    PRIMARY KEY (device_id, sampled_at)
) PARTITION BY RANGE (sampled_at);
ALTER TABLE containers_usage_sample ALTER COLUMN containers SET STORAGE EXTERNAL;
ALTER TABLE containers_usage_sample ALTER COLUMN figures SET STORAGE EXTERNAL;
CREATE TABLE containers_usage_history (
    subject_id uuid NOT NULL,
    day date NOT NULL,
    step_s integer NOT NULL,
    figures bytea NOT NULL,
    PRIMARY KEY (subject_id, day)
) PARTITION BY RANGE (day);
ALTER TABLE containers_usage_history ALTER COLUMN figures SET STORAGE EXTERNAL;
"""
NO_TABLES = "DROP TABLE containers_usage_history; DROP TABLE containers_usage_sample;"
# Every row is written anew with every sample: half-empty pages keep the new version beside the old one, which then
# needs no change of an index, and vacuum comes before the dead rows outnumber the living.
ROOM = """
ALTER TABLE containers_containerusage SET (fillfactor = 45, autovacuum_vacuum_scale_factor = 0.5);
ALTER TABLE containers_hostusage SET (fillfactor = 45, autovacuum_vacuum_scale_factor = 0.5);
"""


class Migration(migrations.Migration):
    dependencies = [
        ("containers", "0002_batches"),
        ("devices", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="ContainerUsage",
            fields=[
                (
                    "container",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="usage",
                        serialize=False,
                        to="containers.container",
                    ),
                ),
                ("sampled_at", models.DateTimeField(null=True)),
                ("cpu_percent", models.FloatField(null=True)),
                ("memory_bytes", models.BigIntegerField(null=True)),
                ("memory_limit_bytes", models.BigIntegerField(null=True)),
                ("network_received_bytes_per_s", models.FloatField(null=True)),
                ("network_sent_bytes_per_s", models.FloatField(null=True)),
                ("block_read_bytes_per_s", models.FloatField(null=True)),
                ("block_written_bytes_per_s", models.FloatField(null=True)),
                ("pids", models.BigIntegerField(null=True)),
                (
                    "recent_cpu",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.FloatField(null=True), default=list, size=None
                    ),
                ),
                (
                    "recent_memory",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.FloatField(null=True), default=list, size=None
                    ),
                ),
            ],
            options={"verbose_name_plural": "container usage"},
        ),
        migrations.CreateModel(
            name="HostUsage",
            fields=[
                (
                    "device",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="usage",
                        serialize=False,
                        to="devices.device",
                    ),
                ),
                ("sampled_at", models.DateTimeField(null=True)),
                (
                    "source",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("", "not available"),
                            ("ssh", "read on the host over SSH"),
                            ("engine", "what the engine tells"),
                        ],
                        default="",
                        max_length=10,
                    ),
                ),
                ("reason", models.TextField(blank=True, default="")),
                (
                    "cpu_percent",
                    models.FloatField(help_text="Percent of all CPUs together, 0 to 100.", null=True),
                ),
                ("memory_used_bytes", models.BigIntegerField(null=True)),
                ("memory_total_bytes", models.BigIntegerField(null=True)),
                ("load_1", models.FloatField(null=True)),
                ("load_5", models.FloatField(null=True)),
                ("load_15", models.FloatField(null=True)),
                ("disk_used_bytes", models.BigIntegerField(null=True)),
                ("disk_total_bytes", models.BigIntegerField(null=True)),
                (
                    "recent_cpu",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.FloatField(null=True), default=list, size=None
                    ),
                ),
                (
                    "recent_memory",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.FloatField(null=True), default=list, size=None
                    ),
                ),
                ("data_folder", models.TextField(blank=True, default="")),
                ("asked_at", models.DateTimeField(null=True)),
                ("refused_target", models.CharField(blank=True, default="", max_length=64)),
                ("retry_at", models.DateTimeField(null=True)),
            ],
            options={"verbose_name_plural": "host usage"},
        ),
        migrations.RunSQL(TABLES, NO_TABLES),
        migrations.RunSQL(ROOM, migrations.RunSQL.noop),
    ]
