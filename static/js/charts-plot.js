// One chart: a uPlot of one kind, its values in words, its marks, its colours. Knows nothing of where data come from.
import { colour, drawMarks, faint } from "./charts-colours.js";
import { KINDS } from "./charts-kinds.js";
import { figureText, latestPlace, momentText, roundSteps, tickText, timeTicks } from "./charts-units.js";

// A line is as near as a finger is wide.
const NEAR_PX = 7;
// A limit is drawn where this share of it is used at least: a lower line would only flatten what is used. With the
// button "Limits" it always is.
const IN_SIGHT = 0.2;

export class Chart {
  #plot = null;
  #data = { times: [], columns: {}, limits: {}, marks: [] };
  #range = [0, 1];
  #drawsLimits = false;
  #tip;
  #values = [];
  #note;

  // `handlers`: zoomed(from, to).
  constructor(figure, sync, handlers) {
    this.figure = figure;
    this.kind = KINDS[figure.dataset.chart];
    this.title = figure.querySelector("h2").textContent;
    this.place = figure.querySelector("[data-chart-plot]");
    this.handlers = handlers;
    this.#tip = document.createElement("div");
    this.#tip.className = "chart__tip";
    this.#tip.hidden = true;
    this.#makeLegend(figure.querySelector("[data-chart-values]"));
    this.#plot = new window.uPlot(this.#options(sync), this.#columns(), this.place);
    this.#plot.over.append(this.#tip);
    new ResizeObserver(() => this.#resize()).observe(this.place);
  }

  get plot() {
    return this.#plot;
  }

  /** Draw these data between two times; with or without the dashed lines. */
  show(data, range, drawsLimits) {
    this.#data = data;
    this.#range = range;
    this.#drawsLimits = drawsLimits;
    this.#plot.setData(this.#columns(), false);
    this.#plot.batch(() => {
      this.#plot.setScale("x", { min: range[0], max: range[1] });
      this.#plot.setScale("y", { min: 0, max: this.#top() });
    });
    const { left, idx } = this.#plot.cursor;
    // The cursor may stand where there is nothing any more.
    this.#say(left >= 0 && idx < data.times.length ? idx : null);
  }

  /** The theme changed: every colour anew. */
  repaint() {
    for (const [place, key] of this.figure.querySelectorAll("[data-chart-values] i").entries()) {
      key.style.background = colour(this.kind.series[place].colour);
    }
    this.#plot.redraw(true);
  }

  // ---- what is drawn

  #columns() {
    const { times, columns } = this.#data;
    const drawn = this.kind.series.map((series) => {
      const values = columns[series.column] ?? times.map(() => null);
      return series.of ? values.map((value) => series.of(value, this.#data)) : values;
    });
    const peaks = this.#peaks();
    return [times, ...drawn, this.#limit() ?? times.map(() => null), peaks ?? times.map(() => null)];
  }

  /** The highest of each rolled-up point, where it differs from the mean. */
  #peaks() {
    const [{ column, peak }] = this.kind.series;
    const [means, peaks] = [this.#data.columns[column], this.#data.columns[peak]];
    if (!means || !peaks) return null;
    return peaks.some((value, place) => value !== null && value > means[place] * 1.001) ? peaks : null;
  }

  #limit() {
    return this.kind.limit?.(this.#data) ?? null;
  }

  /** The upper end of the axis: room for what was used, and for the limit when it is to be seen. */
  #top() {
    const [from, to] = this.#range;
    const { times } = this.#data;
    const columns = this.#columns();
    let highest = this.kind.least;
    const limits = columns[columns.length - 2];
    let limit = 0;
    for (let place = 0; place < times.length; place += 1) {
      if (times[place] < from || times[place] > to) continue;
      for (const [number, column] of columns.entries()) {
        if (number && number !== columns.length - 2 && column[place] > highest) highest = column[place];
      }
      if (limits[place] > limit) limit = limits[place];
    }
    if (limit && (this.#drawsLimits || highest >= limit * IN_SIGHT)) highest = Math.max(highest, limit);
    return highest * 1.06;
  }

  #resize() {
    const width = Math.floor(this.place.clientWidth);
    const height = Math.floor(this.place.clientHeight);
    if (width && height && (width !== this.#plot.width || height !== this.#plot.height)) {
      this.#plot.setSize({ width, height });
    }
  }

  #options(sync) {
    const { unit, series } = this.kind;
    const axis = {
      stroke: () => colour("--text-3"),
      font: `11px ${getComputedStyle(document.body).fontFamily}`,
      grid: { stroke: () => colour("--chart-grid"), width: 1 },
      ticks: { show: false },
    };
    return {
      width: Math.max(200, this.place.clientWidth),
      height: Math.max(100, this.place.clientHeight),
      padding: [10, 12, 0, 0],
      legend: { show: false },
      cursor: {
        y: false,
        sync: { key: sync.key, setSeries: false },
        drag: { x: true, y: false, setScale: false, dist: 5 },
        points: { size: 7, width: 0 },
        focus: { prox: -1 },
      },
      select: { show: true },
      scales: { x: { time: true, auto: false }, y: { auto: false, range: (_plot, _min, max) => [0, max || 1] } },
      axes: [
        {
          ...axis,
          grid: { show: false },
          size: 24,
          gap: 4,
          space: 64,
          values: (_plot, splits, _axis, _space, step) => timeTicks(splits, step),
        },
        {
          ...axis,
          size: 62,
          gap: 6,
          space: 34,
          incrs: roundSteps(unit),
          values: (_plot, splits, _axis, _space, step) => splits.map((value) => tickText(value, unit, step)),
        },
      ],
      series: [{}, ...series.map((each) => this.#line(each)), this.#limitLine(), this.#peakLine()],
      hooks: {
        draw: [(plot) => drawMarks(plot, this.#data.marks)],
        setCursor: [(plot) => this.#pointed(plot)],
        setSelect: [(plot) => this.#selected(plot)],
      },
    };
  }

  #line({ name, colour: token, fills }) {
    return {
      label: name,
      stroke: () => colour(token),
      width: 1.5,
      fill: fills ? () => faint(token, 12) : undefined,
      points: { show: (plot, number) => this.#isLonely(plot, number) },
      spanGaps: false,
    };
  }

  /** Points only where a line cannot be: where all of them stand alone. */
  #isLonely(plot, number) {
    const values = plot.data[number];
    let shown = 0;
    for (const value of values) if (value !== null && value !== undefined && (shown += 1) > 2) return false;
    return shown > 0;
  }

  #limitLine() {
    return {
      label: "Limit",
      stroke: () => colour("--chart-limit"),
      width: 1,
      dash: [5, 4],
      points: { show: false },
      spanGaps: true,
    };
  }

  #peakLine() {
    const [{ colour: token }] = this.kind.series;
    return {
      label: "Peak",
      stroke: () => faint(token, 38),
      width: 1,
      points: { show: false },
      spanGaps: false,
    };
  }

  // ---- what is pointed at

  #pointed(plot) {
    const { left, idx } = plot.cursor;
    const place = left >= 0 && idx < this.#data.times.length ? (idx ?? null) : null;
    this.#say(place);
    this.#tell(plot);
  }

  /** The label of the mark under the cursor. */
  #tell(plot) {
    const { left } = plot.cursor;
    let nearest = null;
    let best = NEAR_PX;
    for (const mark of left < 0 ? [] : this.#data.marks) {
      const distance = Math.abs(plot.valToPos(mark.time, "x") - left);
      if (distance <= best) [nearest, best] = [mark, distance];
    }
    this.#tip.hidden = nearest === null;
    if (!nearest) return;
    this.#tip.replaceChildren();
    const time = document.createElement("b");
    time.textContent = momentText(nearest.time, this.#range[1] - this.#range[0]);
    this.#tip.append(time, ` ${nearest.text}`);
    this.#tip.dataset.kind = nearest.kind;
    const width = plot.over.clientWidth;
    const at = plot.valToPos(nearest.time, "x");
    const isLate = at > width / 2;
    this.#tip.style.left = isLate ? "auto" : `${at + 8}px`;
    this.#tip.style.right = isLate ? `${width - at + 8}px` : "auto";
  }

  #selected(plot) {
    const { left, width } = plot.select;
    if (width < 5) return;
    const [from, to] = [plot.posToVal(left, "x"), plot.posToVal(left + width, "x")];
    plot.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
    this.handlers.zoomed(from, to);
  }

  // ---- what it says

  #makeLegend(legend) {
    legend.replaceChildren();
    for (const series of this.kind.series) {
      const item = document.createElement("span");
      item.className = "chart__value";
      const key = document.createElement("i");
      key.style.background = colour(series.colour);
      const name = document.createElement("span");
      name.textContent = this.kind.series.length > 1 ? series.name : "";
      const value = document.createElement("b");
      item.append(key, name, value);
      legend.append(item);
      this.#values.push(value);
    }
    this.#note = document.createElement("span");
    this.#note.className = "chart__note";
    legend.append(this.#note);
  }

  /** Values at a place, or the latest. */
  #say(place) {
    const { unit } = this.kind;
    const columns = this.#columns().slice(1, -2);
    const said = [];
    const at = place ?? latestPlace(this.#data, this.#range[1]);
    for (const [number, column] of columns.entries()) {
      const value = column[at] ?? null;
      const text = figureText(value, unit);
      if (this.#values[number].textContent !== text) this.#values[number].textContent = text;
      said.push(`${this.kind.series[number].name} ${text}`);
    }
    const limit = this.kind.limitText?.(this.#data, (value) => figureText(value, unit)) ?? "";
    const note = place === null ? limit : momentText(this.#data.times[place], this.#range[1] - this.#range[0]);
    if (this.#note.textContent !== note) this.#note.textContent = note;
    if (place === null) this.place.setAttribute("aria-label", `${this.title}: ${said.join(", ")} ${limit}`.trim());
    return said.join(", ");
  }

  /** In words, for who cannot see it. */
  wordsAt(place) {
    return `${momentText(this.#data.times[place], this.#range[1] - this.#range[0])}: ${this.#say(place)}`;
  }
}
