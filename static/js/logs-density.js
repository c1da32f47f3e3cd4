// How many lines there were when, by level: bars to press, to drag over, and to walk through with the arrow keys.
import { moment } from "./logs-times.js";
import { make } from "./logs-row.js";

const NAMESPACE = "http://www.w3.org/2000/svg";
const NAMES = { error: "error", warn: "warning", warning: "warning", info: "info", debug: "debug", other: "other", none: "other" };
const ORDER = ["error", "warning", "info", "debug", "other"];
const REFRESH_MS = 120_000;
const SPANS = [["15m", "15 min"], ["1h", "1 h"], ["6h", "6 h"], ["24h", "24 h"], ["7d", "7 d"]];
const BUCKETS = 120;
const STORED = "ssm.log.density";

function stored() {
  try {
    return localStorage.getItem(STORED) ?? "";
  } catch {
    return "";
  }
}

export class Density {
  #asked = 0;
  #frame = 0;
  #loadedAt = 0;
  #drag = null;

  // `page`: root, selection, span, goTo(ms), setSpan(since, until), view
  constructor(page) {
    this.page = page;
    this.root = page.root.querySelector("[data-log-density]");
    this.data = null;
    this.at = -1;
    if (!this.root?.dataset.href) return;
    this.#build();
    setInterval(() => !document.hidden && !this.page.span.until && performance.now() - this.#loadedAt > REFRESH_MS && this.load(), 10_000);
  }

  #build() {
    this.svg = document.createElementNS(NAMESPACE, "svg");
    this.svg.setAttribute("class", "log-density__bars");
    this.svg.setAttribute("preserveAspectRatio", "none");
    this.svg.setAttribute("tabindex", "0");
    this.svg.setAttribute("role", "slider");
    this.svg.setAttribute("aria-label", "Lines over time: arrow keys choose a moment, Enter goes there");
    this.svg.dataset.ownKeys = "";
    this.tip = make("p", "log-density__tip");
    this.ends = make("p", "log-density__ends");
    this.choice = document.createElement("select");
    this.choice.className = "log-density__span";
    this.choice.setAttribute("aria-label", "Span of the bars");
    for (const [value, text] of SPANS) this.choice.append(new Option(text, value));
    this.choice.value = stored();
    this.isChosen = Boolean(this.choice.value);
    if (!this.isChosen) this.choice.value = "6h";
    const plot = make("div", "log-density__plot");
    this.window = make("span", "log-density__window");
    this.chosen = make("span", "log-density__chosen");
    plot.append(this.svg, this.window, this.chosen, this.tip, this.ends);
    this.plot = plot;
    this.root.append(plot, this.choice);
    this.choice.addEventListener("change", () => {
      this.isChosen = true;
      try {
        localStorage.setItem(STORED, this.choice.value);
      } catch {
        // Forbidden storage: it holds for this page.
      }
      this.load();
    });
    this.svg.addEventListener("keydown", (event) => this.#key(event));
    this.svg.addEventListener("blur", () => this.#point(-1));
    plot.addEventListener("pointerdown", (event) => event.button === 0 && this.#down(event));
    plot.addEventListener("pointermove", (event) => this.#moved(event));
    plot.addEventListener("pointerup", (event) => this.#up(event));
    plot.addEventListener("pointercancel", () => this.#cancel());
    plot.addEventListener("pointerleave", () => this.#drag || this.#point(-1));
  }

  async load() {
    if (!this.svg) return;
    const turn = ++this.#asked;
    this.#loadedAt = performance.now();
    const { span, selection } = this.page;
    const query = new URLSearchParams(selection);
    query.set("buckets", String(BUCKETS));
    query.set("since", span.since || (span.until ? "" : this.choice.value));
    if (span.until) query.set("until", span.until);
    if (!query.get("since")) query.delete("since");
    this.choice.hidden = Boolean(span.since || span.until);
    this.root.dataset.state = "loading";
    try {
      const answer = await fetch(`${this.root.dataset.href}?${query}`, { headers: { Accept: "application/json" } });
      if (!answer.ok) throw new Error(String(answer.status));
      const found = await answer.json();
      if (turn === this.#asked) this.#take(found);
    } catch {
      // The bars are a help; the log's own notices tell what is wrong.
      if (turn === this.#asked && !this.data) this.root.hidden = true;
      delete this.root.dataset.state;
    }
  }

  #take(found) {
    const from = Number(BigInt(found.from_ns) / 1_000_000n);
    const step = Number(BigInt(found.step_ns)) / 1e6;
    const rows = found.counts.map((row) => ORDER.map((name) => row[found.levels.indexOf(name)] ?? 0));
    this.data = { from, step, rows, to: from + step * rows.length, until: Number(BigInt(found.to_ns) / 1_000_000n) };
    this.data.isWhole = found.complete;
    this.data.reached = found.reached_ns ? Number(BigInt(found.reached_ns) / 1_000_000n) : 0;
    this.root.hidden = false;
    delete this.root.dataset.state;
    this.#draw();
    if (!this.isChosen && !this.choice.hidden) this.#fit();
  }

  // Nobody chose a span: the one that the lines fill.
  #fit() {
    this.isChosen = true;
    const { rows } = this.data;
    const first = rows.findIndex((row) => row.some(Boolean));
    const better = first < 0 ? "7d" : first >= rows.length * 0.96 ? "15m" : first >= rows.length * 0.83 ? "1h" : "";
    if (!better) return;
    this.choice.value = better;
    this.load();
  }

  // Lines that came since: the bars grow and move along.
  add(lines) {
    const { data } = this;
    if (!data || this.page.span.until) return;
    for (const line of lines) {
      const { time } = line;
      if (!(time > data.until)) continue;
      let at = Math.floor((time - data.from) / data.step);
      if (at >= data.rows.length + BUCKETS) return;
      for (; at >= data.rows.length; at -= 1) {
        data.rows.shift();
        data.rows.push([0, 0, 0, 0, 0]);
        data.from += data.step;
        data.to += data.step;
      }
      if (at >= 0) data.rows[at][ORDER.indexOf(NAMES[line.level])] += 1;
    }
    if (!this.#frame) this.#frame = setTimeout(() => this.#draw(), 1000);
  }

  #draw() {
    clearTimeout(this.#frame);
    this.#frame = 0;
    const { rows, from, to, isWhole, reached } = this.data;
    const most = Math.max(1, ...rows.map((row) => row.reduce((sum, each) => sum + each, 0)));
    const scale = (count) => 100 * Math.sqrt(count / most); // small counts, as of errors, stay visible
    this.svg.setAttribute("viewBox", `0 0 ${rows.length} 100`);
    const paths = ORDER.map(() => "");
    rows.forEach((row, x) => {
      const total = row.reduce((sum, each) => sum + each, 0);
      if (!total) return;
      const height = Math.max(6, scale(total));
      let bottom = 100;
      row.forEach((count, level) => {
        if (!count) return;
        const part = Math.min(bottom - (100 - height), Math.max(height * (count / total), 4));
        paths[level] += `M${x + 0.1} ${bottom.toFixed(1)}h.8v-${part.toFixed(1)}h-.8z`;
        bottom -= part;
      });
    });
    const nodes = paths.map((path, level) => {
      const element = document.createElementNS(NAMESPACE, "path");
      element.setAttribute("d", path);
      element.setAttribute("class", `log-density__${ORDER[level]}`);
      return element;
    });
    this.svg.replaceChildren(...nodes);
    const total = rows.reduce((sum, row) => sum + row.reduce((all, each) => all + each, 0), 0);
    const part = isWhole ? "" : ` · counted back to ${moment(reached)}`;
    this.ends.replaceChildren(make("span", "", moment(from)), make("span", "", `${total.toLocaleString("en")} lines${part}`), make("span", "", moment(to)));
    this.svg.setAttribute("aria-valuemin", "0");
    this.svg.setAttribute("aria-valuemax", String(rows.length - 1));
    this.showWindow();
  }

  // Which part of the bars the lines in sight are.
  showWindow() {
    const { data } = this;
    if (!data) return;
    const lines = this.page.view.visible().filter((line) => line.isLine && line.stamp);
    this.window.hidden = !lines.length;
    if (!lines.length) return;
    const share = (time) => Math.min(1, Math.max(0, (time - data.from) / (data.to - data.from)));
    const [left, right] = [share(lines[0].time), share(lines.at(-1).time)];
    this.window.style.left = `${left * 100}%`;
    this.window.style.width = `max(3px, ${(right - left) * 100}%)`;
  }

  #index(event) {
    const { left, width } = this.plot.getBoundingClientRect();
    const at = Math.floor(((event.clientX - left) / width) * this.data.rows.length);
    return Math.max(0, Math.min(this.data.rows.length - 1, at));
  }

  #time = (index) => this.data.from + index * this.data.step;

  #point(index) {
    this.at = index;
    this.tip.hidden = index < 0 || !this.data;
    if (this.tip.hidden) return;
    const row = this.data.rows[index];
    const total = row.reduce((sum, each) => sum + each, 0);
    const parts = [`${moment(this.#time(index))} – ${moment(this.#time(index + 1))}`, `${total.toLocaleString("en")} ${total === 1 ? "line" : "lines"}`];
    ["error", "warning"].forEach((name, level) => {
      if (row[level]) parts.push(`${row[level].toLocaleString("en")} ${name}${row[level] === 1 ? "" : "s"}`);
    });
    this.tip.textContent = parts.join(" · ");
    this.svg.setAttribute("aria-valuenow", String(index));
    this.svg.setAttribute("aria-valuetext", this.tip.textContent);
    this.tip.style.left = `${((index + 0.5) / this.data.rows.length) * 100}%`;
    this.tip.classList.toggle("is-right", index > this.data.rows.length / 2);
  }

  #down(event) {
    if (!this.data) return;
    this.plot.setPointerCapture(event.pointerId);
    this.#drag = { from: this.#index(event), to: this.#index(event) };
  }

  #moved(event) {
    if (!this.data) return;
    const index = this.#index(event);
    this.#point(index);
    if (!this.#drag) return;
    this.#drag.to = index;
    const [first, last] = [this.#drag.from, index].sort((a, b) => a - b);
    this.chosen.hidden = first === last;
    this.chosen.style.left = `${(first / this.data.rows.length) * 100}%`;
    this.chosen.style.width = `${((last + 1 - first) / this.data.rows.length) * 100}%`;
  }

  #up() {
    if (!this.#drag) return;
    const [first, last] = [this.#drag.from, this.#drag.to].sort((a, b) => a - b);
    this.#cancel();
    if (first === last) this.page.goTo(this.#time(first));
    else this.page.setSpan(this.#time(first), this.#time(last + 1));
  }

  #cancel() {
    this.#drag = null;
    this.chosen.hidden = true;
  }

  #key(event) {
    if (!this.data) return;
    const last = this.data.rows.length - 1;
    const steps = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10 };
    const from = this.at < 0 ? last : this.at;
    if (steps[event.key]) this.#point(Math.max(0, Math.min(last, from + steps[event.key])));
    else if (event.key === "Home") this.#point(0);
    else if (event.key === "End") this.#point(last);
    else if (event.key === "Enter" && this.at >= 0) this.page.goTo(this.#time(this.at));
    else return;
    event.preventDefault();
  }
}
