"""What is known of images beside their names: layers, configuration, what they share."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("containers", "0007_operations_in_general")]

    operations = [
        migrations.AddField("image", "name", models.CharField(blank=True, default="", max_length=640)),
        migrations.AddField("image", "config", models.JSONField(blank=True, default=dict)),
        migrations.AddField("image", "history", models.JSONField(blank=True, null=True)),
        migrations.AddField("image", "layers", models.JSONField(blank=True, default=list)),
        migrations.AddField("image", "shared_bytes", models.BigIntegerField(blank=True, null=True)),
        migrations.RunSQL(
            "UPDATE containers_image SET name = COALESCE(repo_tags[1], repo_digests[1], '')",
            migrations.RunSQL.noop,
        ),
        migrations.AddIndex("image", models.Index(fields=["name"], name="containers_image_name")),
        migrations.AddIndex("image", models.Index(fields=["-size_bytes"], name="containers_image_size")),
        migrations.AddIndex(
            "container",
            models.Index(
                condition=models.Q(("removed_at", None)),
                fields=["device", "image_id"],
                name="containers_container_uses",
            ),
        ),
    ]
