"""The demo's three hosts and their containers: one of every state that a dashboard shows."""

from dataclasses import dataclass

from ssm.demo import recipes
from tests.fleet import ContainerPlan, ImageRecipe
from tests.fleet.contents import compose_labels

# Debian bookworm's own engine: one engine for all, so that the download stays small.
ENGINE = "20"
_DATA = "/data"


@dataclass(frozen=True, slots=True)
class HostPlan:
    """One host: its name, the groups of its device, and its containers with the images that they need."""

    name: str
    groups: tuple[str, ...]
    images: tuple[tuple[ImageRecipe, str], ...]
    containers: tuple[ContainerPlan, ...]


@dataclass(frozen=True, slots=True)
class _Container:
    name: str
    recipe: ImageRecipe
    tag: str
    title: str
    icon: str
    project: str = ""  # the name is then <project>-<service>-1, as Docker Compose names it
    restart: str = "always"  # so that all come back when the machine was restarted
    port: int = 0
    data: str = ""  # where a volume of its own is mounted
    acts: tuple[str, ...] = ("start",)

    def plan(self) -> ContainerPlan:
        """The same as the fleet wants it."""
        labels = {"wud.display.name": self.title, "wud.display.icon": self.icon, "wud.watch": "true"}
        if self.project:
            labels |= compose_labels(self.project, self.name)
        return ContainerPlan(
            name=f"{self.project}-{self.name}-1" if self.project else self.name,
            image=f"{self.recipe.name}:{self.tag}",
            labels=labels,
            env={"TITLE": self.title, "LOG_LEVEL": "info", "DATABASE_PASSWORD": "demo-only"},
            restart=self.restart,
            ports={80: self.port} if self.port else {},
            volumes={f"{self.project or self.name}_{self.name}-data": self.data} if self.data else {},
            network=f"{self.project}_default" if self.project else "",
            acts=self.acts,
        )


def _host(name: str, groups: tuple[str, ...], *containers: _Container) -> HostPlan:
    images = tuple(dict.fromkeys((container.recipe.name, container.tag) for container in containers))
    by_name = {container.recipe.name: container.recipe for container in containers}
    return HostPlan(
        name=name,
        groups=groups,
        images=tuple((by_name[image], tag) for image, tag in images),
        containers=tuple(container.plan() for container in containers),
    )


HOSTS = (
    _host(
        "harbor",
        ("demo", "shop"),
        _Container("web", recipes.WEB, "2.4.1", "Shop", "mdi:storefront", project="shop", port=8080),
        _Container("api", recipes.API, "1.18.0", "Shop API", "mdi:api", project="shop"),
        _Container("worker", recipes.WORKER, "1.18.0", "Shop worker", "mdi:cog", project="shop"),
        _Container("db", recipes.DATABASE, "16.4.0", "Shop database", "mdi:database", project="shop", data=_DATA),
        _Container(
            *("thumbnails", recipes.THUMBNAILS, "0.9.3", "Thumbnails", "mdi:image"),
            restart="no",
            acts=("start", "kill"),
        ),
    ),
    _host(
        "lagoon",
        ("demo", "blog"),
        _Container("site", recipes.BLOG, "5.91.0", "Blog", "mdi:post", project="blog", port=8080),
        _Container("db", recipes.DATABASE, "16.4.0", "Blog database", "mdi:database", project="blog", data=_DATA),
        _Container("search", recipes.SEARCH, "8.15.2", "Blog search", "mdi:magnify", project="blog", data=_DATA),
        _Container("nightly-backup", recipes.BACKUP, "0.17.1", "Nightly backup", "mdi:backup-restore", restart="no"),
    ),
    _host(
        "summit",
        ("demo", "tools"),
        _Container(
            *("metrics", recipes.METRICS, "2.54.1", "Metrics", "mdi:chart-line"),
            project="monitoring",
            port=9090,
            data=_DATA,
        ),
        _Container(
            *("alerts", recipes.ALERTS, "0.27.0", "Alerts", "mdi:bell"), project="monitoring", acts=("start", "pause")
        ),
        _Container("price-importer", recipes.IMPORTER, "3.2.0", "Price importer", "mdi:import"),
        _Container("mailer", recipes.MAILER, "3.9.0", "Mailer", "mdi:email"),
    ),
)
