"""Pages of images: what they list, ask back, refuse and ask for."""

import uuid

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from containers.models import Batch, Image, Operation
from containers.rules.image_layers import HistoryStep
from devices.models import Device, now
from tests.factories import ContainerFactory, DeviceFactory, ImageFactory, RepositoryFactory, TagFactory
from tests.people import People

pytestmark = pytest.mark.django_db
PARTIAL = {"HTTP_HX_REQUEST": "true"}
HOSTILE = '"><script>alert(1)</script>'
MIB = 1024 * 1024


@pytest.fixture
def viewer(people: People) -> Client:
    return people.client("viewer")


@pytest.fixture
def operator(people: People) -> Client:
    return people.client("operator")


@pytest.fixture
def host() -> Device:
    return DeviceFactory(name="a-host", groups=["berlin"], online=True)


def image(host: Device, name: str, **columns: object) -> Image:
    tags = [name] if name else []
    return ImageFactory(device=host, name=name, repo_tags=tags, seen_at=now(), **columns)


def use(image: Image, **columns: object) -> None:
    ContainerFactory(device=image.device, image_id=image.engine_id, **columns)


def names(client: Client, query: str = "") -> list[str]:
    return [row.title for row in client.get(f"/images/{query}").context["rows"]]


# ---- the list ----------------------------------------------------------------------------------------------


@pytest.fixture
def shop(host: Device) -> dict[str, Image]:
    """Four images on two hosts: run, used by a stopped container, unused, dangling."""
    other = DeviceFactory(name="b-host", online=True)
    found = {
        "web": image(host, "shop/web:1", size_bytes=300, shared_bytes=100, architecture="amd64"),
        "db": image(host, "shop/db:2", size_bytes=200, shared_bytes=50),
        "old": image(other, "old:3", size_bytes=900, architecture="arm64"),
        "loose": image(other, "", size_bytes=None),
    }
    use(found["web"])
    use(found["web"], state="exited")
    use(found["db"], state="exited")
    return found


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("?sort=name", ["loose", "old", "db", "web"]),
        ("?q=SHOP", ["db", "web"]),
        ("?q=b-host", ["loose", "old"]),
        ("?use=used", ["db", "web"]),
        ("?use=running", ["web"]),
        ("?use=unused", ["loose", "old"]),
        ("?use=dangling", ["loose"]),
        ("?group=berlin&sort=-name", ["web", "db"]),
        ("?platform=arm64", ["old"]),
        ("?sort=size", ["old", "web", "db", "loose"]),
        ("?sort=-users", ["loose", "old", "db", "web"]),
        ("?by=device&sort=size", ["web", "db", "old", "loose"]),
        ("?sort=nonsense&use=nonsense&device=nonsense&page=nonsense", ["loose", "old", "db", "web"]),
        ("?q=%00nul", []),
    ],
)
def test_list_filtered_by_its_address_shows_the_images_that_pass(
    viewer: Client, shop: dict[str, Image], query: str, found: list[str]
) -> None:
    shown = names(viewer, query)

    keys = {row.title: key for key, row in shop.items()}
    assert [keys[title] for title in shown] == found


def test_list_finds_an_image_by_its_id_and_digest(viewer: Client, host: Device) -> None:
    wanted = image(host, "x:1", repo_digests=[f"x@sha256:{'9' * 64}"])
    image(host, "y:1")

    assert names(viewer, f"?q={wanted.engine_id[7:19]}") == ["x:1"] or wanted.engine_id[7:19] == "0" * 12
    assert names(viewer, f"?q={'9' * 20}") == ["x:1"]


def test_list_tells_use_sizes_and_groups(viewer: Client, shop: dict[str, Image]) -> None:
    page = viewer.get("/images/?by=device").content.decode()

    assert "2 containers" in page and "1 of them running" in page
    assert "unused" in page and "dangling" in page
    assert "2 images, 500 B" in page


def test_list_of_5000_images_is_paged_in_the_same_number_of_queries(viewer: Client, host: Device) -> None:
    def asked(query: str) -> int:
        with CaptureQueriesContext(connection) as queries:
            assert viewer.get(f"/images/{query}").status_code == 200
        return len(queries)

    use(image(host, "first:1"))
    few = asked("?by=image&sort=-size")
    rows = [
        Image(device=host, engine_id=f"sha256:{number + 9000:064x}", name=f"i{number}:1", repo_tags=[f"i{number}:1"])
        for number in range(5000)
    ]
    Image.objects.bulk_create(rows)

    assert asked("?by=image&sort=-size") == few <= 12
    answer = viewer.get("/images/?page=101")
    assert answer.context["page"].paginator.count == 5001
    assert len(answer.context["rows"]) == 1


