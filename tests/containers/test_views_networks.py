"""Pages of networks: what they list, what their forms refuse and why, what they ask for, and for whom."""

from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from containers.models import Batch, Container, Network, Operation
from devices.models import Device
from ssm.accounts.models import Role
from tests.factories import ContainerFactory, DeviceFactory, NetworkFactory
from tests.people import People

pytestmark = pytest.mark.django_db
PARTIAL = {"HTTP_HX_REQUEST": "true"}
HOSTILE = '"><script>alert(1)</script>'


@pytest.fixture
def viewer(people: People) -> Client:
    return people.client("viewer")


@pytest.fixture
def operator(people: People) -> Client:
    return people.client("operator")


def place(network: Network, **changes: Any) -> dict[str, Any]:
    """How a container is on a network, as its row tells it."""
    empty = {"address": "", "address6": "", "mac": "", "aliases": [], "fixed": "", "fixed6": ""}
    return {**empty, "name": network.name, "network_id": network.engine_id, **changes}


def on(network: Network, name: str, **changes: Any) -> Container:
    """A container on a network."""
    attached = changes.pop("place", {})
    return ContainerFactory(device=network.device, name=name, networks=[place(network, **attached)], **changes)


def names(client: Client, query: str = "") -> list[str]:
    return [network.name for network in client.get(f"/networks/{query}").context["rows"]]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["backend", "bridge", "shop_default", "spare"]),
        ("?q=BACK", ["backend"]),
        ("?q=10.7.", ["backend"]),
        ("?q=other-host", ["spare"]),
        ("?use=used", ["backend"]),
        ("?use=unused", ["bridge", "shop_default", "spare"]),
        ("?use=made", ["backend", "shop_default", "spare"]),
        ("?use=predefined", ["bridge"]),
        ("?use=internal", ["backend"]),
        ("?driver=macvlan", ["spare"]),
        ("?project=shop", ["shop_default"]),
        ("?group=berlin", ["backend", "bridge", "shop_default"]),
        ("?sort=-containers", ["bridge", "shop_default", "spare", "backend"]),
        ("?sort=containers", ["backend", "bridge", "shop_default", "spare"]),
        ("?use=nonsense&sort=nonsense&device=nonsense&page=nonsense", ["backend", "bridge", "shop_default", "spare"]),
    ],
)
def test_list_filtered_by_its_address_shows_the_networks_that_pass(
    viewer: Client, query: str, found: list[str]
) -> None:
    host = DeviceFactory(name="a-host", groups=["berlin"], online=True)
    pools = [{"subnet": "10.7.0.0/24", "gateway": "", "ip_range": "", "auxiliary": {}}]
    on(NetworkFactory(device=host, name="backend", internal=True, pools=pools), "web")
    NetworkFactory(device=host, name="bridge")
    NetworkFactory(device=host, name="shop_default", compose_project="shop")
    NetworkFactory(device=DeviceFactory(name="other-host"), name="spare", driver="macvlan")

    assert names(viewer, query) == found


def test_list_counts_containers_by_id_or_by_name_on_their_own_host_alone(viewer: Client) -> None:
    network = NetworkFactory(name="web")
    on(network, "by-id")
    on(network, "by-name", place={"network_id": ""}, state="exited")
    on(network, "of-a-predecessor", place={"network_id": "9" * 64})
    on(network, "gone", removed_at=network.created_at or network.seen_at)
    ContainerFactory(networks=[place(network)])

    (row,) = viewer.get("/networks/").context["rows"]

    assert (row.container_count, row.running_count) == (2, 1)


@pytest.mark.parametrize("page", ["/networks/", "/networks/?by=device", "/networks/map/", "/networks/ports/"])
def test_pages_of_more_rows_take_no_more_queries(viewer: Client, page: str) -> None:
    def count() -> int:
        with CaptureQueriesContext(connection) as queries:
            assert viewer.get(page).status_code == 200
        return len(queries)

    claims = [{"container_port": 80, "protocol": "tcp", "host_ip": "", "host_port": 80, "host_range": ""}]
    on(NetworkFactory(), "first", state="exited", port_claims=claims)
    count()
    few = count()
    for number in range(29):
        on(NetworkFactory(), f"more-{number}", state="exited", port_claims=claims)

    assert count() == few


