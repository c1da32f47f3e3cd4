// One line of the log as an element. Whatever a container wrote gets in as text only.
import { segments, styledElement } from "./logs-ansi.js";
import { detailElement } from "./logs-detail.js";
import { furtherFields } from "./logs-fields.js";
import { summaryOf } from "./logs-groups.js";
import { stampTexts } from "./logs-times.js";
import { iconElement } from "./toast.js";

export const LONGEST_SHOWN = 4000;
const MOST_UNFOLDED = 400;
const MARKER_ICONS = {
  gap: "unlink",
  started: "play",
  stopped: "square",
  died: "circle-x",
  killed: "circle-alert",
  oom: "circle-alert",
  unhealthy: "circle-alert",
  healthy: "circle-check",
  recreated: "refresh-cw",
  removed: "trash-2",
  skipped: "zap",
  paused: "pause",
  renamed: "pencil",
};

export function make(tag, className, text = "") {
  const element = document.createElement(tag);
  element.className = className;
  if (text) element.textContent = text;
  return element;
}

export function rowElement(line, look) {
  return line.kind ? markerElement(line, look) : lineElement(line, look);
}

function markerElement(marker, look) {
  const row = make("div", `log-row log-marker log-marker--${marker.kind}`);
  row.setAttribute("role", "note");
  const label = make("span", "log-marker__text");
  label.append(iconElement(MARKER_ICONS[marker.kind] ?? "info"));
  if (look.isMerged && marker.source) label.append(make("strong", "", marker.source.label));
  label.append(marker.text);
  if (marker.title) label.title = marker.title;
  row.append(label);
  return row;
}

// `look`: {zone, filter, isPretty, columns, isMerged}
function lineElement(line, look) {
  const row = make("div", `log-row log-line log-line--${line.level}`);
  row.classList.toggle("is-open", line.isOpen);
  row.classList.toggle("has-group", line.members !== null);
  row.classList.toggle("is-marked", line.isMarked);
  row.classList.toggle("is-current", look.current === line);
  row.dataset.key = line.key;
  row.append(timeElement(line, look));
  if (look.isMerged) row.append(sourceElement(line.source));
  const mark = make("span", "log-line__stream", line.isError ? "err" : "");
  if (line.isError) mark.title = "Standard error";
  row.append(mark);
  const text = make("span", "log-line__text");
  const cells = look.columns.length && line.fields ? cellElements(line.fields, look) : null;
  if (cells) {
    row.classList.add("has-cells");
    text.append(...cells);
  } else if (look.isPretty && line.fields) {
    text.append(...prettyNodes(line, look.filter));
  } else {
    text.append(...textNodes(line, look.filter));
  }
  row.append(text, actions());
  if (line.members) row.append(...groupElements(line, look));
  if (line.isOpen) row.append(detailElement(line));
  return row;
}

export function timeElement(line, look) {
  const [day, time, fraction] = stampTexts(line.stamp, look.zone, line.source?.offset);
  const stamp = make("span", "log-line__time");
  stamp.title = line.stamp;
  stamp.append(make("span", "log-line__day", day && `${day} `), time, make("span", "log-line__fraction", fraction));
  return stamp;
}

function sourceElement(source) {
  const badge = make("span", `log-badge log-tone-${source?.tone ?? 0}`, source?.label ?? "");
  badge.title = source?.title ?? "";
  return badge;
}

function matched(home, text, filter) {
  for (const piece of filter.parts(text)) {
    home.append(piece.isMatch ? make("mark", "log-match", piece.text) : document.createTextNode(piece.text));
  }
}

function textNodes(line, filter) {
  const home = document.createElement("span");
  const raw = line.text.length > 4 * LONGEST_SHOWN ? line.text.slice(0, 4 * LONGEST_SHOWN) : line.text;
  let left = LONGEST_SHOWN;
  for (const segment of segments(raw)) {
    const part = segment.text.length > left ? segment.text.slice(0, left) : segment.text;
    left -= part.length;
    const element = segment.style ? styledElement(segment.style) : home;
    matched(element, part, filter);
    if (element !== home) home.append(element);
    if (left <= 0) break;
  }
  const more = line.plain.length - LONGEST_SHOWN;
  if (more > 0) home.append(make("span", "log-line__more", ` … ${more.toLocaleString("en")} characters more`));
  else if (line.isCut) home.append(make("span", "log-line__more", " … goes on in the next line"));
  return [...home.childNodes];
}

// What was said first, then the other fields, dimmed.
function prettyNodes(line, filter) {
  const { fields } = line;
  const nodes = [];
  let left = LONGEST_SHOWN;
  const add = (className, text) => {
    const part = text.slice(0, left);
    left -= part.length;
    const element = make("span", className);
    matched(element, part, filter);
    nodes.push(element);
  };
  if (fields.kind === "logfmt" && fields.prefix) add("log-pair__prefix", `${fields.prefix} `);
  if (fields.message) add("log-pair__message", fields.values.get(fields.message));
  for (const [name, value] of furtherFields(fields)) {
    if (left <= 0) break;
    const pair = make("span", "log-pair");
    nodes.push(document.createTextNode(nodes.length ? "  " : ""), pair);
    pair.append(make("span", "log-pair__name", `${name}=`));
    const element = make("span", "log-pair__value");
    matched(element, value.slice(0, left), filter);
    left -= value.length;
    pair.append(element);
  }
  if (!nodes.length) return textNodes(line, filter);
  return nodes;
}

function cellElements(fields, look) {
  return look.columns.map((name) => {
    const value = fields.values.get(name);
    const cell = make("span", value === undefined ? "log-cell log-cell--none" : "log-cell", value === undefined ? "–" : "");
    if (value !== undefined) matched(cell, value.slice(0, LONGEST_SHOWN), look.filter);
    cell.title = value?.slice(0, 500) ?? `No field ${name} in this line`;
    return cell;
  });
}

function groupElements(line, look) {
  const count = line.members.length;
  const button = make("button", "log-group");
  button.type = "button";
  button.dataset.logUnfold = "";
  button.setAttribute("aria-expanded", String(line.isUnfolded));
  button.append(iconElement(line.isUnfolded ? "chevron-down" : "chevron-right"));
  button.append(make("span", "", `${count.toLocaleString("en")} more ${count === 1 ? "line" : "lines"}`));
  const summary = line.isUnfolded ? "" : summaryOf(line);
  if (summary) button.append(make("span", "log-group__summary", summary));
  if (!line.isUnfolded) return [button];
  const rest = make("div", "log-group__lines");
  for (const member of line.members.slice(0, MOST_UNFOLDED)) {
    const each = make("div", "log-group__line");
    each.append(...textNodes(member, look.filter));
    if (!each.childNodes.length) each.append("\u00a0");
    rest.append(each);
  }
  const left = count - MOST_UNFOLDED;
  if (left > 0) rest.append(make("div", "log-line__more", `… ${left.toLocaleString("en")} further lines: copy the group to see all`));
  return [button, rest];
}

const ACTIONS = [
  ["logCopy", "copy", "Copy this line"],
  ["logLink", "link", "Copy a link to this line"],
];

function actions() {
  const home = make("span", "log-line__actions");
  for (const [name, icon, words] of ACTIONS) {
    const button = make("button", "log-line__act");
    button.type = "button";
    button.tabIndex = -1;
    button.dataset[name] = "";
    button.title = words;
    button.setAttribute("aria-label", words);
    button.append(iconElement(icon));
    home.append(button);
  }
  return home;
}