def test_list_asked_by_htmx_answers_with_its_results_that_are_the_same_for_all(people: People, host: Device) -> None:
    image(host, "shop/web:1")

    parts = {people.client(who).get("/images/", **PARTIAL).content for who in ("administrator", "operator", "viewer")}

    (part,) = parts
    assert part.decode().strip().startswith('<div id="image-results"')
    assert b"csrf" not in part.lower()


def test_pages_with_hostile_names_show_them_as_text(operator: Client) -> None:
    device = DeviceFactory(name=HOSTILE, groups=[HOSTILE[:50]], online=True)
    step = HistoryStep(created_by=HOSTILE, created="", size_bytes=1, comment=HOSTILE)
    row = image(
        device,
        HOSTILE,
        os=HOSTILE[:40],
        labels={HOSTILE: HOSTILE},
        history=[step],
        config={"command": [HOSTILE], "variables": [[HOSTILE, HOSTILE]]},
    )

    for url in (
        "/images/?by=image",
        row.get_absolute_url(),
        f"{row.get_absolute_url()}remove/",
        "/images/prune/?scope=unused",
    ):
        page = operator.get(url).content.decode()
        assert "alert(1)" in page and "<script>alert" not in page, url


# ---- one image ---------------------------------------------------------------------------------------------


def test_detail_shows_names_users_layers_and_other_hosts(viewer: Client, host: Device) -> None:
    steps = [HistoryStep(created_by="CMD x", created="", size_bytes=0, comment="")]
    steps.append(
        HistoryStep(
            created_by="/bin/sh -c apt-get update", created="2026-01-01T00:00:00+00:00", size_bytes=9, comment=""
        )
    )
    row = image(host, "shop/web:1", size_bytes=300, shared_bytes=100, history=steps, labels={"team": "shop"})
    use(row, name="front")
    elsewhere = image(DeviceFactory(name="b-host", online=True), "shop/web:1")

    page = viewer.get(row.get_absolute_url()).content.decode()

    assert "front" in page and "apt-get update" in page and "<b>RUN</b>" in page
    assert page.index("apt-get") < page.index("<b>CMD</b>")
    assert elsewhere.get_absolute_url() in page
    assert "200 B" in page  # its own


@pytest.mark.parametrize(
    ("digest", "pulled", "words"),
    [("1" * 64, True, "up to date"), ("2" * 64, True, "a newer image is there"), ("2" * 64, False, "not known")],
)
def test_detail_tells_what_the_registry_has_behind_a_tag(
    viewer: Client, host: Device, digest: str, pulled: bool, words: str
) -> None:
    repository = RepositoryFactory(host="docker.io", path="shop/web")
    TagFactory(repository=repository, tag="1", digest=f"sha256:{digest}")
    row = image(host, "shop/web:1", repo_digests=[f"shop/web@sha256:{'1' * 64}"] if pulled else [])

    page = viewer.get(row.get_absolute_url()).content.decode()

    assert words in page
    assert repository.get_absolute_url() in page


def test_check_has_the_registry_asked_about_its_tags(operator: Client, host: Device) -> None:
    row = image(host, "shop/web:1", repo_digests=[f"shop/web@sha256:{'1' * 64}"])

    operator.post(f"{row.get_absolute_url()}check/")

    page = operator.get(row.get_absolute_url()).content.decode()
    assert "being asked" in page


def test_layers_of_a_host_that_is_away_say_why(viewer: Client) -> None:
    row = image(DeviceFactory(online=True), "shop/web:1")

    asked = viewer.get(f"{row.get_absolute_url()}?part=layers", **PARTIAL).content.decode()

    assert f'id="image-{row.pk}-layers"' in asked
    assert "notice--bad" in asked


# ---- acts --------------------------------------------------------------------------------------------------


def asked_for() -> Operation:
    return Operation.objects.get()


def test_pull_on_one_host_leads_to_its_operation(operator: Client, host: Device) -> None:
    answer = operator.post("/images/pull/", {"reference": "docker.io/library/nginx:1.27", "device": str(host.pk)})

    operation = asked_for()
    assert (answer.status_code, answer.headers["Location"]) == (302, operation.get_absolute_url())
    assert (operation.kind, operation.target_name, operation.lock) == (
        "image_pull",
        "nginx:1.27",
        f"image:{host.pk}:nginx:1.27",
    )
    assert operation.parameters == {"reference": "nginx:1.27", "platform": ""}


