// What opens below a line that was clicked: its exact time, its fields if it is JSON or logfmt, else its whole text.
import { jsonOf, pairsOf } from "./logs-fields.js";
import { iconElement } from "./toast.js";

const DEEPEST = 12;
const MOST_NODES = 3000;
const LONGEST = 64 * 1024;

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
  if (line.fields) box.append(pairsElement([...line.fields.values]));
  if (value !== undefined) {
    const tree = make("pre", "log-json");
    tree.append(...jsonNodes(value, 0, { left: MOST_NODES }));
    box.append(tree);
  } else if (!line.fields && pairs.length > 1) {
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
    ["Container", line.source?.title ?? ""],
    ["Stream", line.isError ? "standard error" : "standard output"],
    ["Length", `${line.text.length.toLocaleString("en")} characters`],
  ];
  if (line.level !== "none") list.splice(2, 0, ["Level", line.level]);
  for (const [name, value] of list) if (value) facts.append(make("dt", "", name), make("dd", "", value));
  return facts;
}

// Each field with what can be done with it: a column of its own, only lines with this value.
function pairsElement(pairs) {
  const list = make("dl", "log-detail__pairs");
  for (const [name, value] of pairs) {
    const words = make("dd", "", value);
    const acts = make("span", "log-detail__acts");
    acts.append(
      action("logFieldColumn", name, "columns-3", `Show ${name} as a column, or no longer`),
      action("logFieldFilter", value.slice(0, 200), "list-filter", "Show only lines with this value"),
    );
    words.append(acts);
    list.append(make("dt", "", name), words);
  }
  return list;
}

function action(name, value, icon, words) {
  const button = make("button", "log-detail__act");
  button.type = "button";
  button.dataset[name] = value;
  button.title = words;
  button.setAttribute("aria-label", words);
  button.append(iconElement(icon));
  return button;
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
