"""Who follows which device, when several listeners run: a lease per device in Redis.

A lease names its holder and ends by itself, so that the devices of a listener that died are taken over within
30 seconds. New devices go to whoever looks first; a listener that holds more than its share takes no more.
"""

import math
import uuid
from collections.abc import Sequence
from typing import Any, Final

import redis

LEASE_S: Final = 15
_PREFIX: Final = "ssm:follow:"
_LISTENERS: Final = "ssm:listeners"

# Renew if mine, take if free: the first ARGV[4] keys are at work here already, which is no reason to count them (Redis
# may have come back empty); of the others at most ARGV[3]. Gives 1 when this listener holds the lease afterwards.
_HOLD: Final = """
local held = {}
for index, key in ipairs(KEYS) do
  local holder = redis.call('GET', key)
  if holder == ARGV[1] then
    redis.call('PEXPIRE', key, ARGV[2]); held[index] = 1
  elseif not holder and index <= tonumber(ARGV[4]) then
    redis.call('SET', key, ARGV[1], 'PX', ARGV[2]); held[index] = 1
  elseif not holder and tonumber(ARGV[3]) > 0 then
    redis.call('SET', key, ARGV[1], 'PX', ARGV[2]); held[index] = 1; ARGV[3] = tostring(tonumber(ARGV[3]) - 1)
  else
    held[index] = 0
  end
end
return held
"""
_RELEASE: Final = """
for _, key in ipairs(KEYS) do
  if redis.call('GET', key) == ARGV[1] then redis.call('DEL', key) end
end
return 0
"""


class Leases:
    """The leases of one listener process."""

    def __init__(self, url: str) -> None:
        self._client: redis.Redis = redis.Redis.from_url(url, socket_timeout=5, socket_connect_timeout=5)
        self._name = uuid.uuid4().hex
        self._held: set[str] = set()
        self._hold = self._client.register_script(_HOLD)
        self._release = self._client.register_script(_RELEASE)

    def hold(self, wanted: set[str], *, already: set[str]) -> set[str]:
        """Renew and take leases; gives the device ids that are this listener's now. Raises RedisError.

        ``already`` are those it follows now. A fair share is all devices divided by the listeners alive, rounded up.
        """
        share = math.ceil(len(wanted) / max(1, self._listeners()))
        room = max(0, share - len(already & wanted))
        # Those at work come first, so that room is left for what is renewed.
        kept = sorted(wanted & already)
        order = kept + sorted(wanted - already)
        if not order:
            self._held = set()
            return set()
        keys = [_PREFIX + device for device in order]
        answer = self._hold(keys=keys, args=[self._name, LEASE_S * 1000, room, len(kept)])
        self._held = {device for device, held in zip(order, answer, strict=True) if held}
        return set(self._held)

    def _listeners(self) -> int:
        """Announce this listener, forget the silent ones and count those alive."""
        seconds = int(self._client.time()[0])
        pipe = self._client.pipeline()
        pipe.zadd(_LISTENERS, {self._name: seconds})
        pipe.zremrangebyscore(_LISTENERS, 0, seconds - LEASE_S)
        pipe.zcard(_LISTENERS)
        return int(pipe.execute()[-1])

    def release_all(self) -> None:
        """Give all leases back, so that another listener takes over at once; silent when Redis is away."""
        try:
            if self._held:
                self._release(keys=[_PREFIX + device for device in self._held], args=[self._name])
            self._client.zrem(_LISTENERS, self._name)
        except redis.RedisError:
            return  # they end by themselves


def holders(client: "redis.Redis", devices: Sequence[str]) -> dict[str, str]:
    """Which listener follows which of the devices; those that nobody follows are left out. One round trip."""
    if not devices:
        return {}
    names: Any = client.mget([_PREFIX + device for device in devices])
    return {device: name.decode("ascii", "replace")[:32] for device, name in zip(devices, names, strict=True) if name}
