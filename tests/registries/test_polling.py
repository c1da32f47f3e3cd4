"""Polls of real registries: who is asked, how often, and what is kept when one fails."""

import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db import connections

from registries.client import Limits, RegistryClient
from registries.models import Origin, RepositoryKnowledge, TagKnowledge, now
from registries.polling import expire, poll_due
from registries.services import knowledge, want
from tests.factories import RegistryFactory
from tests.registries.asking import account_of, clients_of, row_of, tag_of, want_now, wanted
from tests.registries.servers.distribution import RunningRegistry
from tests.registries.servers.fixtures import PushImage
from tests.registries.servers.providers import install_hub
from tests.registries.servers.serving import Asked, Reply
from tests.registries.servers.stub import Stub

pytestmark = pytest.mark.django_db


class Counting(RegistryClient):
    """A client whose requests can be counted after it was closed."""

    made: list["Counting"]

    def __init__(self) -> None:
        super().__init__()
        self.made.append(self)

    @classmethod
    def total(cls) -> int:
        return sum(client.requests_sent for client in cls.made)


@pytest.fixture
def counting() -> type[Counting]:
    """The class of clients, with its count at zero."""
    Counting.made = []
    return Counting


# ---- what is found ------------------------------------------------------------------------------------------


def test_poll_reads_tags_digests_platforms_labels_and_date(
    plain_registry: RunningRegistry, push_image: PushImage
) -> None:
    account_of(plain_registry)
    labels = {"org.opencontainers.image.version": "1.1"}
    built = push_image(
        plain_registry, "poll/multi", ["1.0", "1.1"], platforms=["linux/amd64", "linux/arm64/v8"], labels=labels
    )
    want_now(wanted(plain_registry.host, "poll/multi", ["1.1"]))

    assert poll_due() == 1

    row, tag = row_of(plain_registry.host, "poll/multi"), tag_of(plain_registry.host, "poll/multi", "1.1")
    assert sorted(row.tags) == ["1.0", "1.1"]
    assert (row.last_error_code, row.due_at, row.tags_due_at) == ("", None, None)
    assert tag.digest == built.digest
    assert {f"{found['os']}/{found['architecture']}": found["digest"] for found in tag.platforms} == {
        "linux/amd64": built.platforms["linux/amd64"],
        "linux/arm64": built.platforms["linux/arm64/v8"],
    }
    assert (tag.labels, tag.has_details) == (labels, True)
    assert tag.created is not None
    assert tag.created.isoformat() == "2026-03-01T12:00:00+00:00"


def test_poll_with_log_in_and_tokens_uses_the_account(
    token_registry: RunningRegistry, htpasswd_registry: RunningRegistry, push_image: PushImage
) -> None:
    for running in (token_registry, htpasswd_registry):
        account_of(running)
        push_image(running, "private/app", ["1.0"])
        want_now(wanted(running.host, "private/app", ["1.0"]))

    assert poll_due() == 2

    for running in (token_registry, htpasswd_registry):
        assert row_of(running.host, "private/app").last_error_message == ""
        assert tag_of(running.host, "private/app", "1.0").digest


def test_poll_of_a_registry_with_its_own_authority_trusts_it_for_that_account_alone(
    tls_registry: RunningRegistry, push_image: PushImage
) -> None:
    account = account_of(tls_registry)
    push_image(tls_registry, "tls/app", ["1.0"])
    want_now(wanted(tls_registry.host, "tls/app", ["1.0"]))
    poll_due()
    assert tag_of(tls_registry.host, "tls/app", "1.0").digest

    account.ca_pem = ""
    account.save()
    want_now(wanted(tls_registry.host, "tls/app", ["1.0"]))
    poll_due()

    row = row_of(tls_registry.host, "tls/app")
    assert row.last_error_code == "tls"
    assert row.last_error_fix
    assert row.tags == ["1.0"], "what was known stays"
    assert tag_of(tls_registry.host, "tls/app", "1.0").digest


# ---- how much is asked --------------------------------------------------------------------------------------


def test_poll_asks_once_however_many_wait(
    plain_registry: RunningRegistry, push_image: PushImage, counting: type[Counting]
) -> None:
    account_of(plain_registry)
    built = push_image(plain_registry, "poll/once", ["1.0"])
    for _device in range(5):
        want([wanted(plain_registry.host, "poll/once", ["1.0"], local=[built.digest])], max_age=timedelta(hours=1))

    assert poll_due(counting) == 1
    assert poll_due(counting) == 0
    assert want([wanted(plain_registry.host, "poll/once", ["1.0"])], max_age=timedelta(hours=1)) == 0

    # The first meeting with a registry, its tag list, and one HEAD.
    assert counting.total() <= 3