def test_detail_of_more_containers_takes_no_more_queries(viewer: Client) -> None:
    network = NetworkFactory()

    def count() -> int:
        with CaptureQueriesContext(connection) as queries:
            assert viewer.get(network.get_absolute_url()).status_code == 200
        return len(queries)

    on(network, "first")
    count()
    few = count()
    for number in range(29):
        on(network, f"more-{number}")

    assert count() == few


def test_detail_shows_who_is_on_it_how_and_how_full_its_subnet_is(viewer: Client) -> None:
    network = NetworkFactory(name="shop")
    on(network, "web", place={"address": "10.1.2.7", "aliases": ["www", "0123456789ab"]}, engine_id="0123456789ab" * 5)
    on(network, "db", place={"fixed": "10.1.2.77"}, state="exited")

    page = viewer.get(network.get_absolute_url())

    text = page.content.decode()
    assert "10.1.2.7" in text and "www" in text and "0123456789ab," not in text
    assert "fixed, when it runs" in text and "1 of them does not run" in text
    (pool,) = page.context["pools"]
    assert (pool.used, pool.capacity) == (2, 253)


def test_pages_escape_what_hosts_say(viewer: Client) -> None:
    network = NetworkFactory(name=HOSTILE, labels={HOSTILE: HOSTILE}, options={HOSTILE: HOSTILE}, driver=HOSTILE)
    container = on(network, "web", display_name=HOSTILE, place={"address": HOSTILE, "aliases": [HOSTILE]})

    for url in ("/networks/", network.get_absolute_url(), "/networks/map/", f"/containers/{container.pk}/networks/"):
        assert "<script>alert" not in viewer.get(url).content.decode(), url


# ---- the form


def form(**changes: str) -> dict[str, str]:
    return {"name": "web", "driver": "bridge", "ipv4": "on", **changes}


def errors(answer: Any) -> dict[str, str]:
    assert answer.status_code == 422, answer.status_code
    return {name: " ".join(texts) for name, texts in answer.context["form"].errors.items()}


@pytest.mark.parametrize(
    ("changes", "field", "sentence"),
    [
        ({"name": ""}, "name", "Give it a name"),
        ({"name": "taken"}, "name", "h1 has a network taken already"),
        ({"driver": "host"}, "driver", "no second"),
        ({"pool0_subnet": "10.1.2.3/24"}, "pool0_subnet", "write 10.1.2.0/24"),
        (
            {"pool1_subnet": "10.1.2.128/25"},
            "pool1_subnet",
            "overlaps with the network taken (10.1.2.0/24). 10.64.0.0/25",
        ),
        ({"pool0_subnet": "10.9.0.0/16"}, "pool0_subnet", "the address by which SSM reaches h1"),
        ({"pool0_subnet": "10.5.0.0/24", "pool0_gateway": "10.6.0.1"}, "pool0_gateway", "is not in 10.5.0.0/24"),
        ({"pool2_gateway": "10.6.0.1"}, "pool2_subnet", "need their subnet"),
        ({"labels": "a b"}, "labels", "Line 1"),
        ({"ipv6": "on"}, "ipv6", "27 and later do"),
        ({"pool0_subnet": "9.9.9.0/24"}, "accepts_warnings", "tick the box"),
        ({"devices": ""}, "devices", "Choose at least one device"),
    ],
)
def test_create_what_an_engine_would_refuse_is_explained_at_its_field(
    operator: Client, changes: dict[str, str], field: str, sentence: str
) -> None:
    device = DeviceFactory(name="h1", address="10.9.0.7", online=True, api_version="1.41")
    NetworkFactory(device=device, name="taken")

    found = errors(operator.post("/networks/new/", form(devices=str(device.pk)) | changes))

    assert sentence in found[field], found
    assert not Operation.objects.exists()


def test_create_asks_for_exactly_what_was_typed(operator: Client) -> None:
    device = DeviceFactory(online=True)
    typed = form(
        devices=str(device.pk),
        pool0_subnet="10.5.0.0/24",
        pool0_gateway="10.5.0.1",
        pool1_subnet="fd00:5::/64",
        internal="on",
        mtu="1400",
        labels="team=shop",
    )

    answer = operator.post("/networks/new/", typed)

    operation = Operation.objects.get()
    assert answer.url == operation.get_absolute_url()
    assert (operation.kind, operation.object_kind, operation.target_name) == ("network_create", "network", "web")
    body = operation.parameters["body"]
    assert body["IPAM"]["Config"] == [{"Subnet": "10.5.0.0/24", "Gateway": "10.5.0.1"}, {"Subnet": "fd00:5::/64"}]
    assert (body["Internal"], body["EnableIPv6"], body["Labels"]) == (True, True, {"team": "shop"})
    assert body["Options"] == {"com.docker.network.driver.mtu": "1400"}


