// The lines that the page holds: all of them, and those that pass the filter. Bounded at both ends.
import { LEVELS } from "./logs-filter.js";
import { Grouper } from "./logs-groups.js";
import { Marker } from "./logs-lines.js";
import { LineList } from "./logs-list.js";

export const HELD = 100_000;
const HELD_WHILE_READING = 150_000; // what somebody reads further up is not taken away at once
const KNOWN = 2000;
const SETTLED_MS = 1500;
const EDGE = 16;
const LATE = 4000; // how many lines back one of another host may fall in between

export class Store {
  #rate = [];
  #known = new Map();
  #groupers = new Map();

  constructor(filter, heightOf) {
    this.filter = filter;
    this.all = new LineList(() => 0);
    this.shown = new LineList(heightOf);
    this.isGrouping = true;
    this.nextKey = 0;
    this.firstKey = -1;
    this.openedAt = 0;
    this.clear();
  }

  clear() {
    this.all.clear();
    this.shown.clear();
    this.#groupers.clear();
    this.#known.clear();
    this.isAtStart = false;
    this.lines = 0; // how many of all are lines, not markers
    this.shownLines = 0; // how many lines pass the filter
    this.skipped = 0;
    this.counts = Object.fromEntries(LEVELS.map((level) => [level, 0]));
    this.sourceCounts = new Map();
    this.touched = new Set(); // heads that got further lines since the view asked
  }

  // The stream of a source begins, or goes on after a lost socket.
  opened(source, message) {
    const continues = message.continued && message.epoch === source.epoch;
    const isHeld = (this.sourceCounts.get(source) ?? 0) > 0;
    if (!continues && isHeld) this.#known.set(source, knownLines(this.all, source));
    if (!continues) source.first = message.first;
    source.epoch = message.epoch;
    source.next = message.first;
    this.openedAt = performance.now();
  }

  // New lines at the end; gives how many of them are shown.
  append(lines) {
    const now = performance.now();
    // What comes first is history, which says nothing about the log's pace.
    if (now - this.openedAt > SETTLED_MS) this.#rate.push([now, lines.length]);
    const fresh = this.#known.size ? this.#withoutKnown(lines) : lines;
    let count = 0;
    for (const line of fresh) count += this.#add(line);
    return count;
  }

  mark(marker) {
    return this.#add(marker);
  }

  skip(source, message) {
    this.skipped += message.count;
    source.next = message.first + message.count;
    const count = message.count.toLocaleString("en");
    const why = "They came faster than this page could take them in.";
    this.mark(new Marker("skipped", `${count} lines skipped`, why, "", source));
  }

  // Older lines in front; gives how many of them are shown.
  prepend(lines, isAtStart) {
    this.isAtStart = isAtStart;
    this.firstKey -= lines.length;
    const groupers = new Map();
    const passing = [];
    lines.forEach((line, index) => {
      line.key = this.firstKey + index + 1;
      this.#count(line, 1);
      this.#group(line, groupers);
    });
    for (const line of lines) {
      line.isShown = line.head === null && this.filter.passes(line);
      if (line.isShown) passing.push(line);
      if (line.isLine && (line.head ?? line).isShown) this.shownLines += 1;
    }
    this.all.unshift(lines);
    this.shown.unshift(passing);
    return passing.length;
  }

  // What the server needs to find the lines before the oldest one held.
  edge() {
    const edge = [];
    for (const line of this.all) {
      if (line.isLine) edge.push(`${line.stamp} ${/^[ -~]{0,60}/.exec(line.text)[0]}`);
      if (edge.length === EDGE) break;
    }
    return edge;
  }

  // Drops what is too much at the front.
  trim(isReading) {
    const excess = this.all.length - (isReading ? HELD_WHILE_READING : HELD);
    if (excess <= 0) return false;
    for (const line of this.all.slice(0, excess)) {
      this.#count(line, -1);
      if (line.isLine) {
        line.source.first += 1;
        if ((line.head ?? line).isShown) this.shownLines -= 1;
      }
    }
    this.all.dropFront(excess);
    this.isAtStart = false;
    this.shown.dropFront(this.shown.length, this.all.at(0).key);
    return true;
  }

  refilter() {
    this.filter.prepare();
    this.shown.clear();
    this.shownLines = 0;
    for (const line of this.all) {
      if (line.head) {
        if (line.head.isShown) this.shownLines += 1;
        continue;
      }
      line.isShown = this.filter.passes(line);
      if (!line.isShown) continue;
      this.shown.push(line);
      if (line.isLine) this.shownLines += 1;
    }
  }

