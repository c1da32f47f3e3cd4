// What each chart draws: columns of the data, their names, colours (tokens of charts.css) and unit.
// `limit` gives the values of the dashed line, or null; `least` is the smallest height of the axis.
const MIB = 1024 ** 2;

const constant = (value) => (data) => (value ? data.times.map(() => value) : null);

/** What the kernel gives at most, where that is less than the whole host. */
function memoryLimit(data) {
  const host = data.limits.host_memory_bytes;
  const column = data.columns.memory_limit_bytes ?? [];
  const own = data.limits.memory_bytes;
  if (!own && !host) return null;
  const isOwn = (value) => value !== null && (own ? true : value < host * 0.98);
  const values = column.map((value) => (isOwn(value) ? value : null));
  return values.some((value) => value !== null) ? values : constant(own)(data);
}

const rates = (received, sent, names) => ({
  unit: "rate",
  least: 1000,
  series: [
    { column: received, name: names[0], colour: "--chart-in", fills: true },
    { column: sent, name: names[1], colour: "--chart-out" },
  ],
});

export const KINDS = {
  cpu: {
    unit: "percent",
    least: 1,
    series: [{ column: "cpu_percent", peak: "cpu_percent_max", name: "CPU", colour: "--chart-cpu", fills: true }],
    limit: (data) => constant(data.limits.cpu_percent)(data),
    limitText: (data, text) => (data.limits.cpu_percent ? `limit ${text(data.limits.cpu_percent)}` : ""),
  },
  memory: {
    unit: "bytes",
    least: MIB,
    series: [
      { column: "memory_bytes", peak: "memory_bytes_max", name: "Memory", colour: "--chart-memory", fills: true },
    ],
    limit: memoryLimit,
    limitText(data, text) {
      const limit = memoryLimit(data)?.findLast((value) => value !== null);
      return limit ? `limit ${text(limit)}` : "";
    },
  },
  network: rates("network_received_bytes_per_s", "network_sent_bytes_per_s", ["Received", "Sent"]),
  block: rates("block_read_bytes_per_s", "block_written_bytes_per_s", ["Read", "Written"]),
  pids: {
    unit: "number",
    least: 4,
    series: [{ column: "pids", name: "Processes", colour: "--chart-plain", fills: true }],
    limit: (data) => constant(data.limits.pids)(data),
    limitText: (data, text) => (data.limits.pids ? `limit ${text(data.limits.pids)}` : ""),
  },
  "host-cpu": {
    unit: "percent",
    least: 1,
    series: [
      { column: "cpu_percent", peak: "cpu_percent_max", name: "Host", colour: "--chart-cpu", fills: true },
      {
        // Percent of one CPU there, of all of them here.
        column: "containers_cpu_percent",
        name: "Containers",
        colour: "--chart-out",
        of: (value, data) => (value === null || !data.limits.cpus ? null : value / data.limits.cpus),
      },
    ],
    limit: constant(100),
    limitText: () => "",
  },
  "host-memory": {
    unit: "bytes",
    least: MIB,
    series: [
      { column: "memory_used_bytes", peak: "memory_used_bytes_max", name: "Host", colour: "--chart-memory", fills: true },
      { column: "containers_memory_bytes", name: "Containers", colour: "--chart-out" },
    ],
    limit: (data) => data.columns.memory_total_bytes ?? null,
    limitText(data, text) {
      const total = data.columns.memory_total_bytes?.findLast((value) => value !== null);
      return total ? `of ${text(total)}` : "";
    },
  },
  "containers-network": rates("containers_network_received_bytes_per_s", "containers_network_sent_bytes_per_s", [
    "Received",
    "Sent",
  ]),
  "containers-block": rates("containers_block_read_bytes_per_s", "containers_block_written_bytes_per_s", [
    "Read",
    "Written",
  ]),
  load: {
    unit: "number",
    least: 1,
    series: [
      { column: "load_1", name: "1 min", colour: "--chart-cpu" },
      { column: "load_5", name: "5 min", colour: "--chart-in" },
      { column: "load_15", name: "15 min", colour: "--chart-plain" },
    ],
    limit: (data) => constant(data.limits.cpus)(data),
    limitText: (data) => (data.limits.cpus ? `${data.limits.cpus} CPUs` : ""),
  },
  disk: {
    unit: "bytes",
    least: MIB,
    series: [{ column: "disk_used_bytes", name: "Used", colour: "--chart-in", fills: true }],
    limit: (data) => data.columns.disk_total_bytes ?? null,
    limitText(data, text) {
      const total = data.columns.disk_total_bytes?.findLast((value) => value !== null);
      return total ? `of ${text(total)}` : "";
    },
  },
};
