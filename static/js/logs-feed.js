// Where lines come from: live over the socket, or pages of the past around a time.
import { Line, Marker } from "./logs-lines.js";
import { LogSocket } from "./logs-socket.js";
import { HELD } from "./logs-store.js";
import { clock } from "./logs-times.js";
import { announce } from "./toast.js";

const FIRST = 1000;
const FIRST_OF_EACH = 300;
const OLDER = 2000;
const PAGE = 1000;

export const nanoseconds = (stamp) => {
  const fraction = /\.(\d{1,9})/.exec(stamp)?.[1] ?? "";
  return BigInt(Math.floor(Date.parse(stamp) / 1000)) * 1_000_000_000n + BigInt(fraction.padEnd(9, "0"));
};

// A page of lines around a time (nanoseconds since 1970): {lines, at_start, at_end, problems}. Throws with a sentence.
export async function around(page, at, { before = 0, after = 0 }) {
  const query = new URLSearchParams(page.selection);
  for (const [name, value] of Object.entries({ at_ns: String(at), before, after })) query.set(name, String(value));
  const answer = await fetch(`/logs/around/?${query}`, { headers: { Accept: "application/json" } });
  if (!answer.ok) throw new Error((await answer.text()).slice(0, 300) || `The server answered ${answer.status}.`);
  const found = await answer.json();
  if (!page.sources.all.length || found.sources.some((each, index) => page.sources.at(index)?.id !== each.id)) {
    page.sources.take(found.sources, found.left_out);
  }
  const lines = found.lines.map((each) => {
    const line = new Line(each.stream === "stderr" ? "e" : "o", each.time, each.text);
    line.source = page.sources.at(each.source);
    line.isCut = Boolean(each.cut);
    return line;
  });
  for (const problem of found.problems ?? []) announce(`${problem.message} ${problem.fix ?? ""}`.trim(), { bad: true });
  return { ...found, lines };
}

const identity = (line) => `${line.source?.id}${line.isError ? "e" : "o"}${line.stamp} ${line.text}`;

// Without those that are held already, as often as they are.
function unknown(lines, held) {
  const counts = new Map();
  for (const line of held) if (line.isLine) counts.set(identity(line), (counts.get(identity(line)) ?? 0) + 1);
  return lines.filter((line) => {
    const left = counts.get(identity(line)) ?? 0;
    if (left) counts.set(identity(line), left - 1);
    return !left;
  });
}

const edgeLine = (lines) => lines.find((line) => line.isLine && line.stamp);

async function olderPage(page) {
  const { store } = page;
  const held = store.all.slice(0, 200);
  const oldest = edgeLine(held);
  if (!oldest) return true;
  const found = await around(page, nanoseconds(oldest.stamp) + 1n, { before: PAGE });
  const fresh = unknown(found.lines, held);
  page.takeOlder(fresh, found.at_start || !fresh.length);
  return true;
}

export class LiveFeed {
  constructor(page) {
    this.page = page;
    this.isPast = false;
    this.timer = 0;
    const opening = () =>
      page.isMerged
        ? { tail: FIRST_OF_EACH, places: page.sources.places() }
        : { tail: FIRST, ...page.sources.at(0).place };
    this.socket = new LogSocket(page.root.dataset.socket, opening, {
      message: (message) => this.#message(message),
      lines: (head, lines) => this.#lines(head, lines),
      closed: (text, isFinal) => page.closed(text, isFinal),
    });
  }

  stop() {
    clearTimeout(this.timer);
    this.socket.stop();
  }

  retry(source) {
    if (!this.page.isMerged) this.socket.send({ type: "retry" });
    else for (const each of source ? [source] : this.page.sources.all) this.socket.send({ type: "retry", source: each.index });
  }

  // Asks for lines before those held; they come to the page's takeOlder.
  async older() {
    const { store, sources, isMerged } = this.page;
    if (isMerged) {
      this.#evenTails();
      return olderPage(this.page);
    }
    const edge = store.edge();
    if (!edge.length) return true;
    const count = Math.min(OLDER, HELD - store.all.length);
    this.socket.send({ type: "older", before: sources.at(0).first, edge, count });
    return false;
  }

