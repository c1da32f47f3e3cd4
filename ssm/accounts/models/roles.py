"""What a Django group is to SSM besides its permissions."""

from django.contrib.auth.models import Group
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.urls import reverse

from ssm.lib.roles import BUILT_IN, Limit, Right, rights_of


class Role(models.Model):
    """A named set of rights, held by the users of its group, everywhere or in part of the fleet."""

    group = models.OneToOneField(Group, on_delete=models.CASCADE, primary_key=True, related_name="role")
    description = models.CharField(max_length=255, blank=True, default="")
    # Both empty: everywhere. Else on devices of one of the groups, on objects with one of the labels.
    device_groups = ArrayField(models.CharField(max_length=50), blank=True, default=list)
    labels = ArrayField(models.CharField(max_length=255), blank=True, default=list)
    demands_second_factor = models.BooleanField("demand a second factor", default=False)

    class Meta:
        ordering = ["group__name"]
        permissions = [
            ("view_logs", "Can read the logs of containers"),
            ("exec_container", "Can run commands inside containers"),
            ("manage_volumes", "Can manage volumes and their backups"),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        """The role's page."""
        return reverse("roles:edit", args=[self.pk])

    @property
    def name(self) -> str:
        """The group's."""
        return self.group.name

    @property
    def is_built_in(self) -> bool:
        """Whether it comes with SSM: its name, rights and reach are fixed."""
        return self.group.name in BUILT_IN

    @property
    def limit(self) -> Limit:
        """The part of the fleet it is about."""
        return Limit(tuple(self.device_groups), tuple(self.labels))

    @property
    def rights(self) -> frozenset[Right]:
        """What it allows; free of a query where the group's permissions and their content types are prefetched."""
        return rights_of(self.group.permissions.all())
