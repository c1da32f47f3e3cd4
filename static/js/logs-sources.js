// The containers whose lines a page shows: their names, tones, places in the stream, states; and the list beside the lines.
import { make } from "./logs-row.js";
import { moment } from "./logs-times.js";
import { announce, iconElement } from "./toast.js";

const TONES = 12;
const WORDS = {
  connecting: "connecting",
  live: "following",
  stopped: "ended",
  offline: "offline",
  unreadable: "not readable",
  removed: "removed",
  past: "looking back",
};

export class Source {
  constructor({ index, id, name, device = "", project = "", url = "" }) {
    Object.assign(this, { index, id, name, device, project, url });
    this.label = name;
    this.title = device ? `${name} on ${device}` : name;
    this.tone = 0;
    this.epoch = "";
    this.next = 0; // number of the record that follows
    this.first = 0; // number of the oldest one held
    this.state = { state: "connecting", message: "", fix: "" };
    this.since = Date.now();
    this.offset = undefined; // minutes that its host is ahead of UTC
  }

  get place() {
    return this.epoch ? { epoch: this.epoch, next: this.next } : {};
  }
}

// Labels that tell them apart, and tones: the same container has the same one everywhere, unless another here has it.
export function tonesFor(sources) {
  const names = new Map();
  for (const { name } of sources) names.set(name, (names.get(name) ?? 0) + 1);
  const taken = new Set();
  for (const source of sources) {
    let hash = 0;
    for (const character of source.id) hash = (hash * 31 + character.charCodeAt(0)) >>> 0;
    let tone = hash % TONES;
    for (let tries = 0; tries < TONES && taken.has(tone); tries += 1) tone = (tone + 1) % TONES;
    taken.add(tone);
    source.tone = tone + 1;
    source.label = names.get(source.name) > 1 && source.device ? `${source.device}/${source.name}` : source.name;
  }
}

export class Sources {
  constructor(page) {
    this.page = page;
    this.all = [];
    this.leftOut = 0;
    this.panel = page.root.querySelector("[data-log-sources]");
    this.rows = new Map();
    this.panel?.addEventListener("click", (event) => this.#clicked(event));
  }

  at(index) {
    return this.all[index ?? 0];
  }

  // The server's list; those known already keep their place in the stream.
  take(list, leftOut = 0) {
    const known = new Map(this.all.map((each) => [each.id, each]));
    this.all = list.map((each) => known.get(each.id) ?? new Source(each));
    list.forEach((each, at) => (this.all[at].index = each.index));
    this.leftOut = leftOut;
    tonesFor(this.all);
    const longest = Math.max(4, ...this.all.map((each) => each.label.length));
    this.page.root.style.setProperty("--log-badge", `${Math.min(20, longest) + 2}ch`);
    this.#draw();
  }

  places() {
    const found = {};
    for (const source of this.all) if (source.epoch) found[source.id] = source.place;
    return found;
  }

  // The zones of the hosts, once; where one is not told, its times stay those of UTC.
  async askOffsets() {
    if (this.hasOffsets) return;
    this.hasOffsets = true;
    try {
      const answer = await fetch(`/logs/clocks/?${this.page.selection}`, { headers: { Accept: "application/json" } });
      const { offsets } = await answer.json();
      for (const source of this.all) source.offset = offsets[source.id] ?? source.offset;
      if (this.all.some((source) => source.offset === undefined)) {
        announce("Not every host tells its time zone: times of those that do not are UTC.", { bad: true });
      }
      this.page.view.refreshTimes();
    } catch {
      this.hasOffsets = false;
      announce("The hosts' time zones could not be asked for; times are UTC.", { bad: true });
    }
  }

  setState(source, state) {
    if (source.state.state !== state.state) source.since = Date.now();
    source.state = state;
  }

  // How all of them stand, in one state for the status line.
  get common() {
    const states = this.all.map((each) => each.state.state);
    const live = states.filter((each) => each === "live").length;
    if (!states.length) return { state: "connecting" };
    if (states.every((each) => each === states[0])) return { state: states[0], text: states.length > 1 ? WORDS[states[0]] : undefined };
    if (live) return { state: "live", text: `${live} of ${states.length} following` };
    return states.includes("connecting") ? { state: "connecting" } : { state: "stopped", text: "none is being written" };
  }

  show() {
    if (!this.panel) return;
    const { store, look } = this.page;
    for (const source of this.all) {
      const row = this.rows.get(source);
      if (!row) continue;
      row.toggle.setAttribute("aria-pressed", String(!look.filter.hidden.has(source)));
      row.count.textContent = (store.sourceCounts.get(source) ?? 0).toLocaleString("en");
      const { state } = source.state;
      row.state.dataset.state = state;
      const since = ["offline", "removed", "stopped"].includes(state) ? ` since ${moment(source.since)}` : "";
      row.state.textContent = `${WORDS[state] ?? state}${state === "offline" ? since : ""}`;
      const why = [source.state.message, source.state.fix].filter(Boolean).join(" ");
      row.state.title = why;
      if (state === "unreadable" || state === "offline") row.state.append(make("span", "log-source__why", why));
      row.retry.hidden = state !== "offline" && state !== "unreadable";
    }
  }

  #draw() {
    if (!this.panel) return;
    this.rows.clear();
    const list = make("ul", "log-sources__list");
    for (const source of this.all) {
      const item = make("li", "log-source");
      const toggle = make("button", "log-source__toggle");
      toggle.type = "button";
      toggle.dataset.sourceToggle = source.index;
      toggle.title = `Show or hide ${source.title}`;
      toggle.append(make("span", `log-badge log-tone-${source.tone}`, source.label), make("span", "log-source__device", source.device));
      const count = make("span", "log-source__count");
      const state = make("span", "log-source__state");
      const acts = make("span", "log-source__acts");
      const only = make("button", "log-source__only", "only");
      only.type = "button";
      only.dataset.sourceOnly = source.index;
      only.setAttribute("aria-label", `Only ${source.title}`);
      const retry = make("button", "log-source__only", "try now");
      retry.type = "button";
      retry.dataset.sourceRetry = source.index;
      retry.hidden = true;
      const open = make("a", "log-source__open");
      open.href = source.url;
      open.title = `Log of ${source.title} alone`;
      open.setAttribute("aria-label", open.title);
      open.append(iconElement("external-link"));
      acts.append(retry, only, open);
      item.append(toggle, count, state, acts);
      list.append(item);
      this.rows.set(source, { toggle, count, state, retry });
    }
    const note = this.leftOut ? [make("p", "log-sources__note", `${this.leftOut} more are left out: choose fewer to see them.`)] : [];
    this.panel.replaceChildren(list, ...note);
    this.show();
  }

  #clicked(event) {
    const button = event.target.closest("button");
    if (!button) return;
    const { hidden } = this.page.look.filter;
    const { sourceToggle, sourceOnly, sourceRetry } = button.dataset;
    const source = this.all[Number(sourceToggle ?? sourceOnly ?? sourceRetry)];
    if (!source) return;
    if (sourceRetry !== undefined) return this.page.feed.retry(source);
    if (sourceOnly !== undefined) {
      const isOnly = hidden.size === this.all.length - 1 && !hidden.has(source);
      hidden.clear();
      if (!isOnly) for (const each of this.all) if (each !== source) hidden.add(each);
    } else if (!hidden.delete(source)) hidden.add(source);
    this.page.refilter();
    this.show();
  }
}
