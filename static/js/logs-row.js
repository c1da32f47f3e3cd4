// One line of the log as an element. Whatever a container wrote gets in as text only.
import { segments, styledElement } from "./logs-ansi.js";
import { detailElement } from "./logs-detail.js";
import { stampTexts } from "./logs-lines.js";
import { iconElement } from "./toast.js";

export const LONGEST_SHOWN = 4000;
const MARKER_ICONS = {
  gap: "unlink",
  started: "play",
  stopped: "square",
  recreated: "refresh-cw",
  removed: "trash-2",
  skipped: "zap",
};

export function rowElement(line, look) {
  return line.kind ? markerElement(line) : lineElement(line, look);
}

function make(tag, className, text = "") {
  const element = document.createElement(tag);
  element.className = className;
  if (text) element.textContent = text;
  return element;
}

function markerElement(marker) {
  const row = make("div", `log-row log-marker log-marker--${marker.kind}`);
  const label = make("span", "log-marker__text");
  label.append(iconElement(MARKER_ICONS[marker.kind] ?? "info"), marker.text);
  if (marker.title) label.title = marker.title;
  row.append(label);
  return row;
}

// `look`: {zone, filter}
function lineElement(line, look) {
  const row = make("div", `log-row log-line log-line--${line.level}${line.isOpen ? " is-open" : ""}`);
  row.dataset.key = line.key;
  const [day, time, fraction] = stampTexts(line.stamp, look.zone);
  const stamp = make("span", "log-line__time");
  stamp.title = line.stamp;
  stamp.append(make("span", "log-line__day", `${day} `), time, make("span", "log-line__fraction", fraction));
  const mark = make("span", "log-line__stream", line.isError ? "err" : "");
  if (line.isError) mark.title = "Standard error";
  row.append(stamp, mark, textElement(line, look.filter), actions());
  if (line.isOpen) row.append(detailElement(line));
  return row;
}

function textElement(line, filter) {
  const text = make("span", "log-line__text");
  const raw = line.text.length > 4 * LONGEST_SHOWN ? line.text.slice(0, 4 * LONGEST_SHOWN) : line.text;
  let left = LONGEST_SHOWN;
  for (const segment of segments(raw)) {
    const part = segment.text.length > left ? segment.text.slice(0, left) : segment.text;
    left -= part.length;
    const home = segment.style ? styledElement(segment.style) : text;
    for (const piece of filter.parts(part)) {
      home.append(piece.isMatch ? make("mark", "log-match", piece.text) : document.createTextNode(piece.text));
    }
    if (home !== text) text.append(home);
    if (left <= 0) break;
  }
  const more = line.plain.length - LONGEST_SHOWN;
  if (more > 0) text.append(make("span", "log-line__more", ` … ${more.toLocaleString("en")} characters more`));
  else if (line.isCut) text.append(make("span", "log-line__more", " … goes on in the next line"));
  return text;
}

function actions() {
  const button = make("button", "log-line__copy");
  button.type = "button";
  button.tabIndex = -1;
  button.dataset.logCopy = "";
  button.title = "Copy this line";
  button.setAttribute("aria-label", "Copy this line");
  button.append(iconElement("copy"));
  return button;
}
