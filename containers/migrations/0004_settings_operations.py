from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("containers", "0003_statistics")]

    operations = [
        migrations.AlterField(
            model_name="operation",
            name="kind",
            field=models.CharField(
                choices=[
                    ("start", "start"),
                    ("stop", "stop"),
                    ("restart", "restart"),
                    ("pause", "pause"),
                    ("unpause", "unpause"),
                    ("kill", "kill"),
                    ("remove", "remove"),
                    ("rename", "rename"),
                    ("configure", "change limits of"),
                ],
                max_length=20,
            ),
        ),
    ]
