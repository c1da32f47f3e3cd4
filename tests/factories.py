"""Minimal valid rows, one factory per model."""

import hashlib
import json
from datetime import timedelta

import factory
from factory.django import DjangoModelFactory

from containers.models import (
    Backup,
    BackupPlan,
    Container,
    Event,
    Image,
    Network,
    Operation,
    Replacement,
    Volume,
)
from devices.models import Credential, Device, HostKey, HostKeyRule, ShownKey, TlsIdentity, now
from devices.rules.host_keys import fingerprint as fingerprint_of
from registries.models import Registry, RepositoryKnowledge, TagKnowledge


class CredentialFactory(DjangoModelFactory[Credential]):
    class Meta:
        model = Credential

    name = factory.Sequence(lambda number: f"credential-{number}")
    username = "op"
    password = "not-a-real-password"


class DeviceFactory(DjangoModelFactory[Device]):
    class Meta:
        model = Device

    name = factory.Sequence(lambda number: f"host-{number}")
    # Nothing listens there: what tries to connect is refused at once, and never leaves this machine.
    address = "127.0.0.1"
    port = 9
    credential = factory.SubFactory(CredentialFactory)

    class Params:
        online = factory.Trait(
            state="online",
            last_seen_at=factory.LazyFunction(now),
            channel_kind="streamlocal",
            engine_product="docker",
            engine_version="28.5.2",
            api_version="1.51",
            last_sweep_at=factory.LazyFunction(now),
        )
        unreachable = factory.Trait(
            state="unreachable",
            state_code="timed_out",
            state_message="It did not answer within 10 seconds.",
            state_fix="Check the cable.",
            last_seen_at=factory.LazyFunction(now),
        )


# A public key that nobody has the private half of.
_SOME_KEY = "AAAAC3NzaC1lZDI1NTE5AAAAIOt4HYdnSEJ9ZuCGI0++42C6yHkw1Lm5vSzV3tWRlXhU"


class HostKeyFactory(DjangoModelFactory[HostKey]):
    class Meta:
        model = HostKey

    device = factory.SubFactory(DeviceFactory)
    key_type = "ssh-ed25519"
    key_base64 = _SOME_KEY
    fingerprint = fingerprint_of(_SOME_KEY)


class ShownKeyFactory(DjangoModelFactory[ShownKey]):
    class Meta:
        model = ShownKey

    device = factory.SubFactory(DeviceFactory)
    key_type = "ssh-ed25519"
    key_base64 = _SOME_KEY
    fingerprint = fingerprint_of(_SOME_KEY)


class HostKeyRuleFactory(DjangoModelFactory[HostKeyRule]):
    class Meta:
        model = HostKeyRule

    patterns = "*.example.com"
    key_type = "ssh-ed25519"
    key_base64 = _SOME_KEY
    fingerprint = fingerprint_of(_SOME_KEY)


class TlsIdentityFactory(DjangoModelFactory[TlsIdentity]):
    class Meta:
        model = TlsIdentity

    name = factory.Sequence(lambda number: f"identity-{number}")


class ContainerFactory(DjangoModelFactory[Container]):
    class Meta:
        model = Container

    device = factory.SubFactory(DeviceFactory, online=True)
    name = factory.Sequence(lambda number: f"container-{number}")
    engine_id = factory.LazyAttribute(lambda made: hashlib.sha256(made.name.encode()).hexdigest())
    image_reference = "demo/web:1.0.0"
    registry = "docker.io"
    repository = "demo/web"
    tag = "1.0.0"
    state = "running"
    started_at = factory.LazyFunction(now)


class ImageFactory(DjangoModelFactory[Image]):
    class Meta:
        model = Image

    device = factory.SubFactory(DeviceFactory, online=True)
    engine_id = factory.Sequence(lambda number: f"sha256:{number:064x}")
    os = "linux"
    architecture = "amd64"


class NetworkFactory(DjangoModelFactory[Network]):
    class Meta:
        model = Network

    device = factory.SubFactory(DeviceFactory, online=True)
    name = factory.Sequence(lambda number: f"network-{number}")
    engine_id = factory.Sequence(lambda number: f"{number:064x}")
    driver = "bridge"
    scope = "local"
    pools = factory.LazyFunction(
        lambda: [{"subnet": "10.1.2.0/24", "gateway": "10.1.2.1", "ip_range": "", "auxiliary": {}}]
    )


