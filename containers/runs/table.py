"""Which function performs which kind of long act. Each kind is performed here or by containers.execution."""

from collections.abc import Callable
from typing import Final

from containers.models import Operation
from containers.runs import (
    backups,
    copying,
    creating,
    devices,
    images,
    network_changes,
    networks,
    pruning,
    restoring,
    updates,
    volumes,
)
from containers.runs.run import Run

Perform = Callable[[Run], str]
_KIND = Operation.Kind
# The function performs and returns how it ended in a sentence, empty when there is nothing to add.
RUNS: Final[dict[str, Perform]] = {
    _KIND.CREATE: creating.create,
    _KIND.RECREATE: creating.recreate,
    _KIND.UPDATE: updates.update,
    _KIND.ROLLBACK: updates.roll_back,
    _KIND.DISCARD: updates.discard,
    _KIND.IMAGE_PULL: images.pull,
    _KIND.IMAGE_TAG: images.tag,
    _KIND.IMAGE_REMOVE: images.remove,
    _KIND.IMAGE_PRUNE: pruning.prune,
    _KIND.IMAGE_COPY: copying.copy,
    _KIND.NETWORK_CREATE: networks.create,
    _KIND.NETWORK_REMOVE: networks.remove,
    _KIND.NETWORK_PRUNE: networks.prune,
    _KIND.NETWORK_CONNECT: networks.connect,
    _KIND.NETWORK_DISCONNECT: networks.disconnect,
    _KIND.NETWORK_CONFIGURE: network_changes.configure,
    _KIND.DEVICE_TEST: devices.test_connection,
    _KIND.DEVICE_SWEEP: devices.read_anew,
    _KIND.DEVICE_CHECK: devices.check_updates,
    _KIND.VOLUME_CREATE: volumes.create,
    _KIND.VOLUME_REMOVE: volumes.remove,
    _KIND.VOLUME_PRUNE: volumes.prune,
    _KIND.VOLUME_BACKUP: backups.back_up,
    _KIND.VOLUME_RESTORE: restoring.restore,
}