def test_create_on_several_devices_is_a_batch_with_a_result_each(operator: Client) -> None:
    devices = [str(DeviceFactory(online=True).pk) for _number in range(3)]

    answer = operator.post("/networks/new/", {**form(), "devices": devices}, **PARTIAL)

    batch = Batch.objects.get()
    assert answer.headers["HX-Redirect"] == batch.get_absolute_url()
    assert batch.operations.count() == 3


def test_create_suggests_a_subnet_that_is_free_on_all_chosen_devices(operator: Client) -> None:
    hosts = [DeviceFactory(online=True), DeviceFactory(online=True)]
    for host, third in zip(hosts, (0, 1), strict=True):
        pools = [{"subnet": f"10.64.{third}.0/24", "gateway": "", "ip_range": "", "auxiliary": {}}]
        NetworkFactory(device=host, pools=pools)

    answer = operator.post("/networks/new/", {**form(act="suggest"), "devices": [str(host.pk) for host in hosts]})

    assert answer.context["form"]["pool0_subnet"].value() == "10.64.2.0/24"
    assert not Operation.objects.exists()


def test_change_of_a_subnet_tells_whose_fixed_addresses_go(operator: Client) -> None:
    network = NetworkFactory(name="shop")
    on(network, "db", place={"fixed": "10.1.2.77"})
    typed = form(name="shop", pool0_subnet="10.5.0.0/24")
    url = f"{network.get_absolute_url()}configure/"

    refused = operator.post(url, typed)
    assert "db has the fixed address 10.1.2.77" in refused.content.decode()
    assert "drops_addresses" in errors(refused)

    operator.post(url, typed | {"drops_addresses": "on"})
    operation = Operation.objects.get()
    assert (operation.kind, operation.parameters["drops_addresses"]) == ("network_configure", True)
    assert operation.lock == network.lock


def test_change_with_a_container_that_knows_it_by_its_id_recreates_that_first(operator: Client) -> None:
    network = NetworkFactory(name="shop")
    container = on(network, "old", inspect={"HostConfig": {"NetworkMode": network.engine_id}})
    on(network, "new", inspect={"HostConfig": {"NetworkMode": "shop"}})

    operator.post(f"{network.get_absolute_url()}configure/", form(name="shop"))

    batch = Batch.objects.get()
    assert batch.stops_on_failure
    found = batch.operations.order_by("wave").values_list("kind", "container", "wave")
    assert list(found) == [("recreate", container.pk, 0), ("network_configure", None, 1)]


@pytest.mark.parametrize("act", ["configure", "remove"])
def test_network_of_the_engine_itself_is_left_alone(operator: Client, act: str) -> None:
    network = NetworkFactory(name="bridge")

    answer = operator.post(f"{network.get_absolute_url()}{act}/", form(confirmation="bridge"), follow=True)

    assert "was made by the engine and cannot be" in answer.content.decode()
    assert not Operation.objects.exists()


# ---- remove, prune


def test_remove_of_a_used_one_wants_its_name_typed_and_names_who_uses_it(operator: Client) -> None:
    network = NetworkFactory(name="shop")
    on(network, "web")
    url = f"{network.get_absolute_url()}remove/"

    asked = operator.get(url, **PARTIAL)
    assert "web" in asked.content.decode() and asked.headers["HX-Retarget"] == "#remote-dialog"
    assert operator.post(url, {"confirmation": "yes"}).status_code == 422
    assert not Operation.objects.exists()

    operator.post(url, {"confirmation": "shop"})
    assert Operation.objects.get().parameters == {"disconnect": True}


def test_bulk_remove_leaves_out_what_the_engine_made_and_wants_a_phrase_for_several_hosts(operator: Client) -> None:
    chosen = [NetworkFactory(name="a"), NetworkFactory(name="b"), NetworkFactory(name="bridge")]
    data = {"kind": "remove", "network": [str(network.pk) for network in chosen]}

    assert "remove 2" in operator.post("/networks/bulk/", data).content.decode()
    operator.post("/networks/bulk/", data | {"confirmation": "remove 2"})

    assert sorted(Operation.objects.values_list("target_name", flat=True)) == ["a", "b"]


