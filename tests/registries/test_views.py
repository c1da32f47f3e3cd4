"""Pages of registries: who sees what, constant queries, tags, and "check now"."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from registries.models import Origin, Registry, RepositoryKnowledge, TagKnowledge, now
from tests.factories import DeviceFactory, RegistryFactory, RepositoryFactory, TagFactory
from tests.people import People

pytestmark = pytest.mark.django_db
HOSTILE = '"><script>alert(1)</script>'


@pytest.fixture
def viewer(people: People) -> Client:
    return people.client("viewer")


@pytest.fixture
def operator(people: People) -> Client:
    return people.client("operator")


def test_list_shows_accounts_and_what_works_without_any(viewer: Client) -> None:
    RegistryFactory(name="Lab", host="lab.example.com")

    page = viewer.get("/registries/").content.decode()

    for text in ("Lab", "lab.example.com", "Docker Hub", "GitHub Container Registry", "Codeberg"):
        assert text in page


def test_list_shows_quota_sleep_and_errors_with_their_fix(viewer: Client) -> None:
    lab = RegistryFactory(name="Lab", host="lab.example.com", insecure_tls=True)
    moment = now()
    Origin.objects.create(
        host=lab.host,
        account=lab,
        last_poll_at=moment,
        last_error_code="tls",
        last_error_message="The certificate is not trusted.",
        last_error_fix="Give its authority.",
        failing_since=moment,
    )
    Origin.objects.create(
        host="docker.io",
        quota_limit=100,
        quota_remaining=37,
        quota_window_s=21600,
        quota_seen_at=moment,
        last_poll_at=moment,
        sleeping_until=moment + timedelta(hours=1),
    )
    RepositoryFactory()

    page = viewer.get("/registries/").content.decode()

    for text in ("The certificate is not trusted.", "Give its authority.", "any certificate is accepted"):
        assert text in page
    assert '<meter min="0" max="100" low="10" optimum="100" value="37"' in page
    assert "in 6 h" in page
    assert "sleeping" in page


@pytest.mark.parametrize(("who", "links"), [("administrator", True), ("operator", False), ("viewer", False)])
def test_list_offers_changes_to_administrators_alone(people: People, who: str, links: bool) -> None:
    registry = RegistryFactory()

    page = people.client(who).get("/registries/").content.decode()

    assert (f"/registries/{registry.pk}/edit/" in page) is links
    assert ("/registries/add/" in page) is links


def test_pages_take_the_same_queries_for_one_row_and_for_thirty(viewer: Client) -> None:
    registry = RegistryFactory(host="docker.io", provider="hub")
    first = TagFactory(repository__path="library/first").repository
    urls = ("/registries/", f"/registries/{registry.pk}/", "/registries/repositories/", first.get_absolute_url())
    counts = [_queries(viewer, url) for url in urls]
    for number in range(30):
        TagFactory(repository__path=f"library/more-{number}", tag=f"2.{number}")
        TagFactory(repository=first, tag=f"3.{number}")
        Origin.objects.create(host=RegistryFactory().host)

    assert [_queries(viewer, url) for url in urls] == counts


def _queries(client: Client, url: str) -> int:
    with CaptureQueriesContext(connection) as captured:
        assert client.get(url).status_code == 200
    return len(captured)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["acme/web", "library/nginx", "team/app"]),
        ("?q=NGI", ["library/nginx"]),
        ("?host=ghcr.io", ["team/app"]),
        ("?state=failing", ["team/app"]),
        ("?state=waiting", ["acme/web"]),
        ("?sort=-tags", ["acme/web", "library/nginx", "team/app"]),
        ("?state=nonsense&sort=nonsense", ["acme/web", "library/nginx", "team/app"]),
    ],
)
def test_repositories_filtered_by_the_address_are_those_that_pass(viewer: Client, query: str, found: list[str]) -> None:
    RepositoryFactory(path="library/nginx")
    RepositoryFactory(path="acme/web", due_at=now())
    RepositoryFactory(host="ghcr.io", path="team/app", last_error_code="forbidden", last_error_message="no")

    page = viewer.get(f"/registries/repositories/{query}")

    assert sorted(row.path for row in page.context["page"]) == found


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["1.0", "latest", "1.10", "1.9", "1.1"]),
        ("?sort=name", ["latest", "1.0", "1.1", "1.9", "1.10"]),
        ("?q=1.1", ["1.10", "1.1"]),
        ("?age=30", ["1.10"]),
        ("?sort=pushed", ["1.10", "1.9", "latest", "1.1", "1.0"]),
    ],
)
def test_tags_are_searched_and_sorted_as_people_read_them(viewer: Client, query: str, found: list[str]) -> None:
    moment = now()
    repository = RepositoryFactory(
        tags=["latest", "1.9", "1.10", "1.1", "1.0"],
        tag_dates={
            "1.10": (moment - timedelta(days=3)).isoformat(),
            "1.9": (moment - timedelta(days=90)).isoformat(),
        },
    )
    TagFactory(repository=repository, tag="1.0")
    TagFactory(repository=repository, tag="latest", digest="")

    page = viewer.get(f"/registries/repositories/{repository.pk}/{query}")

    assert [line.name for line in page.context["page"]] == found


def test_repository_shows_digest_platforms_labels_and_date(viewer: Client) -> None:
    digest = "sha256:" + "ab" * 32
    platform = {"os": "linux", "architecture": "arm64", "variant": "v8", "os_version": "", "digest": digest}
    tag = TagFactory(
        digest=digest,
        details_digest=digest,
        platforms=[{**platform, "config_digest": ""}],
        labels={"org.opencontainers.image.source": "https://example.com/acme"},
        size_bytes=5 * 1024 * 1024,
        created=now() - timedelta(days=4),
    )

    page = viewer.get(tag.repository.get_absolute_url()).content.decode()

    for text in (digest, "linux/arm64/v8", "org.opencontainers.image.source", "5.0 MiB", "4 d ago"):
        assert text in page


def test_failing_repository_keeps_what_was_known_and_tells_its_age(viewer: Client) -> None:
    repository = RepositoryFactory(
        looked_up_at=now() - timedelta(hours=5),
        last_error_code="unreachable",
        last_error_message="Nothing answers.",
        last_error_fix="Look at the cable.",
        failing_since=now() - timedelta(hours=2),
    )

    page = viewer.get(repository.get_absolute_url()).content.decode()

    for text in ("Nothing answers.", "Look at the cable.", "last good answer", "5 h ago", "1.10"):
        assert text in page


def test_home_names_registries_that_answer_nothing(viewer: Client) -> None:
    off = RegistryFactory(name="Off", is_enabled=False)
    lab = RegistryFactory(name="Lab")
    told = {"last_error_code": "tls", "last_error_message": "Not trusted.", "failing_since": now()}
    for account in (off, lab):
        Origin.objects.create(host=account.host, account=account, **told)
    Origin.objects.create(host="busy.example.com", last_error_code="rate_limited", failing_since=now())
    DeviceFactory()

    page = viewer.get("/").content.decode()

    assert "Not trusted." in page
    assert "Lab" in page
    assert "busy.example.com" not in page
    assert "Off" not in page


def test_check_now_makes_the_repository_due_with_all_that_is_wanted(operator: Client) -> None:
    tag = TagFactory()

    answer = operator.post(f"/registries/repositories/{tag.repository_id}/check/")

    row = RepositoryKnowledge.objects.get()
    assert answer.status_code == 302
    assert row.is_urgent
    assert row.is_being_looked_up
    assert row.tags_due_at is not None
    assert TagKnowledge.objects.get().due_at is not None


def test_check_of_one_listed_tag_adds_it_and_of_an_unknown_one_is_refused(operator: Client) -> None:
    repository = RepositoryFactory()
    url = f"/registries/repositories/{repository.pk}/check/"

    assert operator.post(url, {"tag": "never-listed"}).status_code == 400
    assert operator.post(url, {"tag": "1.1"}).status_code == 302

    assert [row.tag for row in TagKnowledge.objects.all()] == ["1.1"]


def test_poll_of_an_account_takes_its_repositories_alone(operator: Client) -> None:
    acme = RegistryFactory(host="docker.io", provider="hub", path_prefix="acme")
    RegistryFactory(host="docker.io", provider="hub", path_prefix="acme/secret")
    for path in ("acme/web", "acme/secret/tool", "library/nginx"):
        RepositoryFactory(path=path)

    operator.post(f"/registries/{acme.pk}/poll/")

    assert [row.path for row in RepositoryKnowledge.objects.filter(due_at__isnull=False)] == ["acme/web"]


def test_removal_of_an_account_resets_its_host_to_anonymous(people: People) -> None:
    registry = RegistryFactory(host="docker.io", provider="hub", with_login=True)
    failing = RepositoryFactory(last_error_code="unauthorized")
    Origin.objects.create(host="docker.io", account=registry)
    anonymous = Origin.objects.create(host="ghcr.io")
    client = people.client("administrator")

    assert "Reset" in client.get(f"/registries/{registry.pk}/delete/").content.decode()
    client.post(f"/registries/{registry.pk}/delete/")

    failing.refresh_from_db()
    assert not Registry.objects.exists()
    assert failing.is_being_looked_up
    assert list(Origin.objects.all()) == [anonymous]


def test_pages_with_hostile_words_show_them_as_text(people: People) -> None:
    registry = RegistryFactory(name=HOSTILE, kind="login+password", public_values={"login": HOSTILE})
    Origin.objects.create(
        host=registry.host,
        account=registry,
        last_error_code="bad_response",
        last_error_message=HOSTILE,
        last_error_fix=HOSTILE,
        failing_since=now(),
        last_poll_at=now(),
    )
    repository = RepositoryFactory(
        host=registry.host,
        path="team/app",
        tags=[HOSTILE],
        last_error_code="x",
        last_error_message=HOSTILE,
        failing_since=now(),
    )
    TagFactory(
        repository=repository,
        tag=HOSTILE,
        digest="sha256:x",
        details_digest="sha256:x",
        labels={HOSTILE: HOSTILE},
        platforms=[{"os": HOSTILE, "architecture": HOSTILE, "variant": HOSTILE, "digest": HOSTILE}],
        error_message=HOSTILE,
    )
    client = people.client("administrator")

    for url in (
        "/registries/",
        "/registries/repositories/",
        repository.get_absolute_url(),
        registry.get_absolute_url(),
        f"/registries/{registry.pk}/edit/",
        f"/registries/{registry.pk}/delete/",
        f"/registries/add/?provider=custom&host={HOSTILE}",
    ):
        answer = client.get(url)
        assert answer.status_code == 200
        assert "<script>alert" not in answer.content.decode(), url
