// After a reconnection to a server that does not know us: it sends the last lines again, which are not to be doubled.
const MOST = 2000;

const identity = (line) => `${line.isError ? "e" : "o"}${line.stamp} ${line.text}`;

export class Known {
  #sources = new Map();

  clear() {
    this.#sources.clear();
  }

  remember(all, source) {
    const counts = new Map();
    let [oldest, newest] = ["", ""];
    for (const line of all.slice(Math.max(0, all.length - MOST), all.length)) {
      if (!line.isLine || line.source !== source) continue;
      oldest ||= line.stamp;
      if (line.stamp > newest) newest = line.stamp;
      counts.set(identity(line), (counts.get(identity(line)) ?? 0) + 1);
    }
    this.#sources.set(source, { counts, oldest, newest });
  }

  // Those of the lines that were not held; `lost(source)` is told where none of a source's lines was.
  without(lines, lost) {
    if (!this.#sources.size) return lines;
    const fresh = [];
    const seen = new Map();
    for (const line of lines) {
      const known = this.#sources.get(line.source);
      if (!known) {
        fresh.push(line);
        continue;
      }
      if (!seen.has(line.source)) seen.set(line.source, { all: 0, kept: 0, last: "" });
      const tally = seen.get(line.source);
      const id = identity(line);
      const left = known.counts.get(id) ?? 0;
      tally.all += 1;
      tally.last = line.stamp;
      if (left) known.counts.set(id, left - 1);
      if (left || line.stamp < known.oldest) continue;
      tally.kept += 1;
      fresh.push(line);
    }
    for (const [source, tally] of seen) {
      if (tally.kept === tally.all) lost(source);
      if (tally.last > this.#sources.get(source).newest || tally.kept === tally.all) this.#sources.delete(source);
    }
    return fresh;
  }
}