def test_prune_previews_what_no_container_uses_and_removes_exactly_what_is_ticked(operator: Client) -> None:
    host = DeviceFactory(online=True)
    unused, kept = NetworkFactory(device=host, name="unused"), NetworkFactory(device=host, name="kept")
    on(NetworkFactory(device=host, name="of-a-stopped-one"), "cold", state="exited")
    NetworkFactory(device=host, name="bridge")
    NetworkFactory(device=host, name="of-a-swarm", scope="swarm")

    (preview,) = operator.get("/networks/prune/").context["hosts"]
    assert {network.name for network in preview.networks} == {"unused", "kept"}

    operator.post("/networks/prune/", {"network": [str(unused.pk)], "confirmation": "yes"})
    assert Operation.objects.get().parameters == {"networks": [{"id": unused.engine_id, "name": "unused"}]}
    assert kept.name not in str(Operation.objects.get().parameters)


def test_prune_of_several_hosts_wants_the_word_typed(operator: Client) -> None:
    chosen = [str(NetworkFactory().pk), str(NetworkFactory().pk)]

    assert operator.post("/networks/prune/", {"network": chosen, "confirmation": "yes"}).status_code == 422
    operator.post("/networks/prune/", {"network": chosen, "confirmation": "prune"})

    assert Operation.objects.filter(kind="network_prune").count() == 2


# ---- connect, change, disconnect


def test_connect_one_with_names_and_address_asks_for_exactly_that(operator: Client) -> None:
    network = NetworkFactory(name="shop")
    container = ContainerFactory(device=network.device, name="web")
    data = {"container": [str(container.pk)], "aliases": "www", "ipv4": "10.1.2.9"}

    operator.post(f"{network.get_absolute_url()}connect/", data)

    operation = Operation.objects.get()
    assert operation.kind == "network_connect"
    assert operation.parameters == {
        "containers": [{"id": container.engine_id, "name": "web"}],
        "endpoint": {"Aliases": ["www"], "IPAMConfig": {"IPv4Address": "10.1.2.9"}},
        "replaces": False,
    }


@pytest.mark.parametrize(
    ("count", "data", "field", "sentence"),
    [
        (0, {}, "container", "Choose at least one"),
        (2, {"ipv4": "10.1.2.9"}, "ipv4", "for one container"),
        (1, {"ipv4": "10.1.2.1"}, "ipv4", "is the gateway"),
        (1, {"ipv4": "10.1.2.50"}, "ipv4", "belongs to holder already"),
        (1, {"aliases": "a/b"}, "aliases", "is no name"),
    ],
)
def test_connect_what_an_engine_would_refuse_is_explained(
    operator: Client, count: int, data: dict[str, str], field: str, sentence: str
) -> None:
    network = NetworkFactory(name="shop")
    on(network, "holder", place={"address": "10.1.2.50"})
    chosen = [str(ContainerFactory(device=network.device).pk) for _number in range(count)]

    answer = operator.post(f"{network.get_absolute_url()}connect/", {"container": chosen, **data})

    assert answer.status_code == 422
    assert sentence in answer.context["errors"][field]
    assert not Operation.objects.exists()


def test_connect_offers_the_hosts_other_containers_and_a_free_address(operator: Client) -> None:
    network = NetworkFactory(name="shop")
    on(network, "there", place={"address": "10.1.2.2"})
    ContainerFactory(device=network.device, name="here")
    ContainerFactory(name="elsewhere")

    context = operator.get(f"{network.get_absolute_url()}connect/").context

    assert [container.name for container in context["offered"]] == ["here"]
    assert context["free"] == {"ipv4": "10.1.2.3"}


def test_container_page_tells_whom_it_meets_and_of_a_network_that_is_gone(viewer: Client) -> None:
    network, successor = NetworkFactory(name="shop"), NetworkFactory(name="lost")
    Network.objects.filter(pk=successor.pk).update(device=network.device)
    on(network, "mate")
    lost = {**place(network), "name": "lost", "network_id": "9" * 64}
    container = ContainerFactory(device=network.device, name="web", networks=[place(network), lost])

    page = viewer.get(f"/containers/{container.pk}/networks/")

    first, second = page.context["places"]
    assert (first.network, [mate.name for mate in first.mates]) == (network, ["mate"])
    assert (second.network, second.successor.name) == (None, "lost")
    assert "the container cannot be started again" in page.content.decode()