class VolumeFactory(DjangoModelFactory[Volume]):
    class Meta:
        model = Volume

    device = factory.SubFactory(DeviceFactory, online=True)
    name = factory.Sequence(lambda number: f"volume-{number}")
    driver = "local"
    created_at = factory.LazyFunction(now)


class BackupFactory(DjangoModelFactory[Backup]):
    class Meta:
        model = Backup

    device = factory.SubFactory(DeviceFactory, online=True)
    device_name = factory.SelfAttribute("device.name")
    volume_name = factory.Sequence(lambda number: f"volume-{number}")
    state = "good"
    file_name = factory.LazyAttribute(lambda made: f"host/{made.volume_name}/1.tar.zst")
    size_bytes = 1000
    sha256 = "0" * 64
    contents = factory.LazyFunction(lambda: {"files": 1, "content_bytes": 5000})
    finished_at = factory.LazyFunction(now)


class BackupPlanFactory(DjangoModelFactory[BackupPlan]):
    class Meta:
        model = BackupPlan

    device = factory.SubFactory(DeviceFactory, online=True)
    volume_name = factory.Sequence(lambda number: f"volume-{number}")
    schedule = "0 3 * * *"


class OperationFactory(DjangoModelFactory[Operation]):
    class Meta:
        model = Operation

    kind = "restart"
    container = factory.SubFactory(ContainerFactory)
    device = factory.SelfAttribute("container.device")
    device_name = factory.SelfAttribute("device.name")
    engine_id = factory.SelfAttribute("container.engine_id")
    target_name = factory.SelfAttribute("container.name")


class EventFactory(DjangoModelFactory[Event]):
    class Meta:
        model = Event

    container = factory.SubFactory(ContainerFactory)
    device = factory.SelfAttribute("container.device")
    kind = "container"
    action = "start"
    actor_id = factory.SelfAttribute("container.engine_id")
    actor_name = factory.SelfAttribute("container.name")
    time = factory.LazyFunction(now)
    time_ns = factory.Sequence(lambda number: 1_700_000_000_000_000_000 + number)


class RegistryFactory(DjangoModelFactory[Registry]):
    class Meta:
        model = Registry

    name = factory.Sequence(lambda number: f"registry-{number}")
    provider = "custom"
    host = factory.Sequence(lambda number: f"registry-{number}.example.com")
    base_url = factory.LazyAttribute(lambda made: f"https://{made.host}")

    class Params:
        with_login = factory.Trait(
            kind="login+password",
            public_values={"login": "reader"},
            secrets=json.dumps({"password": "not-a-real-password"}),
        )


class RepositoryFactory(DjangoModelFactory[RepositoryKnowledge]):
    class Meta:
        model = RepositoryKnowledge

    host = "docker.io"
    path = factory.Sequence(lambda number: f"library/image-{number}")
    tags = ["1.0", "1.1", "1.10", "latest"]
    tag_count = 4
    needs_tag_list = True
    tags_at = factory.LazyFunction(now)
    tags_attempted_at = factory.LazyFunction(now)
    attempted_at = factory.LazyFunction(now)
    looked_up_at = factory.LazyFunction(now)


class TagFactory(DjangoModelFactory[TagKnowledge]):
    class Meta:
        model = TagKnowledge

    repository = factory.SubFactory(RepositoryFactory)
    tag = "1.0"
    digest = factory.LazyAttribute(lambda made: "sha256:" + hashlib.sha256(made.tag.encode()).hexdigest())
    media_type = "application/vnd.oci.image.index.v1+json"
    checked_at = factory.LazyFunction(now)
    attempted_at = factory.LazyFunction(now)


class ReplacementFactory(DjangoModelFactory[Replacement]):
    class Meta:
        model = Replacement

    container = factory.SubFactory(ContainerFactory)
    device = factory.LazyAttribute(lambda made: made.container.device)
    kind = "update"
    name = factory.LazyAttribute(lambda made: made.container.name)
    old_engine_id = factory.LazyAttribute(lambda made: hashlib.sha256(f"old {made.name}".encode()).hexdigest())
    new_engine_id = factory.LazyAttribute(lambda made: made.container.engine_id)
    old_image = "demo/web:0.9.0"
    new_image = "demo/web:1.0.0"
    state = "removed"
    replaced_by = "operator"

    class Params:
        kept = factory.Trait(
            state="kept",
            kept_name=factory.LazyAttribute(lambda made: f"{made.name}-before-20260101-000000"),
            keep_until=factory.LazyFunction(lambda: now() + timedelta(hours=1)),
        )
