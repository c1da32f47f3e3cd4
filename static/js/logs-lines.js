// Lines as the page holds them, made from the server's records ("o2026-11-24T10:42:03.123456789Z text").
import { plainText } from "./logs-ansi.js";
import { fieldsOf } from "./logs-fields.js";

const decoder = new TextDecoder("utf-8");
const STAMP_END = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)$/;
const WORDS = new Map(
  Object.entries({
    error: ["error", "err", "fatal", "panic", "critical", "crit", "severe", "emerg", "emergency", "alert", "50", "60"],
    warn: ["warn", "warning", "wrn", "40"],
    info: ["info", "information", "inf", "notice", "30"],
    debug: ["debug", "dbg", "trace", "trc", "verbose", "10", "20"],
  }).flatMap(([level, words]) => words.map((word) => [word, level])),
);
const FIELD = /"?(?:level|severity|lvl|levelname|loglevel|log\.level)"?\s*[=:]\s*"?([a-z]+|\d0)\b/i;
// In the middle of a sentence only capitals are a level: "no error" is none.
const CAPITALS = /\b(TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|ERR|FATAL|PANIC|CRITICAL|SEVERE|EMERG|ALERT)\b/;
const MARKED =
  /[[<(](trace|debug|info|notice|warn|warning|error|err|fatal|panic|crit|critical|emerg|alert|dbg|inf|wrn)[\])>]|^(?:\S+\s+){0,3}(trace|debug|info|warn|warning|error|fatal|panic)(?=:|\s-\s|\s\|)/i;
const KLOG = /^[IWEF]\d{4} \d\d:/;
const LETTERS = { I: "info", W: "warn", E: "error", F: "error" };

export class Line {
  constructor(mark, stamp, text) {
    this.key = 0; // place in the page's own order
    this.source = null; // the container that wrote it
    this.stamp = stamp;
    this.text = text;
    this.isError = mark === "e" || mark === "E";
    this.isCut = mark === "O" || mark === "E";
    this.isOpen = false;
    this.height = 0; // as measured, for the layout with number `layout`
    this.layout = -1;
    this.head = null; // the line that it belongs below
    this.members = null; // lines that belong below this one
    this.isUnfolded = false;
    this.isShown = false;
    this.isMarked = false;
    this.knownPlain = null;
    this.knownLevel = null;
    this.knownFields = undefined;
  }

  get isLine() {
    return true;
  }

  get time() {
    return this.stamp ? Date.parse(this.stamp) : NaN;
  }

  get fields() {
    if (this.knownFields === undefined) this.knownFields = fieldsOf(this.plain);
    return this.knownFields;
  }

  // With what belongs below it.
  get wholeText() {
    return this.members ? [this, ...this.members].map((line) => line.plain).join("\n") : this.plain;
  }

  get plain() {
    if (this.knownPlain === null) this.knownPlain = plainText(this.text);
    return this.knownPlain;
  }

  get level() {
    if (this.knownLevel === null) this.knownLevel = levelOf(this.plain);
    return this.knownLevel;
  }
}

// Something between the lines: gap, started, stopped, recreated, removed, skipped, or an event of the container.
export class Marker {
  constructor(kind, text, title = "", stamp = "", source = null) {
    this.key = 0;
    this.stamp = stamp;
    this.source = source;
    this.head = this.members = null;
    this.isShown = false;
    this.kind = kind;
    this.text = text;
    this.title = title;
    this.height = 0;
    this.layout = -1;
  }

  get isLine() {
    return false;
  }

  get time() {
    return this.stamp ? Date.parse(this.stamp) : NaN;
  }
}

export function levelOf(text) {
  const head = text.length > 240 ? text.slice(0, 240) : text;
  const field = FIELD.exec(head);
  const known = field && WORDS.get(field[1].toLowerCase());
  if (known) return known;
  if (KLOG.test(head)) return LETTERS[head[0]];
  const start = head.slice(0, 120);
  const word = CAPITALS.exec(start) ?? MARKED.exec(start);
  return word ? (WORDS.get((word[1] ?? word[2]).toLowerCase()) ?? "none") : "none";
}

// A binary message: {head, lines}.
export function parseMessage(buffer) {
  const bytes = new Uint8Array(buffer);
  const end = bytes.indexOf(10);
  const head = JSON.parse(decoder.decode(bytes.subarray(0, end)));
  const records = decoder.decode(bytes.subarray(end + 1)).split("\n");
  records.length = Math.min(records.length, head.count);
  return { head, lines: records.map(lineOf) };
}

function lineOf(record) {
  const space = record.indexOf(" ");
  const stamp = record.slice(1, Math.max(space, 1));
  if (stamp && !STAMP_END.test(stamp)) return new Line(record[0], "", record.slice(1));
  return new Line(record[0], stamp, record.slice(space + 1));
}