def test_pull_on_many_hosts_is_a_batch(operator: Client, host: Device) -> None:
    other = DeviceFactory(online=True)
    data = {"reference": "nginx", "device": [str(host.pk), str(other.pk)], "platform": "linux/arm64", "stops": "on"}

    answer = operator.post("/images/pull/", data)

    batch = Batch.objects.get()
    assert answer.headers["Location"] == batch.get_absolute_url()
    assert (batch.title, batch.stops_on_failure) == ("Pull nginx:latest on 2 devices", True)
    assert {operation.parameters["platform"] for operation in batch.operations.all()} == {"linux/arm64"}


@pytest.mark.parametrize(
    ("data", "error"),
    [
        ({"reference": "Upper/Case"}, "upper-case letters"),
        ({"reference": "a" * 64}, "id of an image"),
        ({"reference": "nginx", "device": "none"}, "Choose at least one host"),
        ({"reference": "nginx", "platform": "<b>"}, "Choose one of the platforms"),
    ],
)
def test_pull_that_is_no_pull_keeps_what_was_typed(
    operator: Client, host: Device, data: dict[str, str], error: str
) -> None:
    answer = operator.post("/images/pull/", data)

    assert answer.status_code == 422
    assert error in answer.content.decode() and data["reference"] in answer.content.decode()
    assert not Operation.objects.exists()


def test_suggestions_are_names_of_hosts_and_registries(operator: Client, host: Device) -> None:
    image(host, "shop/web:1")
    RepositoryFactory(host="docker.io", path="shop/website")

    page = operator.get("/images/pull/names/?reference=shop/web").content.decode()

    assert '<option value="shop/web:1">' in page and '<option value="shop/website:latest">' in page
    assert "Pulled from docker.io without an account." in page


def test_name_that_another_image_has_moves_only_if_agreed_to(operator: Client, host: Device) -> None:
    row, holder = image(host, "one:1"), image(host, "two:2")
    url = f"{row.get_absolute_url()}tag/"

    asked = operator.post(url, {"reference": "docker.io/library/two:2"})
    assert asked.status_code == 422
    assert holder.short_id in asked.content.decode() and not Operation.objects.exists()
    operator.post(url, {"reference": "two:2", "moves": "on"})

    assert asked_for().parameters == {"reference": "two:2", "moves": True}


def test_removal_tells_who_uses_it_before_it_is_asked_for(operator: Client, host: Device) -> None:
    row = image(host, "shop/web:1", size_bytes=300, shared_bytes=100)
    use(row, name="front", state="exited", exit_code=0)
    url = f"{row.get_absolute_url()}remove/"

    dialog = operator.get(url, **PARTIAL)
    asked = operator.post(url, {"confirmation": "yes", "force": "on"})

    text = dialog.content.decode()
    assert dialog.headers["HX-Retarget"] == "#remote-dialog"
    assert "Used by 1 container" in text and "front" in text and "This frees 200 B" in text
    assert asked.headers["Location"] == asked_for().get_absolute_url()
    assert asked_for().parameters == {"names": [], "force": True}


def test_removal_of_what_runs_offers_no_force(operator: Client, host: Device) -> None:
    row = image(host, "shop/web:1")
    use(row, name="front")

    text = operator.get(f"{row.get_absolute_url()}remove/").content.decode()

    assert 'name="force"' not in text


def test_removal_of_one_of_several_names_takes_that_name_alone(operator: Client, host: Device) -> None:
    row = ImageFactory(device=host, name="a:1", repo_tags=["a:1", "b:1"])

    operator.post(f"{row.get_absolute_url()}remove/", {"confirmation": "yes", "name": "b:1"})

    assert asked_for().parameters["names"] == ["b:1"]


def test_removal_of_several_on_more_than_one_host_has_to_be_typed(operator: Client, host: Device) -> None:
    rows = [image(host, "a:1"), image(DeviceFactory(online=True), "b:1")]
    data = {"kind": "remove", "image": [str(row.pk) for row in rows]}

    dialog = operator.post("/images/bulk/", data)
    wrong = operator.post("/images/bulk/", {**data, "confirmation": "yes"})
    right = operator.post("/images/bulk/", {**data, "confirmation": "remove 2"})

    assert "remove 2" in dialog.content.decode() and wrong.status_code == 422
    assert right.headers["Location"] == Batch.objects.get().get_absolute_url()
    assert Operation.objects.count() == 2