def test_disconnect_tells_what_is_lost_and_asks_for_it(operator: Client) -> None:
    network = NetworkFactory(name="shop")
    container = on(network, "web")
    url = f"{network.get_absolute_url()}containers/{container.pk}/disconnect/"

    assert "its only network" in operator.get(url).content.decode()
    operator.post(url, {"confirmation": "yes"})

    assert Operation.objects.get().kind == "network_disconnect"


def test_leave_takes_a_container_off_a_network_that_is_gone(operator: Client) -> None:
    network = NetworkFactory(name="shop")
    lost = {**place(network), "name": "lost", "network_id": "9" * 64}
    container = ContainerFactory(device=network.device, networks=[lost])

    operator.post(f"/containers/{container.pk}/networks/leave/", {"name": "lost"})

    operation = Operation.objects.get()
    assert (operation.kind, operation.target_name, operation.engine_id) == ("network_disconnect", "lost", "9" * 64)


def test_second_act_on_a_network_is_refused_with_the_name_of_the_first(operator: Client) -> None:
    network = NetworkFactory(name="shop")
    url = f"{network.get_absolute_url()}remove/"
    operator.post(url, {"confirmation": "yes"})

    answer = operator.post(url, {"confirmation": "yes"}, follow=True)

    assert "is being removed already for operator" in answer.content.decode()
    assert Operation.objects.count() == 1


# ---- map and ports


def test_map_draws_each_host_and_says_the_same_as_a_table(viewer: Client) -> None:
    network = NetworkFactory(name="shop")
    on(network, "web", place={"address": "10.1.2.7"})
    on(network, "db")
    NetworkFactory(device=network.device, name="empty")

    page = viewer.get("/networks/map/")

    (host,) = page.context["maps"]
    assert [(group.box.name, len(group.lines)) for group in host.drawing.groups] == [("shop", 2)]
    assert [container.name for container, _place in host.meetings[0].members] == ["db", "web"]
    text = page.content.decode()
    assert "<svg" in text and "web on shop as 10.1.2.7" in text and "style=" not in text.partition("<svg")[2]
    assert len(viewer.get("/networks/map/?empty=1").context["maps"][0].drawing.groups) == 2


def test_map_tells_who_cannot_be_started_as_its_network_is_gone(viewer: Client) -> None:
    network = NetworkFactory(name="shop")
    on(network, "web", place={"network_id": "9" * 64, "name": "lost"}, state="exited")

    page = viewer.get("/networks/map/")

    (host,) = page.context["maps"]
    assert [container.name for container in host.lost] == ["web"]
    assert "Cannot be started" in page.content.decode()


def test_ports_tell_conflicts_and_can_be_searched(viewer: Client) -> None:
    host = DeviceFactory(online=True)
    claim = {"container_port": 80, "protocol": "tcp", "host_ip": "", "host_port": 8080, "host_range": ""}
    ContainerFactory(device=host, name="first", ports=[claim])
    ContainerFactory(device=host, name="late", state="exited", port_claims=[claim])
    ContainerFactory(device=host, name="other", ports=[claim | {"host_port": 22}])

    page = viewer.get("/networks/ports/")
    assert page.context["hosts"][0].conflicts == 2
    assert "cannot start: first has it" in page.content.decode()

    for query, found in (("?kind=conflicts", ["first", "late"]), ("?q=22", ["other"]), ("?kind=claimed", ["late"])):
        (shown,) = viewer.get(f"/networks/ports/{query}").context["hosts"]
        assert [container.name for _port, container in shown.ports] == found


# ---- who may


def test_scope_limits_networks_to_the_groups_of_a_role(people: People) -> None:
    inside = NetworkFactory(name="inside", device=DeviceFactory(groups=["berlin"], online=True))
    outside = NetworkFactory(name="outside", device=DeviceFactory(groups=["rome"], online=True))
    Role.objects.create(group=Group.objects.get(name="Operators"), device_groups=["berlin"])
    client = people.client("operator")

    member = on(inside, "web")
    Container.objects.filter(pk=member.pk).update(networks=[place(inside), place(outside)])
    assert names(client) == ["inside"]
    assert client.get(outside.get_absolute_url()).status_code == 404
    assert client.post(f"{outside.get_absolute_url()}remove/", {"confirmation": "yes"}).status_code == 404
    assert client.get(inside.get_absolute_url()).status_code == 200
    chosen = [key for key, _name in client.get("/networks/new/").context["form"].fields["devices"].choices]
    assert chosen == [str(inside.device_id)] and Device.objects.count() == 2
