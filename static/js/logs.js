// The log page: ties lines, filter and view to where lines come from, and holds what the reader has chosen.
import { Columns } from "./logs-columns.js";
import { Controls } from "./logs-controls.js";
import { Density } from "./logs-density.js";
import { Events } from "./logs-events.js";
import { LiveFeed, PastFeed } from "./logs-feed.js";
import { Filter } from "./logs-filter.js";
import { attachKeys } from "./logs-keys.js";
import { readFilter, readLook, showAddress } from "./logs-look.js";
import { lineOfMark } from "./logs-links.js";
import { Sources } from "./logs-sources.js";
import { attachSpan, readSpan, spanTime } from "./logs-span.js";
import { Status } from "./logs-status.js";
import { HELD, Store } from "./logs-store.js";
import { LogView } from "./logs-view.js";
import { announce } from "./toast.js";

const toNanoseconds = (milliseconds) => BigInt(Math.round(milliseconds)) * 1_000_000n;

class LogPage {
  #shift = 0;

  constructor(root) {
    this.root = root;
    this.name = root.dataset.name;
    this.isMerged = "merged" in root.dataset;
    this.selection = root.dataset.selection;
    this.look = { filter: new Filter(), isMerged: this.isMerged, current: null };
    readLook(this.look, this.name);
    readFilter(this.look.filter);
    this.span = readSpan();
    this.scroller = root.querySelector("[data-log-view]");
    this.isLoading = false;
    this.unseen = 0;
    this.socketText = "";
    this.sources = new Sources(this);
    if (!this.isMerged) this.sources.take([{ index: 0, id: root.dataset.container, name: root.dataset.title, url: "" }]);
    this.view = new LogView(this.scroller, this.look, {
      pinned: (is) => this.#pinned(is),
      top: () => this.loadOlder(),
      bottom: () => this.loadNewer(),
      moved: () => this.#moved(),
    });
    this.store = new Store(this.look.filter, this.view.heightOf);
    this.store.isGrouping = this.look.isGrouping;
    this.view.list = this.store.shown;
    this.status = new Status(this);
    this.columns = new Columns(this);
    this.showSpan = attachSpan(root, this);
    this.controls = new Controls(this);
    this.density = new Density(this);
    this.events = new Events(this);
    attachKeys(root, this);
    this.status.showPinned(true);
    const query = new URLSearchParams(location.search);
    const at = /^\d{10,20}$/.test(query.get("at") ?? "") ? BigInt(query.get("at")) : undefined;
    this.#begin(at, query.get("mark") ?? "");
    if (this.look.zone === "host") this.sources.askOffsets();
    setInterval(() => document.hidden || this.#tick(), 500);
  }

  get state() {
    if (this.feed?.isPast) return { state: "past" };
    return this.isMerged ? this.sources.common : this.sources.at(0).state;
  }

  // ---- where lines come from

  #begin(at, mark) {
    this.feed?.stop();
    this.store.clear();
    for (const source of this.sources.all) Object.assign(source, { epoch: "", next: 0, first: 0 });
    this.look.current = null;
    this.look.filter.since = this.span.since ? spanTime(this.span.since) : 0;
    const [since, until] = [this.span.since, this.span.until].map((each) => (each ? toNanoseconds(spanTime(each)) : undefined));
    if (at !== undefined) this.feed = new PastFeed(this, { at, mark });
    else if (until !== undefined) this.feed = new PastFeed(this, since === undefined ? { until } : { since });
    else this.feed = new LiveFeed(this);
    this.socketText = "";
    this.#loading(false);
    this.view.canPin = !this.feed.isPast;
    if (this.feed.isPast) this.view.unpin();
    else this.view.pin();
    this.view.redraw();
    this.showSpan();
    this.controls.showDownload();
    this.density.load();
    this.events.begin();
  }

  goTo(time) {
    const { all } = this.store;
    const first = all.slice(0, 50).find((line) => line.time);
    if (first && first.time <= time && !this.span.until) {
      for (const line of this.store.shown) if (line.time >= time) return this.view.reveal(line);
    }
    const at = toNanoseconds(time);
    showAddress(this.look, { at: String(at), mark: null, since: null, until: null });
    this.span = { since: "", until: "" };
    return this.#begin(at, "");
  }

  setSpan(since, until) {
    const text = (value) => (typeof value === "number" ? new Date(value).toISOString() : value);
    this.span = { since: text(since), until: text(until) };
    showAddress(this.look, { since: this.span.since || null, until: this.span.until || null, at: null, mark: null });
    this.#begin();
  }

  toEnd() {
    if (!this.feed.isPast) return this.view.pin();
    if (this.span.until) {
      this.span = { since: this.span.since, until: "" };
    }
    showAddress(this.look, { at: null, mark: null, until: null });
    return this.#begin();
  }

  // ---- what the reader does