def test_act_on_all_that_match_takes_those_of_the_filters(operator: Client, host: Device) -> None:
    image(host, "a:1")
    used = image(host, "b:1")
    use(used)

    operator.post("/images/bulk/", {"kind": "pull", "matching": "use=used"})

    assert [operation.target_name for operation in Operation.objects.all()] == ["b:1"]


def test_copy_offers_other_hosts_with_what_speaks_against_them(operator: Client, host: Device) -> None:
    host.architecture = "x86_64"
    host.save()
    row = image(host, "a:1", size_bytes=5 * MIB)
    arm = DeviceFactory(name="arm", online=True, architecture="aarch64")
    having = DeviceFactory(name="having", online=True)
    ImageFactory(device=having, engine_id=row.engine_id)
    away = DeviceFactory(name="away", unreachable=True)
    url = f"{row.get_absolute_url()}copy/"

    page = operator.get(url).content.decode()
    none = operator.post(url, {"confirmation": "yes", "target": str(away.pk)})
    operator.post(url, {"confirmation": "yes", "target": str(arm.pk)})

    assert "its CPU is arm64, the image is for amd64" in page
    assert "has it already" in page and "not connected" in page and "5.0 MiB" in page
    assert none.status_code == 422
    assert (asked_for().device_id, asked_for().parameters) == (arm.pk, {"source": str(host.pk), "names": ["a:1"]})


def test_second_act_on_an_image_meanwhile_is_refused_with_the_first(operator: Client, host: Device) -> None:
    row = image(host, "a:1")
    url = f"{row.get_absolute_url()}remove/"
    operator.post(url, {"confirmation": "yes"})

    again = operator.post(url, {"confirmation": "yes"}, **PARTIAL)

    assert again.status_code == 204
    assert "a:1" in again.headers["HX-Trigger"]
    assert Operation.objects.count() == 1


# ---- prune -------------------------------------------------------------------------------------------------


def test_prune_shows_items_and_bytes_and_takes_exactly_those(operator: Client, host: Device) -> None:
    layers = [["base", 100], ["top", 7]]
    loose = image(host, "", size_bytes=107, shared_bytes=100, history=[], layers=layers)
    use(image(host, "kept:1", size_bytes=100, history=[], layers=layers[:1]))

    page = operator.get("/images/prune/")
    asked = operator.post(
        "/images/prune/", {"scope": "dangling", "stamp": page.context["stamp"], "confirmation": "yes"}
    )

    text = page.content.decode()
    assert "<strong>1 image</strong>" in text and "<strong>7 B</strong> freed" in text and "at most" not in text
    assert asked.headers["Location"] == asked_for().get_absolute_url()
    assert asked_for().parameters == {"items": [{"id": loose.engine_id, "names": []}]}


def test_prune_of_what_has_changed_is_shown_again(operator: Client, host: Device) -> None:
    image(host, "")
    stamp = operator.get("/images/prune/").context["stamp"]
    image(host, "")

    answer = operator.post("/images/prune/", {"scope": "dangling", "stamp": stamp, "confirmation": "yes"})

    assert answer.status_code == 422
    assert "has changed meanwhile" in answer.content.decode()
    assert not Operation.objects.exists()


def test_prune_of_named_images_has_to_be_typed(operator: Client, host: Device) -> None:
    image(host, "old:1")
    page = operator.get("/images/prune/?scope=unused")
    data = {"scope": "unused", "stamp": page.context["stamp"]}

    wrong = operator.post("/images/prune/", {**data, "confirmation": "yes"})
    operator.post("/images/prune/", {**data, "confirmation": "remove 1"})

    assert wrong.status_code == 422
    assert asked_for().kind == "image_prune"


def test_prune_leaves_hosts_alone_that_are_away(operator: Client) -> None:
    image(DeviceFactory(unreachable=True), "")

    assert "Nothing to remove" in operator.get("/images/prune/").content.decode()


# ---- who may -----------------------------------------------------------------------------------------------


def test_image_of_a_device_that_is_out_of_scope_is_not_there(operator: Client) -> None:
    assert operator.get(f"/images/{uuid.uuid4()}/").status_code == 404


def test_device_tab_shows_its_own_images_and_limits_acts_to_them(viewer: Client, host: Device) -> None:
    image(host, "mine:1")
    image(DeviceFactory(online=True), "theirs:1")

    page = viewer.get(f"/devices/{host.pk}/images/").content.decode()

    assert "mine:1" in page and "theirs:1" not in page
    assert f'data-bulk-scope="device={host.pk}"' in page
