"""What containers and hosts use: asked for (sampling), kept (storing, partitions, rollup), and read (reading).

Latest figures are rows of ContainerUsage and HostUsage. The past is in two partitioned tables without models:

- ``containers_usage_sample``: one row per device and sample, for a day by default. ``host`` holds a packed row of
  `DEVICE_COLUMNS`, ``figures`` one of `CONTAINER_COLUMNS` for each id in ``containers``, in their order.
- ``containers_usage_history``: one row per container (and one per device) and day (UTC), for 30 days by default:
  points of 15 minutes by default, packed by columns.

One row per device, not per container, makes a fleet's minute a few hundred rows in place of many thousands, and a
day in one row leaves no dead versions behind. Packing: containers.rules.packing.
"""
