// What a line says in fields: JSON objects, also behind a prefix such as a time, and logfmt. Bounded, as lines are hostile.
const LONGEST = 64 * 1024;
const MOST = 80;
const DEEPEST = 4;
const LONGEST_VALUE = 2000;
const PAIR = /(?<=^|\s)([A-Za-z_@][\w.\-/@]{0,80})=("(?:[^"\\]|\\.)*"|[^\s"]*)(?=\s|$)/g;
// One of these is what a person wants to read; the others are about the line itself and shown elsewhere.
const MESSAGES = ["msg", "message", "log", "@message", "@m", "short_message", "MESSAGE", "event", "text", "error", "err"];
const TIMES = new Set(["time", "ts", "timestamp", "@timestamp", "@t", "t", "date", "datetime", "asctime"]);
const LEVELS = new Set(["level", "severity", "lvl", "levelname", "loglevel", "log.level", "@l"]);

// The JSON value of a text, undefined if there is none.
export function jsonOf(text) {
  const start = text.search(/[{[]/);
  if (start < 0) return undefined;
  const end = Math.max(text.lastIndexOf("}"), text.lastIndexOf("]"));
  if (end <= start || end - start > LONGEST) return undefined;
  try {
    const value = JSON.parse(text.slice(start, end + 1));
    return value && typeof value === "object" && Object.keys(value).length ? value : undefined;
  } catch {
    return undefined;
  }
}

function unquoted(value) {
  try {
    return JSON.parse(value);
  } catch {
    return value.slice(1, -1);
  }
}

export function pairsOf(text) {
  const found = [];
  for (const [, name, value] of text.slice(0, LONGEST).matchAll(PAIR)) {
    found.push([name, value.startsWith('"') ? String(unquoted(value)) : value]);
    if (found.length === MOST) break;
  }
  return found;
}

const short = (value) => (value.length > LONGEST_VALUE ? `${value.slice(0, LONGEST_VALUE)}…` : value);

function flatten(value, path, depth, found) {
  for (const [name, each] of Object.entries(value)) {
    if (found.size >= MOST) return;
    const full = path ? `${path}.${name}` : name;
    const isNested = each && typeof each === "object" && !Array.isArray(each) && Object.keys(each).length;
    if (isNested && depth < DEEPEST) flatten(each, full, depth + 1, found);
    else found.set(full, short(typeof each === "string" ? each : JSON.stringify(each)));
  }
}

// {kind, prefix, values: Map(name → text), message: name or ""}; null for a line without fields.
export function fieldsOf(text) {
  const values = new Map();
  let prefix = "";
  let kind = "json";
  if (text.trimEnd().endsWith("}")) {
    const start = text.indexOf("{");
    // Far in the line it is rather a sentence that quotes some JSON.
    const value = start >= 0 && start <= 120 ? jsonOf(text.slice(start)) : undefined;
    if (value && !Array.isArray(value)) {
      prefix = text.slice(0, start).trim();
      flatten(value, "", 0, values);
    }
  }
  if (!values.size && text.includes("=")) {
    const pairs = pairsOf(text);
    const first = pairs.length ? text.indexOf(`${pairs[0][0]}=`) : -1;
    if (pairs.length >= (first === 0 ? 2 : 3) && first <= 120) {
      kind = "logfmt";
      prefix = text.slice(0, first).trim();
      for (const [name, value] of pairs) values.set(name, short(value));
    }
  }
  if (!values.size) return null;
  return { kind, prefix, values, message: MESSAGES.find((name) => values.has(name)) ?? "" };
}

// The fields apart from the message and from what the row shows already: [[name, value]].
export function furtherFields(fields) {
  const rest = [];
  for (const [name, value] of fields.values) {
    if (name !== fields.message && !TIMES.has(name) && !LEVELS.has(name) && value !== "") rest.push([name, value]);
  }
  return rest;
}

// Which fields lines have: [{name, count, example}], the most frequent first, messages in front of them all.
export function fieldNames(lines) {
  const found = new Map();
  for (const line of lines) {
    if (line.kind || !line.fields) continue;
    for (const [name, value] of line.fields.values) {
      const known = found.get(name);
      if (known) known.count += 1;
      else if (found.size < 200) found.set(name, { name, count: 1, example: value.slice(0, 60) });
    }
  }
  return [...found.values()].sort((a, b) => b.count - a.count || a.name.localeCompare(b.name));
}