  regroup(isGrouping) {
    this.isGrouping = isGrouping;
    this.#groupers.clear();
    for (const line of this.all) {
      line.head = line.members = null;
      line.height = 0;
    }
    for (const line of this.all) this.#group(line, this.#groupers);
    this.refilter();
  }

  linesPerSecond() {
    const now = performance.now();
    while (this.#rate.length && now - this.#rate[0][0] > 2000) this.#rate.shift();
    return Math.round(this.#rate.reduce((sum, [, count]) => sum + count, 0) / 2);
  }

  // Heads whose rows are out of date; forgotten once asked.
  takeTouched() {
    const touched = this.touched;
    if (touched.size) this.touched = new Set();
    return touched;
  }

  #add(line) {
    this.#place(line);
    this.#count(line, 1);
    const head = this.#group(line, this.#groupers);
    if (head) return this.#grown(head);
    line.isShown = this.filter.passes(line);
    if (!line.isShown) return 0;
    if (this.shown.length && this.shown.at(this.shown.length - 1).key > line.key) this.shown.insert(line);
    else this.shown.push(line);
    if (line.isLine) this.shownLines += 1;
    return 1;
  }

  // At the end; a line of another host that comes late falls in between by its time.
  #place(line) {
    const { all } = this;
    const last = all.at(all.length - 1);
    if (last && this.sourceCounts.size > 1 && line.time < last.time) {
      const end = Math.max(0, all.length - LATE);
      let at = all.length;
      let next = null;
      for (let each = last; at > end && each.source !== line.source && !(each.time <= line.time); each = all.at(at - 1)) {
        next = each;
        at -= 1;
        if (at <= end) break;
      }
      if (next) {
        line.key = ((at > 0 ? all.at(at - 1).key : next.key - 1) + next.key) / 2;
        all.insert(line);
        return;
      }
    }
    line.key = this.nextKey;
    this.nextKey += 1;
    this.all.push(line);
  }

  #grown(head) {
    this.touched.add(head);
    if (!head.isShown) {
      if (!this.filter.passes(head)) return 0;
      head.isShown = true;
      this.shown.insert(head);
      this.shownLines += head.members.length;
    }
    this.shownLines += 1;
    return 1;
  }

  #group(line, groupers) {
    if (!this.isGrouping || !line.isLine) return null;
    let grouper = groupers.get(line.source);
    if (!grouper) groupers.set(line.source, (grouper = new Grouper()));
    const head = grouper.headOf(line);
    if (head) {
      line.head = head;
      (head.members ??= []).push(line);
    }
    return head;
  }

  #count(line, sign) {
    if (!line.isLine) return;
    this.lines += sign;
    this.counts[line.level] += sign;
    if (line.source) this.sourceCounts.set(line.source, (this.sourceCounts.get(line.source) ?? 0) + sign);
  }

  // After a reconnection to a server that does not know us: it sends the last lines again.
  #withoutKnown(lines) {
    const fresh = [];
    const before = new Map();
    for (const line of lines) {
      const known = this.#known.get(line.source);
      if (known) {
        const id = identity(line);
        const left = known.counts.get(id) ?? 0;
        if (!before.has(line.source)) before.set(line.source, { known, all: 0, kept: 0, last: "" });
        const seen = before.get(line.source);
        seen.all += 1;
        seen.last = line.stamp;
        if (left) known.counts.set(id, left - 1);
        if (left || line.stamp < known.oldest) continue;
        seen.kept += 1;
      }
      fresh.push(line);
    }
    for (const [source, seen] of before) {
      if (seen.kept === seen.all) this.mark(new Marker("gap", "Reconnected; lines in between may be missing", "", "", source));
      if (seen.last > seen.known.newest || seen.kept === seen.all) this.#known.delete(source);
    }
    return fresh;
  }
}

const identity = (line) => `${line.isError ? "e" : "o"}${line.stamp} ${line.text}`;

function knownLines(all, source) {
  const counts = new Map();
  let [oldest, newest] = ["", ""];
  for (const line of all.slice(Math.max(0, all.length - KNOWN), all.length)) {
    if (!line.isLine || line.source !== source) continue;
    oldest ||= line.stamp;
    if (line.stamp > newest) newest = line.stamp;
    counts.set(identity(line), (counts.get(identity(line)) ?? 0) + 1);
  }
  return { counts, oldest, newest };
}
