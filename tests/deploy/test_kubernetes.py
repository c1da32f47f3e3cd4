"""The Kubernetes example against the schemas that Kubernetes publishes, and what its objects say of one another.

No cluster is asked: that the objects do what they should there is not tried here.
"""

import runpy
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

PROJECT = Path(__file__).resolve().parents[2]
FOLDER = PROJECT / "deploy" / "kubernetes"
KINDS = runpy.run_path(str(PROJECT / "deploy" / "healthy.py"))["KINDS"]
OWN = ("web", "worker", "transfers", "beat", "listener", "migrate", "backup")


def _documents() -> list[dict[str, Any]]:
    kustomization = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
    return [one for name in kustomization["resources"] for one in yaml.safe_load_all((FOLDER / name).read_text())]


DOCUMENTS = _documents()
NAMES = [f"{one['kind']} {one['metadata']['name']}" for one in DOCUMENTS]


def _pod(document: dict[str, Any]) -> dict[str, Any] | None:
    specification = document.get("spec", {})
    specification = specification.get("jobTemplate", {}).get("spec", specification)
    found: dict[str, Any] | None = specification.get("template")
    return found


def _pods() -> Iterator[tuple[str, dict[str, Any]]]:
    for document in DOCUMENTS:
        if pod := _pod(document):
            yield document["metadata"]["name"], pod


@pytest.mark.parametrize("version", ["1.27", "1.31", "1.37"])
@pytest.mark.parametrize("document", DOCUMENTS, ids=NAMES)
def test_object_fits_the_published_schema(document: dict[str, Any], version: str) -> None:
    kubernetes_validate.validate(document, version, strict=True)


def test_object_with_a_misspelt_field_does_not_fit() -> None:
    document = yaml.safe_load(yaml.safe_dump(DOCUMENTS[NAMES.index("Deployment web")]))
    document["spec"]["replica"] = document["spec"].pop("replicas")

    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(document, "1.31", strict=True)


def test_every_process_is_there_and_the_scheduler_once() -> None:
    deployments = {one["metadata"]["name"]: one["spec"] for one in DOCUMENTS if one["kind"] == "Deployment"}

    assert set(deployments) == {"web", "worker", "transfers", "beat", "listener", "redis"}
    assert deployments["beat"]["replicas"] == 1
    assert deployments["beat"]["strategy"] == {"type": "Recreate"}
    for name in ("web", "worker", "listener"):
        assert deployments[name]["replicas"] > 1


def test_pods_run_without_rights_and_cannot_change_their_files() -> None:
    for name, pod in _pods():
        specification = pod["spec"]
        assert specification["automountServiceAccountToken"] is False, name
        assert specification["securityContext"]["runAsNonRoot"] is True, name
        for container in [*specification["containers"], *specification.get("initContainers", [])]:
            context = container["securityContext"]
            assert context["readOnlyRootFilesystem"] is True, name
            assert context["allowPrivilegeEscalation"] is False, name
            assert context["capabilities"] == {"drop": ["ALL"]}, name
            assert container["resources"]["limits"]["memory"], name


def test_selectors_services_and_policies_find_the_pods_that_they_mean() -> None:
    labels = [pod["metadata"]["labels"] for _name, pod in _pods()]

    def finds(selector: dict[str, str]) -> bool:
        return any(selector.items() <= one.items() for one in labels)

    for document in DOCUMENTS:
        specification = document.get("spec", {})
        if document["kind"] == "Service":
            assert finds(specification["selector"])
        if document["kind"] in ("Deployment", "PodDisruptionBudget"):
            assert finds(specification["selector"]["matchLabels"])
        if document["kind"] == "Deployment":
            wanted = specification["selector"]["matchLabels"]
            assert wanted.items() <= specification["template"]["metadata"]["labels"].items()


def test_own_pods_have_the_same_settings_and_health_checks_of_a_known_kind() -> None:
    pods = dict(_pods())
    assert set(OWN) <= set(pods)
    for name in OWN:
        (container,) = pods[name]["spec"]["containers"]
        assert container["envFrom"] == [
            {"configMapRef": {"name": "ssm-settings"}},
            {"secretRef": {"name": "ssm-secrets"}},
        ]
        command = container.get("livenessProbe", {}).get("exec", {}).get("command")
        if name in ("migrate", "backup"):
            assert command is None
        else:
            assert command[:2] == ["python", "deploy/healthy.py"]
            assert (command[2] if len(command) > 2 else "web") in KINDS


def test_secrets_are_no_part_of_the_repository() -> None:
    assert not any(one["kind"] == "Secret" for one in DOCUMENTS)
    assert "/deploy/kubernetes/secrets.env" in (PROJECT / ".gitignore").read_text().splitlines()
    assert "deploy/kubernetes/secrets.env" in (PROJECT / ".dockerignore").read_text().splitlines()


def test_kustomize_puts_it_together(tmp_path: Path) -> None:
    if not shutil.which("kubectl"):
        pytest.skip("kubectl is not on this machine")
    place = shutil.copytree(FOLDER, tmp_path / "kubernetes")
    shutil.copy(place / "secrets.env.example", place / "secrets.env")

    done = subprocess.run(["kubectl", "kustomize", str(place)], capture_output=True, text=True, check=False, timeout=60)

    assert done.returncode == 0, done.stderr
    made = list(yaml.safe_load_all(done.stdout))
    assert {"Secret", "ConfigMap"} <= {one["kind"] for one in made}
    for document in made:
        kubernetes_validate.validate(document, "1.31", strict=True)
