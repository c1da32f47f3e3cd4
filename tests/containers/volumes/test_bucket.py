"""The store of backups in a bucket: moto's server speaks S3's protocol, no provider is asked."""

import hashlib
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import boto3
import pytest
from django.core.files.storage import storages
from moto.server import ThreadedMotoServer
from pytest_django import Settings

from containers.backups import store
from containers.errors import StoreFailed
from containers.volume_requests import request_restore
from tests.containers.stage import MakeStage
from tests.containers.volumes.yard import backed_up, done, somebody, yard_of
from tests.queued import take_queued

BUCKET = "volumes"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """An S3 on this machine with one empty bucket."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    with closing(boto3.client("s3", endpoint_url=url, **_keys(), region_name="us-east-1")) as client:
        client.create_bucket(Bucket=BUCKET)
    yield url
    server.stop()


@pytest.fixture
def bucket(endpoint: str, settings: Settings) -> Iterator[Any]:
    """The store is that bucket; gives the bucket as the provider sees it."""
    _use(settings, endpoint, BUCKET)
    bucket = boto3.resource("s3", endpoint_url=endpoint, **_keys(), region_name="us-east-1").Bucket(BUCKET)
    yield bucket
    bucket.objects.all().delete()


def _keys() -> dict[str, str]:
    return {"aws_access_key_id": "of-this-test", "aws_secret_access_key": "of-this-test-alone"}


def _use(settings: Settings, endpoint: str, bucket: str) -> None:
    options = {
        "bucket_name": bucket,
        "location": "of-ssm",
        "endpoint_url": endpoint,
        "region_name": "us-east-1",
        "access_key": _keys()["aws_access_key_id"],
        "secret_key": _keys()["aws_secret_access_key"],
    }
    chosen = {"BACKEND": "ssm.lib.s3.S3BackupStorage", "OPTIONS": options}
    settings.STORAGES = {**settings.STORAGES, "backups": chosen}
    assert storages["backups"].bucket_name == bucket


@pytest.mark.django_db(transaction=True)
def test_volume_is_backed_up_into_a_bucket_and_restored_from_it(bucket: Any, make_stage: MakeStage) -> None:
    take_queued()
    with yard_of(make_stage("28")) as yard:
        name = yard.make()
        before = yard.state(name)

        backup = backed_up(yard, name)
        yard.stage.host.api("DELETE", f"/volumes/{name}")
        restored = done(request_restore(somebody(), backup, yard.stage.device, name, mode="new"))

        assert (restored.state, restored.error_message) == ("succeeded", "")
        assert yard.state(name) == before
    keys = {item.key for item in bucket.objects.all()}
    assert len(keys) == 2 and all(key.startswith("of-ssm/") for key in keys)


def test_pieces_larger_than_one_part_are_stored_whole(bucket: Any) -> None:
    pieces = [bytes([number]) * (1024 * 1024) for number in range(20)]  # S3 takes parts of 5 MiB and more

    store.write("a/large.tar.zst", iter(pieces))

    with store.reading("a/large.tar.zst") as file:
        found = hashlib.sha256()
        while data := file.read(65536):
            found.update(data)
    assert found.hexdigest() == hashlib.sha256(b"".join(pieces)).hexdigest()


def test_source_that_breaks_off_leaves_nothing_in_the_bucket(bucket: Any) -> None:
    def breaking() -> Iterator[bytes]:
        yield bytes(12 * 1024 * 1024)
        raise ConnectionResetError("the host went away")

    with pytest.raises(ConnectionResetError):
        store.write("a/broken.tar.zst", breaking())

    assert list(bucket.objects.all()) == []
    assert list(bucket.multipart_uploads.all()) == []


def test_name_that_is_taken_is_not_overwritten(bucket: Any) -> None:
    store.write("a/one", [b"first"])

    with pytest.raises(StoreFailed, match="could not be written"):
        store.write("a/one", [b"second"])

    with store.reading("a/one") as file:
        assert file.read() == b"first"
    assert len(list(bucket.objects.all())) == 1


def test_backup_that_is_not_there_and_a_missing_bucket_are_explained(
    bucket: Any, endpoint: str, settings: Settings
) -> None:
    with pytest.raises(StoreFailed, match="a/gone could not be read"), store.reading("a/gone"):
        pass
    assert store.find_manifest("a/gone") is None

    _use(settings, endpoint, "nowhere")

    with pytest.raises(StoreFailed, match="NoSuchBucket"):
        store.write("a/one", [b"data"])
