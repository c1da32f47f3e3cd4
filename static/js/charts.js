// The charts of a statistics page: fetches figures, zooms, follows live, keeps the address and the table right.
import { fillMarks, fillTable } from "./charts-below.js";
import { forgetColours } from "./charts-colours.js";
import { pressKey } from "./charts-keys.js";
import { LiveFigures } from "./charts-live.js";
import { Chart } from "./charts-plot.js";
import { windowText } from "./charts-units.js";

const SHORTEST_S = 60;
const LIVE_SPAN = "1h";
// So many times the usual distance of two points is a gap and no delay (containers/rules/series.py has the same).
const LONGEST_STEPS = 2.5;
// Beyond this many, the oldest live points are thinned: a page that is open all day stays as light as a new one.
const MOST_POINTS = 5000;
const LIMITS_KEY = "ssm.charts.limits";
// A chart that moves does so in steps that can be seen, not with every frame.
const FOLLOW_S = 1;

const root = document.querySelector("[data-charts]");

function remembered() {
  try {
    return localStorage.getItem(LIMITS_KEY) === "on";
  } catch {
    return false;
  }
}

class Page {
  data = { times: [], columns: {}, limits: {}, marks: [], step_s: 60 };
  span = root.dataset.span;
  zoom = root.dataset.from ? [Number(root.dataset.from), Number(root.dataset.to)] : null;
  drawsLimits = remembered();
  #charts = [];
  #request = null;
  #live = null;
  #sampledAt = "";
  #lastLive = 0;
  #isDragged = false;

