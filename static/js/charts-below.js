// The table of figures and the list of what happened below the charts.
import { MARK_COLOURS } from "./charts-colours.js";
import { figureText, latestPlace } from "./charts-units.js";
import { relativeText } from "./times.js";

const LISTED = 12;

/** Latest, lowest, mean and highest of each column within a range of time. */
export function fillTable(root, data, [from, to]) {
  const { times, columns } = data;
  const first = times.findIndex((time) => time >= from);
  const latest = latestPlace(data, to);
  for (const row of root.querySelectorAll("[data-chart-row]")) {
    const { chartRow: name, unit } = row.dataset;
    let [sum, count, low, high] = [0, 0, null, null];
    for (let place = Math.max(first, 0); place < times.length && times[place] <= to; place += 1) {
      const value = columns[name]?.[place] ?? null;
      if (value === null) continue;
      sum += value;
      count += 1;
      low = low === null || value < low ? value : low;
      const peak = columns[`${name}_max`]?.[place] ?? value;
      high = high === null || peak > high ? peak : high;
    }
    const last = columns[name]?.[latest] ?? null;
    const figures = { last, low, mean: count ? sum / count : null, high };
    for (const cell of row.querySelectorAll("[data-figure]")) {
      const text = figureText(figures[cell.dataset.figure], unit);
      if (cell.textContent !== text) cell.textContent = text;
    }
  }
}

/** The newest things that happened, newest first. */
export function fillMarks(root, marks) {
  const items = marks.slice(-LISTED).reverse().map(item);
  root.querySelector("[data-chart-marks]").replaceChildren(...items);
  root.querySelector("[data-chart-no-marks]").hidden = items.length > 0;
}

function item(mark) {
  const line = document.createElement("li");
  line.dataset.kind = MARK_COLOURS[mark.kind] ? mark.kind : "other";
  const sign = document.createElement("span");
  sign.className = "happenings__sign";
  sign.ariaHidden = "true";
  const text = document.createElement("span");
  text.textContent = mark.text;
  const time = document.createElement("time");
  time.className = "muted";
  time.dateTime = new Date(mark.time * 1000).toISOString();
  time.dataset.time = "";
  time.textContent = relativeText(Date.now() - mark.time * 1000);
  line.append(sign, text, time);
  return line;
}
