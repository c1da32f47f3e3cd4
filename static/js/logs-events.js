// What happened to the containers, drawn between their lines: asked for the span that is held, and again while it grows.
import { Marker } from "./logs-lines.js";
import { clock } from "./logs-times.js";

const AGAIN_MS = 15_000;
const SAME_MS = 5000;
const LIKE = { started: "up", recreated: "up", stopped: "down", died: "down", removed: "down" };

export class Events {
  #asked = new Set();
  #until = 0;

  constructor(page) {
    this.page = page;
    setInterval(() => document.hidden || page.feed?.isPast || this.ask(this.#until), AGAIN_MS);
  }

  begin() {
    this.#asked.clear();
    this.#until = 0;
    this.#first();
  }

  // As soon as there are lines.
  #first() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => (this.page.store.lines ? this.ask() : this.#first()), 1000);
  }

  // From a time on (milliseconds), or from the oldest line held; up to the newest one, or to now while following.
  async ask(from = 0, to = 0) {
    const { store, feed, selection, sources } = this.page;
    const oldest = store.all.slice(0, 20).find((line) => line.time)?.time;
    const newest = store.all.slice(Math.max(0, store.all.length - 20), store.all.length).findLast((line) => line.time)?.time;
    if (!oldest) return;
    const end = to || (feed.isPast ? newest : Date.now() + 60_000);
    if (!feed.isPast && !to) this.#until = Date.now() - 60_000;
    const query = new URLSearchParams(selection);
    query.set("from_ns", `${Math.floor(Math.max(oldest, from))}000000`);
    query.set("to_ns", `${Math.ceil(end)}000000`);
    try {
      const answer = await fetch(`/logs/events/?${query}`, { headers: { Accept: "application/json" } });
      if (!answer.ok) return;
      const { events } = await answer.json();
      let count = 0;
      for (const event of events) count += this.#draw(event, sources);
      if (count) this.page.view.redraw();
    } catch {
      // They come with the next question.
    }
  }

  #draw(event, sources) {
    const id = `${event.source}${event.time_ns}${event.kind}`;
    const source = sources.all.find((each) => each.id === event.source);
    if (!source || this.#asked.has(id)) return 0;
    this.#asked.add(id);
    const stamp = new Date(Number(BigInt(event.time_ns) / 1_000_000n)).toISOString();
    const marker = new Marker(event.kind, `${event.text} · ${clock(stamp)}`, stamp, stamp, source);
    if (this.#isDrawn(marker)) return 0;
    return this.page.store.insertMarker(marker);
  }

  // The stream itself tells starts and ends while it is followed.
  #isDrawn(marker) {
    const like = LIKE[marker.kind];
    return like && this.page.store.markers.some(
      (each) => each.source === marker.source && LIKE[each.kind] === like && Math.abs(each.time - marker.time) < SAME_MS,
    );
  }
}
