// What opens below a line that was clicked: its exact time, its fields if it is JSON or logfmt, else its whole text.
const DEEPEST = 12;
const MOST_NODES = 3000;
const LONGEST = 64 * 1024;
const PAIR = /([A-Za-z_][\w.\-/]*)=("(?:[^"\\]|\\.)*"|[^\s"]*)/g;

function make(tag, className, text = "") {
  const element = document.createElement(tag);
  element.className = className;
  if (text) element.textContent = text;
  return element;
}

export function detailElement(line) {
  const box = make("div", "log-detail");
  box.append(factsElement(line));
  const value = jsonOf(line.plain);
  const pairs = value === undefined ? pairsOf(line.plain) : [];
  if (value !== undefined) {
    const tree = make("pre", "log-json");
    tree.append(...jsonNodes(value, 0, { left: MOST_NODES }));
    box.append(tree);
  } else if (pairs.length > 1) {
    box.append(pairsElement(pairs));
  } else if (line.plain.length > 4000) {
    box.append(make("pre", "log-json", line.plain.slice(0, LONGEST)));
  }
  return box;
}

function factsElement(line) {
  const facts = make("dl", "log-detail__facts");
  const moment = new Date(line.stamp);
  const known = !Number.isNaN(moment.getTime());
  const list = [
    ["Time", known ? moment.toLocaleString([], { dateStyle: "medium", timeStyle: "long" }) : "not told"],
    ["Engine's time", line.stamp || "not told"],
    ["Stream", line.isError ? "standard error" : "standard output"],
    ["Length", `${line.text.length.toLocaleString("en")} characters`],
  ];
  if (line.level !== "none") list.splice(2, 0, ["Level", line.level]);
  for (const [name, value] of list) facts.append(make("dt", "", name), make("dd", "", value));
  return facts;
}

// The JSON value of a line, also behind a prefix such as a time; undefined if there is none.
export function jsonOf(text) {
  const start = text.search(/[{[]/);
  const end = Math.max(text.lastIndexOf("}"), text.lastIndexOf("]"));
  if (start < 0 || end <= start || end - start > LONGEST) return undefined;
  try {
    const value = JSON.parse(text.slice(start, end + 1));
    return value && typeof value === "object" && Object.keys(value).length ? value : undefined;
  } catch {
    return undefined;
  }
}

function pairsOf(text) {
  const found = [];
  for (const [, name, value] of text.slice(0, LONGEST).matchAll(PAIR)) {
    found.push([name, value.startsWith('"') ? unquoted(value) : value]);
    if (found.length === 200) break;
  }
  return found;
}

function unquoted(value) {
  try {
    return JSON.parse(value);
  } catch {
    return value.slice(1, -1);
  }
}

function pairsElement(pairs) {
  const list = make("dl", "log-detail__pairs");
  for (const [name, value] of pairs) list.append(make("dt", "", name), make("dd", "", value));
  return list;
}

function jsonNodes(value, depth, budget) {
  budget.left -= 1;
  if (budget.left < 0 || depth > DEEPEST) return [make("span", "log-json__more", "…")];
  if (value === null || typeof value !== "object") {
    const kind = value === null ? "null" : typeof value;
    return [make("span", `log-json__${kind}`, JSON.stringify(value))];
  }
  const isList = Array.isArray(value);
  const entries = isList ? value.map((each) => [null, each]) : Object.entries(value);
  const [open, close] = isList ? "[]" : "{}";
  if (!entries.length) return [document.createTextNode(open + close)];
  const nodes = [document.createTextNode(`${open}\n`)];
  entries.forEach(([name, each], index) => {
    nodes.push(document.createTextNode("  ".repeat(depth + 1)));
    if (name !== null) nodes.push(make("span", "log-json__name", JSON.stringify(name)), document.createTextNode(": "));
    nodes.push(...jsonNodes(each, depth + 1, budget));
    nodes.push(document.createTextNode(index < entries.length - 1 ? ",\n" : "\n"));
  });
  nodes.push(document.createTextNode("  ".repeat(depth) + close));
  return nodes;
}
