"""Large fleets: one column to search in, and indexes for the pages of the table and what is counted on every page."""

import django.db.models.functions.text
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("containers", "0013_device_operations"),
        ("devices", "0004_tls_and_host_keys"),
    ]

    operations = [
        migrations.RemoveIndex(
            model_name="container",
            name="containers_container_name_i",
        ),
        migrations.AddField(
            model_name="container",
            name="search_text",
            field=models.GeneratedField(
                db_persist=True,
                expression=django.db.models.functions.text.Lower(
                    django.db.models.functions.text.Concat(
                        "name",
                        models.Value("\n"),
                        "display_name",
                        models.Value("\n"),
                        "image_reference",
                        models.Value("\n"),
                        "compose_project",
                        output_field=models.TextField(),
                    )
                ),
                output_field=models.TextField(),
            ),
        ),
        migrations.AddIndex(
            model_name="container",
            index=models.Index(
                condition=models.Q(("removed_at", None)),
                fields=["name", "device", "id"],
                name="containers_container_by_name",
            ),
        ),
        migrations.AddIndex(
            model_name="container",
            index=models.Index(
                condition=models.Q(("removed_at", None)),
                fields=["state", "health", "exit_code", "oom_killed", "looping_since"],
                name="containers_container_counts",
            ),
        ),
    ]