  constructor() {
    const sync = window.uPlot.sync("charts");
    const handlers = { zoomed: (from, to) => this.dragged(from, to) };
    for (const figure of root.querySelectorAll("[data-chart]")) this.#charts.push(new Chart(figure, sync, handlers));
    if (root.dataset.socket) {
      this.#live = new LiveFigures(root.dataset.socket, {
        samples: (samples) => this.#takeSamples(samples),
        state: (state) => this.#takeState(state),
        closed: (text, isFinal) => this.#say(isFinal ? "off" : "reconnecting", text),
      });
    }
    this.#listen();
    this.load();
    setInterval(() => this.#follow(), FOLLOW_S * 1000);
  }

  get seconds() {
    return Number(root.querySelector(`[data-chart-span="${this.span}"]`).dataset.seconds);
  }

  get range() {
    if (this.zoom) return this.zoom;
    const end = Date.now() / 1000;
    return [end - this.seconds, end];
  }

  get #isLive() {
    return this.#live !== null && this.span === LIVE_SPAN && this.zoom === null;
  }

  // ---- fetching

  async load({ keepsQuiet = false } = {}) {
    this.#request?.abort();
    const request = (this.#request = new AbortController());
    if (!keepsQuiet) root.dataset.loading = "";
    const query = new URLSearchParams({ span: this.span });
    if (this.zoom) {
      query.set("from", String(Math.floor(this.zoom[0])));
      query.set("to", String(Math.ceil(this.zoom[1])));
    }
    let data;
    try {
      const answer = await fetch(`${root.dataset.url}?${query}`, { signal: request.signal });
      if (new URL(answer.url).pathname === "/login/") return location.reload();
      if (!answer.ok) throw new Error(String(answer.status));
      data = await answer.json();
    } catch (error) {
      if (error.name === "AbortError") return;
      delete root.dataset.loading;
      this.#say("off", "figures could not be fetched");
      return;
    }
    delete root.dataset.loading;
    this.#accept(data);
    if (this.#isLive) this.#live.start();
    else {
      this.#live?.stop();
      this.#say("quiet", this.zoom ? "part of the past" : `a point every ${this.#stepText()}`);
    }
  }

  /** New history; the live points that are newer than it stay. */
  #accept(data) {
    const newest = data.times.at(-1) ?? 0;
    if (this.#isLive && this.#lastLive > newest) {
      const { times, columns } = this.data;
      const first = times.findIndex((time) => time > newest);
      if (first >= 0 && this.data.isLive) {
        for (const [name, column] of Object.entries(data.columns)) {
          column.push(...(columns[name] ?? times.map(() => null)).slice(first));
        }
        data.times.push(...times.slice(first));
        data.isLive = true;
      }
    }
    this.data = data;
    this.#draw();
    fillTable(root, this.data, this.range);
    fillMarks(root, this.data.marks);
  }

  #stepText() {
    const step = this.data.step_s;
    return step < 120 ? "minute" : step < 5400 ? `${Math.round(step / 60)} min` : `${Math.round(step / 3600)} h`;
  }

  #draw() {
    const range = this.range;
    for (const chart of this.#charts) chart.show(this.data, range, this.drawsLimits);
    root.dataset.drawn = String(this.data.times.length);
  }

  /** The end of the axis is now, whether or not anything came. */
  #follow() {
    if (this.zoom || document.hidden || (!this.#isLive && Date.now() % 30_000 > FOLLOW_S * 1000)) return;
    this.#draw();
  }

  // ---- live

  #takeSamples(samples) {
    if (!this.#isLive) return;
    const { times, columns } = this.data;
    for (const { time, gap, figures } of samples) {
      if (time <= (times.at(-1) ?? 0)) continue;
      const last = times.at(-1);
      const isBroken = this.data.isLive ? gap : time - last > LONGEST_STEPS * this.data.step_s;
      if (last && isBroken) this.#push(times, columns, (last + time) / 2, {});
      this.#push(times, columns, time, figures);
      this.#lastLive = time;
      this.data.isLive = true;
    }
    const oldest = Date.now() / 1000 - this.seconds - 60;
    const tooOld = Math.max(times.findIndex((time) => time >= oldest), times.length - MOST_POINTS, 0);
    if (tooOld > 100) {
      times.splice(0, tooOld);
      for (const column of Object.values(columns)) column.splice(0, tooOld);
    }
    root.dataset.liveSamples = String(Number(root.dataset.liveSamples ?? 0) + samples.length);
    this.#draw();
    fillTable(root, this.data, this.range);
  }

  #push(times, columns, time, figures) {
    times.push(time);
    for (const [name, column] of Object.entries(columns)) {
      column.push(figures[name.replace(/_max$/, "")] ?? null);
    }
  }

  #takeState(state) {
    const words = { connecting: "connecting to the host", live: "live", stopped: "not running", removed: "removed" };
    this.#say(state.state, words[state.state] ?? "host not reached", state.message);
  }

  #say(state, text, title = "") {
    const element = root.querySelector("[data-chart-state]");
    element.dataset.state = state;
    element.title = title;
    const words = element.querySelector("[data-chart-state-text]");
    if (words.textContent !== text) words.textContent = text;
  }

  // ---- zoom and spans

  /** Synchronised charts all tell of one drag, each by its own scale: the first is heard, once all have told. */
  dragged(from, to) {
    if (this.#isDragged) return;
    this.#isDragged = true;
    setTimeout(() => {
      this.#isDragged = false;
      this.zoomTo(from, to);
    });
  }

  zoomTo(from, to) {
    const middle = (from + to) / 2;
    const half = Math.max(SHORTEST_S, to - from) / 2;
    const end = Math.min(middle + half, Date.now() / 1000);
    this.#go(this.span, [Math.floor(end - 2 * half), Math.ceil(end)]);
  }

  /** Back to the whole span. */
  reset() {
    this.#go(this.span, null);
  }

  #go(span, zoom, { isBack = false } = {}) {
    this.span = span;
    this.zoom = zoom;
    const query = new URLSearchParams({ span });
    if (zoom) {
      query.set("from", String(zoom[0]));
      query.set("to", String(zoom[1]));
    }
    if (!isBack) history.pushState(null, "", `?${query}`);
    this.#showWhere();
    this.#draw();
    this.load();
  }

  #showWhere() {
    for (const link of root.querySelectorAll("[data-chart-span]")) {
      if (link.dataset.chartSpan === this.span && !this.zoom) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
    const reset = root.querySelector("[data-chart-reset]");
    reset.hidden = this.zoom === null;
    reset.href = `?span=${this.span}`;
    const words = this.zoom ? windowText(...this.zoom) : "";
    reset.querySelector("[data-chart-window]").textContent = words;
    const link = root.querySelector(`[data-chart-span="${this.span}"]`);
    root.querySelector("[data-chart-words]").textContent =
      words || link.title.charAt(0).toLowerCase() + link.title.slice(1);
  }

  // ---- what the reader does

  #listen() {
    root.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
      const link = event.target.closest("[data-chart-span], [data-chart-reset]");
      if (link) {
        event.preventDefault();
        this.#go(link.dataset.chartSpan ?? this.span, null);
      }
      const button = event.target.closest("[data-chart-limits]");
      if (button) this.#useLimits(!this.drawsLimits);
    });
    root.addEventListener("keydown", (event) => {
      const chart = this.#charts.find((each) => each.place === event.target);
      if (chart) pressKey(event, chart, this);
    });
    root.addEventListener("dblclick", (event) => {
      if (event.target.closest("[data-chart-plot]") && this.zoom) this.#go(this.span, null);
    });
    addEventListener("popstate", () => {
      const query = new URLSearchParams(location.search);
      const isZoomed = query.has("from") && query.has("to");
      const span = root.querySelector(`[data-chart-span="${CSS.escape(query.get("span") ?? "")}"]`);
      this.#go(span ? query.get("span") : LIVE_SPAN, isZoomed ? [Number(query.get("from")), Number(query.get("to"))] : null, {
        isBack: true,
      });
    });
    const repaint = () => {
      forgetColours();
      for (const chart of this.#charts) chart.repaint();
      fillMarks(root, this.data.marks);
    };
    document.addEventListener("ssm:theme", repaint);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
    // The host was read again: what is kept has a new point.
    this.#sampledAt = document.getElementById(root.dataset.sampled)?.dataset.at;
    document.addEventListener("htmx:wsAfterMessage", () => {
      const at = document.getElementById(root.dataset.sampled)?.dataset.at;
      if (at === this.#sampledAt || this.zoom) return;
      this.#sampledAt = at;
      this.load({ keepsQuiet: true });
    });
    document.addEventListener("visibilitychange", () => document.hidden || this.zoom || this.load({ keepsQuiet: true }));
    this.#useLimits(this.drawsLimits);
    this.#showWhere();
  }

  #useLimits(draws) {
    this.drawsLimits = draws;
    root.querySelector("[data-chart-limits]").setAttribute("aria-pressed", String(draws));
    try {
      if (draws) localStorage.setItem(LIMITS_KEY, "on");
      else localStorage.removeItem(LIMITS_KEY);
    } catch {
      // Forbidden storage: the choice holds for this page.
    }
    this.#draw();
  }
}

if (root) new Page();