def test_poll_fetches_manifests_only_of_digests_that_are_news(
    plain_registry: RunningRegistry, push_image: PushImage, counting: type[Counting]
) -> None:
    account_of(plain_registry)
    push_image(plain_registry, "poll/moved", ["latest"], content="old")
    item = wanted(plain_registry.host, "poll/moved", ["latest"], with_list=False)
    want_now(item)
    poll_due(counting)
    first = counting.total()
    want_now(item)
    poll_due(counting)
    unmoved = counting.total() - first
    built = push_image(plain_registry, "poll/moved", ["latest"], content="new")
    want_now(item)
    poll_due(counting)

    tag = tag_of(plain_registry.host, "poll/moved", "latest")
    assert unmoved == 1
    assert counting.total() - first - unmoved == 3, "HEAD, manifest, configuration"
    assert (tag.digest, tag.details_digest) == (built.digest, built.digest)
    assert tag.moved_at is not None


def test_poll_of_a_digest_that_hosts_run_fetches_no_manifest(
    plain_registry: RunningRegistry, push_image: PushImage
) -> None:
    account_of(plain_registry)
    built = push_image(plain_registry, "poll/local", ["1.0"])
    want_now(wanted(plain_registry.host, "poll/local", ["1.0"], local=[built.digest]))

    poll_due()

    tag = tag_of(plain_registry.host, "poll/local", "1.0")
    assert (tag.digest, tag.details_digest) == (built.digest, "")


@pytest.mark.django_db(transaction=True)
def test_polls_of_several_workers_never_look_one_repository_up_twice(
    plain_registry: RunningRegistry, push_image: PushImage
) -> None:
    account_of(plain_registry)
    for number in range(12):
        push_image(plain_registry, f"poll/many-{number}", ["1.0"], content="same")
        want_now(wanted(plain_registry.host, f"poll/many-{number}", ["1.0"]))
    done: list[int] = []

    def work() -> None:
        try:
            done.append(poll_due())
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert sum(done) == 12
    assert not RepositoryKnowledge.objects.exclude(due_at=None, claimed_until=None).exists()
    assert Origin.objects.get().claimed_until is None


@pytest.mark.django_db(transaction=True)
def test_what_is_wanted_during_a_poll_is_not_forgotten(plain_registry: RunningRegistry, push_image: PushImage) -> None:
    account_of(plain_registry)
    push_image(plain_registry, "poll/late", ["1.0", "2.0"])
    want_now(wanted(plain_registry.host, "poll/late", ["1.0"]))

    class Late(RegistryClient):
        async def head(self, *arguments):
            thread = threading.Thread(target=self._want)
            thread.start()
            thread.join(10)
            return await super().head(*arguments)

        @staticmethod
        def _want() -> None:
            try:
                want_now(wanted(plain_registry.host, "poll/late", ["2.0"]))
            finally:
                connections.close_all()

    poll_due(Late)
    assert row_of(plain_registry.host, "poll/late").due_at is not None
    assert poll_due() == 1

    assert tag_of(plain_registry.host, "poll/late", "2.0").digest


# ---- failures -----------------------------------------------------------------------------------------------


def test_poll_of_a_missing_tag_tells_it_for_that_tag_alone(
    plain_registry: RunningRegistry, push_image: PushImage
) -> None:
    account_of(plain_registry)
    push_image(plain_registry, "poll/gone", ["1.0"])
    want_now(wanted(plain_registry.host, "poll/gone", ["1.0", "0.9"]))

    poll_due()

    assert row_of(plain_registry.host, "poll/gone").last_error_code == ""
    assert tag_of(plain_registry.host, "poll/gone", "1.0").error_code == ""
    assert tag_of(plain_registry.host, "poll/gone", "0.9").error_code == "not_found"
    assert tag_of(plain_registry.host, "poll/gone", "0.9").due_at is None


def test_poll_of_a_missing_repository_is_an_answer_that_is_not_asked_for_again_at_once(
    plain_registry: RunningRegistry,
) -> None:
    account_of(plain_registry)
    want_now(wanted(plain_registry.host, "poll/nowhere", ["1.0"]))

    poll_due()

    row = row_of(plain_registry.host, "poll/nowhere")
    assert (row.last_error_code, row.due_at) == ("not_found", None)
    assert want([wanted(plain_registry.host, "poll/nowhere", ["1.0"])], max_age=timedelta(hours=1)) == 0
    assert Origin.objects.get().last_error_code == "", "a registry that says no works"