  refilter() {
    this.store.refilter();
    this.view.redraw();
    this.status.show();
    this.sources.show();
  }

  columnsChanged() {
    showAddress(this.look);
    this.view.relayout();
  }

  group(isGrouping) {
    this.look.isGrouping = isGrouping;
    this.store.regroup(isGrouping);
  }

  clear() {
    this.store.clear();
    for (const source of this.sources.all) source.first = source.next;
    this.view.redraw();
    this.status.show();
  }

  follow(isFollowing) {
    if (isFollowing) this.toEnd();
    else this.view.unpin();
  }

  loadOlder() {
    const { store } = this;
    if (this.isLoading || store.isAtStart || store.all.length >= HELD || !store.all.length) return;
    const { since } = this.look.filter;
    if (since && store.all.slice(0, 20).some((line) => line.time < since)) return;
    this.#loading(true);
    this.#load(() => this.feed.older());
  }

  loadNewer() {
    if (!this.feed.isPast || this.isLoading || !this.store.all.length) return;
    this.isLoading = true;
    this.#load(() => this.feed.newer());
  }

  async #load(load) {
    try {
      if (await load()) this.#loading(false);
    } catch (error) {
      this.failed(String(error.message));
    }
  }

  #loading(isLoading) {
    this.isLoading = isLoading;
    this.status.showLoading(isLoading);
  }

  // ---- what comes

  opened(source, message) {
    this.socketText = "";
    this.#loading(false);
    this.store.opened(source, message);
    this.status.show();
  }

  takeLines(lines) {
    const count = this.store.append(lines);
    this.store.trim(!this.view.isPinned);
    this.density.add(lines);
    if (!this.#shift) this.#shift = setTimeout(() => this.columns.show(), 1500);
    this.#grown(count);
  }

  takeMarker(marker) {
    this.#grown(this.store.mark(marker));
  }

  takeSkipped(source, message) {
    this.store.skip(source, message);
    this.#grown(1);
  }

  takeState(source, message) {
    this.sources.setState(source, message);
    if (!this.isMerged) this.status.showNotice(message);
    this.status.show();
    this.sources.show();
  }

  takeOlder(lines, isAtStart) {
    this.#loading(false);
    this.view.unpin();
    const shown = this.store.prepend(lines, isAtStart);
    const newest = lines.findLast((line) => line.time);
    if (newest) this.events.ask(0, newest.time);
    this.view.update();
    this.status.show();
    // A filter may have let nothing of the page through: go on as long as the reader waits at the top.
    if (!shown && lines.length && !isAtStart && this.scroller.scrollTop < 50) this.loadOlder();
  }

  takeNewer(lines) {
    const { until } = this.span;
    const end = until ? spanTime(until) : Infinity;
    const within = lines.filter((line) => !(line.time > end));
    if (within.length < lines.length) this.feed.isAtEnd = true;
    this.store.append(within);
    if (within.length) this.events.ask(within.find((line) => line.time)?.time);
    this.store.trim(true);
    this.view.update();
    this.status.show();
  }

  takePast(lines, isAtStart, mark) {
    this.takeNewer(lines);
    this.store.isAtStart = isAtStart;
    const { marked, place } = lineOfMark(lines, mark);
    if (place) {
      const head = place.head ?? place;
      if (marked) {
        head.isMarked = true;
        if (place.head) head.isUnfolded = true;
        this.look.current = head;
      }
      this.view.refresh(head);
      this.view.reveal(head);
    }
    if (mark && !marked) announce("This line is no longer in the log: these are the lines around its time.", { bad: true });
    this.columns.show();
    this.status.show();
    this.sources.show();
  }

  pastFailed(text) {
    this.status.showNotice({ state: "unreadable", message: "These lines can't be read.", fix: text });
    this.failed(text);
  }

  failed(text) {
    this.#loading(false);
    announce(text, { bad: true });
  }

  closed(text, isFinal) {
    this.socketText = text;
    this.#loading(false);
    if (isFinal) this.status.showNotice({ state: "refused", message: text, fix: "Reload the page." });
    this.status.show();
  }

  #grown(count) {
    for (const head of this.store.takeTouched()) this.view.refresh(head);
    if (!this.view.isPinned && count) {
      this.unseen += count;
      this.status.showUnseen(this.unseen);
    }
    this.view.update();
  }

  #tick() {
    this.status.show();
    this.sources.show();
    if (this.look.zone === "relative") this.view.refreshTimes();
  }

  #moved() {
    clearTimeout(this.movedTimer);
    this.movedTimer = setTimeout(() => this.density?.showWindow(), 150);
  }

  #pinned(isPinned) {
    if (isPinned) this.unseen = 0;
    this.status.showUnseen(this.unseen);
    this.status.showPinned(isPinned);
  }
}

const root = document.querySelector("[data-log]");
if (root) root.logPage = new LogPage(root);
