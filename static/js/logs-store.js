// The lines that the page holds: all of them, and those that pass the filter. Bounded at both ends.
import { LEVELS } from "./logs-filter.js";
import { Grouper } from "./logs-groups.js";
import { Known } from "./logs-known.js";
import { Marker } from "./logs-lines.js";
import { LineList } from "./logs-list.js";

export const HELD = 100_000;
const HELD_WHILE_READING = 150_000; // what somebody reads further up is not taken away at once
const SETTLED_MS = 1500;
const EDGE = 16;
const LOST = "Reconnected; lines in between may be missing";
const LATE = 4000; // how many lines back one of another host may fall in between

export class Store {
  #rate = [];
  #known = new Known();
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
    this.markers = []; // all that are held, and some that are no longer
    this.counts = Object.fromEntries(LEVELS.map((level) => [level, 0]));
    this.sourceCounts = new Map();
    this.touched = new Set(); // heads that got further lines since the view asked
  }

  // The stream of a source begins, or goes on after a lost socket.
  opened(source, message) {
    const continues = message.continued && message.epoch === source.epoch;
    const isHeld = (this.sourceCounts.get(source) ?? 0) > 0;
    if (!continues && isHeld) this.#known.remember(this.all, source);
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
    const fresh = this.#known.without(lines, (source) => this.mark(new Marker("gap", LOST, "", "", source)));
    let count = 0;
    for (const line of fresh) count += this.#add(line);
    return count;
  }

  mark(marker) {
    this.markers.push(marker);
    return this.#add(marker);
  }

  // At its time between the lines held; none before the oldest.
  insertMarker(marker) {
    const { all } = this;
    let [low, high] = [0, all.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      let at = middle;
      while (at > low && !(all.at(at).time > 0)) at -= 1;
      if (all.at(at).time <= marker.time || !(all.at(at).time > 0)) low = middle + 1;
      else high = at;
    }
    if (low === 0) return 0;
    if (low === all.length) return this.mark(marker);
    this.markers.push(marker);
    marker.key = (all.at(low - 1).key + all.at(low).key) / 2;
    all.insert(marker);
    marker.isShown = this.filter.passes(marker);
    if (marker.isShown) this.shown.insert(marker);
    return 1;
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
    this.#drop(this.all.length - (isReading ? HELD_WHILE_READING : HELD));
  }

  // Drops what is older at the front.
  dropBefore(time) {
    let count = 0;
    for (const line of this.all) {
      if (line.time >= time) break;
      count += 1;
    }
    if (count < this.all.length) this.#drop(count);
  }

  #drop(count) {
    if (count <= 0) return;
    for (const line of this.all.slice(0, count)) {
      this.#count(line, -1);
      if (line.isLine) {
        line.source.first += 1;
        if ((line.head ?? line).isShown) this.shownLines -= 1;
      }
    }
    this.all.dropFront(count);
    this.isAtStart = false;
    this.shown.dropFront(this.shown.length, this.all.at(0).key);
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
}
