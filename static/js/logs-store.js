// The lines that the page holds: all of them, and those that pass the filter. Bounded at both ends.
import { Line, Marker } from "./logs-lines.js";
import { LineList } from "./logs-list.js";

export const HELD = 100_000;
const HELD_WHILE_READING = 150_000; // what somebody reads further up is not taken away at once
const KNOWN = 2000;
const SETTLED_MS = 1500;
const EDGE = 16;

export class Store {
  #rate = [];
  #known = null;

  constructor(filter, heightOf) {
    this.filter = filter;
    this.all = new LineList(() => 0);
    this.shown = new LineList(heightOf);
    this.lines = 0; // how many of all are lines, not markers
    this.skipped = 0;
    this.epoch = "";
    this.next = 0; // number of the record that follows
    this.first = 0; // number of the oldest one held
    this.isAtStart = false;
    this.nextKey = 0;
    this.firstKey = -1;
    this.openedAt = 0;
  }

  opened(message) {
    const continues = message.continued && message.epoch === this.epoch;
    if (!continues && this.all.length) this.#known = knownLines(this.all);
    if (!continues) this.first = message.first;
    this.epoch = message.epoch;
    this.next = message.first;
    this.openedAt = performance.now();
  }

  // New lines at the end; gives how many of them are shown.
  append(head, lines) {
    this.next = head.first + head.count;
    const now = performance.now();
    // What comes first is history, which says nothing about the log's pace.
    if (now - this.openedAt > SETTLED_MS) this.#rate.push([now, lines.length]);
    const fresh = this.#known ? this.#withoutKnown(lines) : lines;
    let count = 0;
    for (const line of fresh) count += this.#add(line);
    return count;
  }

  mark(kind, text, title = "") {
    return this.#add(new Marker(kind, text, title));
  }

  skip(message) {
    this.skipped += message.count;
    this.next = message.first + message.count;
    const count = message.count.toLocaleString("en");
    this.mark("skipped", `${count} lines skipped`, "They came faster than this page could take them in.");
  }

  // Older lines in front; gives how many of them are shown.
  prepend(head, lines) {
    this.first = head.first;
    this.isAtStart = head.at_start;
    this.firstKey -= lines.length;
    lines.forEach((line, index) => {
      line.key = this.firstKey + index + 1;
    });
    const passing = lines.filter((line) => this.filter.passes(line));
    this.all.unshift(lines);
    this.lines += lines.length;
    this.shown.unshift(passing);
    return passing.length;
  }

  // What the server needs to find the lines before the oldest one held.
  edge() {
    const edge = [];
    for (const line of this.all) {
      if (line instanceof Line) edge.push(`${line.stamp} ${/^[ -~]{0,60}/.exec(line.text)[0]}`);
      if (edge.length === EDGE) break;
    }
    return edge;
  }

  // Drops what is too much at the front.
  trim(isReading) {
    const excess = this.all.length - (isReading ? HELD_WHILE_READING : HELD);
    if (excess <= 0) return false;
    let records = 0;
    for (const line of this.all.slice(0, excess)) records += line instanceof Line ? 1 : 0;
    this.all.dropFront(excess);
    this.first += records;
    this.lines -= records;
    this.isAtStart = false;
    this.shown.dropFront(this.shown.length, this.all.at(0).key);
    return true;
  }

  clear() {
    this.all.clear();
    this.shown.clear();
    this.first = this.next;
    this.isAtStart = false;
    this.lines = 0;
    this.skipped = 0;
  }

  refilter() {
    this.filter.prepare();
    this.shown.clear();
    for (const line of this.all) if (this.filter.passes(line)) this.shown.push(line);
  }

  // Lines that pass the filter; what happened between lines always passes and does not count.
  get shownLines() {
    return this.shown.length - (this.all.length - this.lines);
  }

  linesPerSecond() {
    const now = performance.now();
    while (this.#rate.length && now - this.#rate[0][0] > 2000) this.#rate.shift();
    return Math.round(this.#rate.reduce((sum, [, count]) => sum + count, 0) / 2);
  }

  #add(line) {
    line.key = this.nextKey;
    this.nextKey += 1;
    this.all.push(line);
    if (line instanceof Line) this.lines += 1;
    if (!this.filter.passes(line)) return 0;
    this.shown.push(line);
    return 1;
  }

  // After a reconnection to a server that does not know us: it sends the last lines again.
  #withoutKnown(lines) {
    const { counts, oldest, newest } = this.#known;
    const fresh = [];
    for (const line of lines) {
      const id = identity(line);
      const left = counts.get(id) ?? 0;
      if (left) counts.set(id, left - 1);
      else if (line.stamp >= oldest) fresh.push(line);
    }
    const last = lines.at(-1)?.stamp ?? "";
    if (last > newest) this.#known = null;
    if (fresh.length === lines.length && lines.length) {
      this.mark("gap", "Reconnected; lines in between may be missing");
      this.#known = null;
    }
    return fresh;
  }
}

const identity = (line) => `${line.isError ? "e" : "o"}${line.stamp} ${line.text}`;

function knownLines(all) {
  const counts = new Map();
  let [oldest, newest] = ["", ""];
  for (const line of all.slice(Math.max(0, all.length - KNOWN), all.length)) {
    if (!(line instanceof Line)) continue;
    oldest ||= line.stamp;
    if (line.stamp > newest) newest = line.stamp;
    counts.set(identity(line), (counts.get(identity(line)) ?? 0) + 1);
  }
  return { counts, oldest, newest };
}