  async newer() {
    return true;
  }

  // The last lines of a busy log are younger than those of a quiet one: what lies before the youngest beginning would
  // show one log without the others. It comes again with the older lines.
  #evenTails() {
    clearTimeout(this.timer);
    const full = this.page.sources.all.filter((each) => each.tail?.count >= FIRST_OF_EACH);
    for (const source of this.page.sources.all) source.tail = null;
    const time = Math.max(0, ...full.map((each) => each.tailTime));
    if (time) this.page.store.dropBefore(time);
  }

  #lines(head, lines) {
    const { page } = this;
    const source = page.sources.at(0);
    if (head.type === "older") {
      // The numbers tell whether the page still fits in front of what is held.
      const fits = head.first + head.count === source.first;
      for (const line of lines) line.source = source;
      if (fits) source.first = head.first;
      page.takeOlder(fits ? lines : [], fits && head.at_start);
      return;
    }
    let at = 0;
    for (const [index, first, count] of head.runs ?? [[0, head.first, head.count]]) {
      const each = page.sources.at(index);
      each.next = first + count;
      if (each.tail) {
        if (!each.tail.count) each.tailTime = lines[at]?.time || 0;
        each.tail.count += count;
      }
      for (const end = Math.min(at + count, lines.length); at < end; at += 1) lines[at].source = each;
    }
    page.takeLines(lines);
  }

  #message(message) {
    const { page } = this;
    if (message.type === "sources") return page.sources.take(message.sources, message.left_out);
    const source = page.sources.at(message.source);
    if (!source && message.type !== "error") return undefined;
    if (message.type === "opened") {
      if (page.isMerged && !(page.store.sourceCounts.get(source) > 0)) source.tail = { count: 0 };
      page.opened(source, message);
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.#evenTails(), 2000);
    }
    if (message.type === "state") page.takeState(source, message);
    else if (message.type === "skipped") page.takeSkipped(source, message);
    else if (message.type === "marker") page.takeMarker(new Marker(message.kind, markerText(message), message.at ?? "", message.at ?? "", source));
    else if (message.type === "error") page.failed(`${message.message} ${message.fix}`);
    return undefined;
  }
}

// Reads around a time, forwards from one, or backwards from one; further pages both ways.
export class PastFeed {
  // `start`: {at, mark} or {since} or {until}, nanoseconds
  constructor(page, start) {
    this.page = page;
    this.isPast = true;
    this.isAtEnd = false;
    this.isStopped = false;
    this.start(start);
  }

  async start({ at, since, until, mark }) {
    const { page } = this;
    try {
      const found = await (at !== undefined
        ? around(page, at, { before: 200, after: 400 })
        : since !== undefined
          ? around(page, since, { after: PAGE })
          : around(page, until, { before: PAGE }));
      if (this.isStopped) return;
      this.isAtEnd = found.at_end;
      page.takePast(found.lines, found.at_start && since === undefined, mark);
    } catch (error) {
      page.pastFailed(String(error.message));
    }
  }

  stop() {
    this.isStopped = true;
  }

  retry() {
    location.reload();
  }

  older() {
    return olderPage(this.page);
  }

  async newer() {
    const { page } = this;
    if (this.isAtEnd) return true;
    const { all } = page.store;
    const held = all.slice(Math.max(0, all.length - 200), all.length);
    const newest = edgeLine([...held].reverse());
    if (!newest) return true;
    const found = await around(page, nanoseconds(newest.stamp), { after: PAGE });
    if (this.isStopped) return true;
    const fresh = unknown(found.lines, held);
    this.isAtEnd = found.at_end || !fresh.length;
    page.takeNewer(fresh);
    return true;
  }
}

function markerText(message) {
  if (message.kind === "gap") {
    const outcome = message.complete ? "no line lost" : "lines in between may be missing";
    return `Connection lost ${clock(message.lost_at)}, resumed ${clock(message.at)} · ${outcome}`;
  }
  const time = clock(message.at);
  return time ? `${message.text} · ${time}` : message.text;
}