def test_poll_with_a_wrong_password_names_the_account_and_keeps_nothing_secret(
    htpasswd_registry: RunningRegistry, push_image: PushImage
) -> None:
    account_of(htpasswd_registry, secrets='{"password": "wrong-but-secret"}')
    push_image(htpasswd_registry, "private/app", ["1.0"])
    want_now(wanted(htpasswd_registry.host, "private/app", ["1.0"]))

    poll_due()

    row, origin = row_of(htpasswd_registry.host, "private/app"), Origin.objects.get()
    assert row.last_error_code == origin.last_error_code == "unauthorized"
    assert row.last_error_fix
    for text in (row.last_error_message, row.last_error_fix, origin.last_error_message, origin.last_error_fix):
        assert "wrong-but-secret" not in text


def test_poll_of_a_dead_registry_tries_a_few_and_leaves_all_due_for_later(stub: Stub) -> None:
    for number in range(30):
        want_now(wanted("127.0.0.1:9", f"dead/app-{number}", ["1.0"]))
    account_of_dead_registry()

    poll_due(lambda: RegistryClient(limits=Limits(first_backoff_s=0.01)))

    rows = list(RepositoryKnowledge.objects.all())
    assert {row.last_error_code for row in rows} == {"unreachable"}
    assert all(row.due_at and row.due_at > now() and row.due_at == row.retry_at for row in rows)
    assert TagKnowledge.objects.filter(due_at=None).count() == 0
    assert Origin.objects.get().failing_since is not None
    assert poll_due() == 0


def account_of_dead_registry() -> None:
    RegistryFactory(host="127.0.0.1:9", base_url="http://127.0.0.1:9", allow_http=True)


@pytest.fixture
def limited(stub: Stub) -> Iterator[Stub]:
    """A registry that refuses for too many requests for an hour, beside one that answers."""
    install_hub(stub).contents.push("library/app", ["1.0"])

    def refuse(_asked: Asked) -> Reply:
        return Reply.json({"errors": [{"code": "TOOMANYREQUESTS", "message": "slow down"}]}, 429, Retry_After="3600")

    stub.serve("busy.example.com", refuse)
    yield stub


def test_poll_of_a_registry_that_has_enough_puts_it_to_sleep_and_others_go_on(limited: Stub) -> None:
    for number in range(20):
        want_now(wanted("busy.example.com", f"team/app-{number}", ["1.0"]))
    want_now(wanted("docker.io", "library/app", ["1.0"]))

    poll_due(clients_of(limited))

    asked = len(limited.requests_to("busy.example.com"))
    origin = Origin.objects.get(host="busy.example.com")
    assert asked <= 4
    assert origin.is_sleeping(now())
    assert not origin.is_sleeping(now() + timedelta(hours=2))
    assert tag_of("docker.io", "library/app", "1.0").digest
    rows = RepositoryKnowledge.objects.filter(host="busy.example.com")
    assert {row.last_error_code for row in rows} == {"rate_limited"}
    assert all(row.retry_at and row.retry_at > now() + timedelta(minutes=50) for row in rows)

    want([wanted("busy.example.com", "team/app-1", ["1.0"])], urgent=True, max_age=timedelta(0))
    poll_due(clients_of(limited))

    assert len(limited.requests_to("busy.example.com")) == asked, "not even a person wakes it"
    assert row_of("busy.example.com", "team/app-1").due_at == origin.sleeping_until


def test_poll_of_the_hub_stores_its_quota_for_the_account_that_it_counts_for(stub: Stub) -> None:
    install_hub(stub, limit=100).contents.push("library/app", ["1.0"])
    want_now(wanted("docker.io", "library/app", ["1.0"]))

    poll_due(clients_of(stub))

    origin = Origin.objects.get(host="docker.io")
    assert (origin.account, origin.quota_limit, origin.quota_window_s) == (None, 100, 21600)
    assert origin.quota_remaining is not None
    assert 0 < origin.quota_remaining <= 100


def test_knowledge_takes_two_queries_however_much_is_known(
    plain_registry: RunningRegistry, push_image: PushImage, django_assert_num_queries
) -> None:
    account_of(plain_registry)
    pairs = [(plain_registry.host, f"poll/read-{number}") for number in range(30)]
    for host, path in pairs:
        want_now(wanted(host, path, ["1.0", "2.0"]))

    for few in (pairs[:1], pairs):
        with django_assert_num_queries(2):
            found = knowledge(few)
            assert all(set(row.tags_by_name) == {"1.0", "2.0"} for row in found.values())


def test_expiry_forgets_what_nobody_wanted_for_long() -> None:
    want_now(wanted("docker.io", "library/old", ["1.0"]), wanted("docker.io", "library/new", ["1.0", "0.1"]))
    long_ago = now() - timedelta(days=40)
    RepositoryKnowledge.objects.filter(path="library/old").update(wanted_at=long_ago)
    TagKnowledge.objects.filter(tag="0.1").update(wanted_at=long_ago)

    expire()

    assert [row.path for row in RepositoryKnowledge.objects.all()] == ["library/new"]
    assert [row.tag for row in TagKnowledge.objects.all()] == ["1.0"]
