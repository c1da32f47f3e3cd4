// The search over many logs: hits as the hosts find them, counts per container, and what could not be searched.
import { segments } from "./logs-ansi.js";
import { nanoseconds } from "./logs-feed.js";
import { Pattern } from "./logs-filter.js";
import { levelOf } from "./logs-lines.js";
import { markOf } from "./logs-links.js";
import { make } from "./logs-row.js";
import { Source, tonesFor } from "./logs-sources.js";
import { moment } from "./logs-times.js";

const LONGEST = 600;
const SHOWN = 2000;
const number = (value) => value.toLocaleString("en");
const WORDS = { done: "searched", partial: "partly searched", failed: "not searched", waiting: "waiting" };

class Search {
  constructor(form) {
    this.form = form;
    this.part = (name) => document.querySelector(`[data-find-${name}]`);
    this.controller = null;
    this.hidden = new Set();
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.run();
    });
    this.part("stop").addEventListener("click", () => this.controller?.abort());
    this.part("sources").addEventListener("click", (event) => this.#toggle(event));
    const query = new URLSearchParams(location.search);
    for (const name of ["since", "stream"]) if (query.has(name)) form.elements[name].value = query.get(name);
    if (form.elements.q.value) this.run();
  }

  #parameters() {
    const query = new URLSearchParams(this.form.dataset.selection);
    for (const name of ["q", "exclude", "pattern", "case", "since", "stream"]) {
      const field = this.form.elements[name];
      if (field.type === "checkbox" ? field.checked : field.value) query.set(name, field.value);
    }
    return query;
  }

  async run() {
    this.controller?.abort();
    const controller = (this.controller = new AbortController());
    const query = this.#parameters();
    history.replaceState(null, "", `?${query}`);
    this.#begin();
    this.pattern = new Pattern();
    this.pattern.text = this.form.elements.q.value;
    this.pattern.isPattern = this.form.elements.pattern.checked;
    this.pattern.prepare();
    try {
      const answer = await fetch(`${this.form.dataset.search}?${query}`, { signal: controller.signal });
      if (!answer.ok) throw new Error((await answer.text()).slice(0, 400));
      await this.#read(answer.body);
    } catch (error) {
      if (controller !== this.controller) return;
      if (error.name === "AbortError") this.#end("Stopped: the hits so far are shown.");
      else this.#fail(String(error.message) || "The server does not answer.");
    }
  }

  async #read(body) {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) break;
      const lines = (rest + value).split("\n");
      rest = lines.pop();
      for (const line of lines) if (line) this.#take(JSON.parse(line));
      this.#flush();
    }
    if (!this.isOver) this.#end("The connection broke off: these hits may not be all.");
  }

  #begin() {
    Object.assign(this, { sources: [], rows: new Map(), found: [], drawn: 0, searched: 0, isOver: false, troubles: 0 });
    this.hidden.clear();
    this.part("problem").hidden = true;
    this.part("state").hidden = this.part("body").hidden = false;
    this.part("hits").replaceChildren();
    this.part("sources").replaceChildren();
    this.part("stop").hidden = false;
    this.part("progress").value = 0;
    this.part("progress").hidden = false;
    this.part("text").textContent = "Searching…";
  }

  #take(message) {
    if (message.type === "sources") this.#takeSources(message.sources);
    else if (message.type === "hit") this.#takeHit(message);
    else if (message.type === "source") this.#takeSource(message);
    else if (message.type === "end") {
      this.isOver = true;
      this.#flush();
      const partial = message.state === "partial" ? ` Not everything was searched${message.message ? `: ${message.message}` : "."}` : "";
      this.#end(`${this.#summary()}.${partial}`, message.state === "partial");
    }
  }

  #takeSources(list) {
    this.sources = list.map((each) => Object.assign(new Source(each), { hits: 0 }));
    tonesFor(this.sources);
    const items = this.sources.map((source) => {
      const item = make("li", "log-source");
      const toggle = make("button", "log-source__toggle");
      Object.assign(toggle, { type: "button", title: `Show or hide the hits of ${source.title}` });
      toggle.dataset.source = source.index;
      toggle.setAttribute("aria-pressed", "true");
      toggle.append(make("span", `log-badge log-tone-${source.tone}`, source.label), make("span", "log-source__device", source.device));
      const count = make("span", "log-source__count", "0");
      const state = make("span", "log-source__state", WORDS.waiting);
      item.append(toggle, count, state);
      this.rows.set(source, { item, toggle, count, state });
      return item;
    });
    const home = make("ul", "log-sources__list");
    home.append(...items);
    this.part("sources").replaceChildren(home);
    this.part("progress").max = Math.max(1, list.length);
  }

  #takeHit(hit) {
    const source = this.sources[hit.source];
    source.hits += 1;
    this.rows.get(source).count.textContent = number(source.hits);
    this.found.push({ ...hit, source });
  }

  #takeSource(message) {
    const source = this.sources[message.source];
    const row = this.rows.get(source);
    this.searched += 1;
    this.part("progress").value = this.searched;
    row.state.textContent = `${WORDS[message.state] ?? message.state} · ${number(message.lines)} lines`;
    row.state.dataset.state = message.state === "done" ? "live" : message.state === "partial" ? "connecting" : "offline";
    if (message.message) row.state.append(make("span", "log-source__why", `${message.message} ${message.fix}`.trim()));
    if (message.state !== "done") this.troubles += 1;
  }

  // By time over all containers: sorted in when they are few, otherwise as they come.
  #flush() {
    if (this.drawn === this.found.length) return;
    this.part("text").textContent = `${this.#summary()} so far, ${this.searched} of ${this.sources.length} containers searched`;
    this.drawn = this.found.length;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.#draw(), this.isOver ? 0 : 200);
  }

  #draw() {
    const shown = this.found.filter((hit) => !this.hidden.has(hit.source));
    shown.sort((a, b) => (a.time < b.time ? 1 : a.time > b.time ? -1 : 0));
    const rows = shown.slice(0, SHOWN).map((hit) => (hit.row ??= this.#row(hit)));
    if (shown.length > SHOWN) rows.push(make("li", "log-hit__more", `The newest ${number(SHOWN)} of ${number(shown.length)} hits are shown.`));
    if (!shown.length && this.isOver) rows.push(make("li", "log-hit__more", "No line was found."));
    this.part("hits").replaceChildren(...rows);
  }

  #row(hit) {
    const item = make("li", "log-hit");
    const link = make("a", `log-hit__link log-line--${levelOf(hit.text)}`);
    const mark = markOf({ source: hit.source, isError: hit.stream === "stderr", text: hit.text });
    const query = new URLSearchParams({ at: String(nanoseconds(hit.time)), mark });
    link.href = `${hit.source.url}?${query}`;
    const time = make("span", "log-hit__time", moment(hit.time));
    time.title = hit.time;
    const text = make("span", "log-hit__text");
    const plain = segments(hit.text).map((each) => each.text).join("");
    let from = 0;
    if (this.pattern.isActive) {
      for (const [start, end] of this.pattern.places(plain.slice(0, LONGEST))) {
        text.append(plain.slice(from, start), make("mark", "log-match", plain.slice(start, end)));
        from = end;
      }
    }
    text.append(plain.slice(from, LONGEST) + (plain.length > LONGEST || hit.cut ? " …" : ""));
    link.append(time, make("span", `log-badge log-tone-${hit.source.tone}`, hit.source.label), text);
    item.append(link);
    return item;
  }

  #summary() {
    const count = this.found.length;
    const where = this.sources.filter((source) => source.hits).length;
    return `${number(count)} ${count === 1 ? "hit" : "hits"} in ${where} ${where === 1 ? "container" : "containers"}`;
  }

  #toggle(event) {
    const button = event.target.closest("[data-source]");
    if (!button) return;
    const source = this.sources[Number(button.dataset.source)];
    if (!this.hidden.delete(source)) this.hidden.add(source);
    button.setAttribute("aria-pressed", String(!this.hidden.has(source)));
    this.#draw();
  }

  #end(text, isPartial = false) {
    this.isOver = true;
    this.part("stop").hidden = true;
    this.part("progress").hidden = true;
    this.part("text").textContent = text;
    this.part("state").classList.toggle("is-partial", isPartial);
    this.#draw();
  }

  #fail(text) {
    this.part("state").hidden = this.part("body").hidden = true;
    this.part("stop").hidden = true;
    const problem = this.part("problem");
    problem.textContent = text;
    problem.hidden = false;
  }
}

const form = document.querySelector("[data-log-find]");
if (form) form.logSearch = new Search(form);
