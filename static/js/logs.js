// The log page: ties socket, lines, filter and view together, and holds what the reader has chosen.
import { attachControls } from "./logs-controls.js";
import { Filter } from "./logs-filter.js";
import { clock } from "./logs-lines.js";
import { LogSocket } from "./logs-socket.js";
import { HELD, Store } from "./logs-store.js";
import { LogView } from "./logs-view.js";
import { announce } from "./toast.js";

const OLDER = 2000;
const FIRST = 1000;

class LogPage {
  constructor(root) {
    this.root = root;
    this.name = root.dataset.name;
    this.look = { zone: "local", wrap: false, filter: new Filter() };
    this.scroller = root.querySelector("[data-log-view]");
    this.isLoading = false;
    this.unseen = 0;
    this.state = { state: "connecting", message: "", fix: "" };
    this.socketText = "";
    this.view = new LogView(this.scroller, this.look, { pinned: (is) => this.#pinned(is), top: () => this.loadOlder() });
    this.store = new Store(this.look.filter, this.view.heightOf);
    this.view.list = this.store.shown;
    this.controls = attachControls(root, this);
    this.controls.showPinned(true);
    const place = () => (this.store.epoch ? { epoch: this.store.epoch, next: this.store.next } : {});
    this.socket = new LogSocket(root.dataset.socket, FIRST, place, {
      opened: (message) => this.#opened(message),
      lines: (head, lines) => this.#lines(head, lines),
      older: (head, lines) => this.#older(head, lines),
      message: (message) => this.#message(message),
      closed: (text, isFinal) => this.#closed(text, isFinal),
    });
    setInterval(() => document.hidden || this.controls.showStatus(), 500);
  }

  // ---- what the reader does

  refilter() {
    this.store.refilter();
    this.view.redraw();
    this.controls.showStatus();
  }

  relayout() {
    this.root.dataset.wrap = String(this.look.wrap);
    this.root.dataset.zone = this.look.zone;
    this.view.relayout();
  }

  clear() {
    this.store.clear();
    this.view.redraw();
    this.controls.showStatus();
  }

  follow(isFollowing) {
    if (isFollowing) this.view.pin();
    else this.view.unpin();
  }

  retry() {
    this.socket.send({ type: "retry" });
  }

  loadOlder() {
    const { store } = this;
    if (this.isLoading || store.isAtStart || store.all.length >= HELD || !store.all.length) return;
    const edge = store.edge();
    if (!edge.length) return;
    this.isLoading = true;
    this.controls.showLoading(true);
    this.socket.send({ type: "older", before: store.first, edge, count: Math.min(OLDER, HELD - store.all.length) });
  }

  // ---- what the server tells

  #opened(message) {
    this.socketText = "";
    this.isLoading = false;
    this.controls.showLoading(false);
    this.store.opened(message);
    this.controls.showStatus();
  }

  #lines(head, lines) {
    const count = this.store.append(head, lines);
    this.store.trim(!this.view.isPinned);
    this.#grown(count);
  }

  #grown(count) {
    if (!this.view.isPinned && count) {
      this.unseen += count;
      this.controls.showUnseen(this.unseen);
    }
    this.view.update();
  }

  #older(head, lines) {
    this.isLoading = false;
    this.controls.showLoading(false);
    // The numbers tell whether the page still fits in front of what is held.
    if (head.first + head.count !== this.store.first) return;
    this.view.unpin();
    const shown = this.store.prepend(head, lines);
    this.view.update();
    this.controls.showStatus();
    // A filter may have let nothing of the page through: go on as long as the reader waits at the top.
    if (!shown && !this.store.isAtStart && this.scroller.scrollTop < 50) this.loadOlder();
  }

  #message(message) {
    if (message.type === "state") {
      this.state = message;
      this.controls.showState(message);
    } else if (message.type === "skipped") {
      this.store.skip(message);
      this.#grown(1);
    } else if (message.type === "marker") {
      this.#grown(this.store.mark(message.kind, markerText(message), message.at ?? ""));
    } else if (message.type === "error") {
      this.isLoading = false;
      this.controls.showLoading(false);
      announce(`${message.message} ${message.fix}`, { bad: true });
    }
  }

  #closed(text, isFinal) {
    this.socketText = text;
    this.isLoading = false;
    this.controls.showLoading(false);
    if (isFinal) this.controls.showState({ state: "refused", message: text, fix: "Reload the page." });
    this.controls.showStatus();
  }

  #pinned(isPinned) {
    if (isPinned) this.unseen = 0;
    this.controls.showUnseen(this.unseen);
    this.controls.showPinned(isPinned);
  }
}

function markerText(message) {
  if (message.kind === "gap") {
    const outcome = message.complete ? "no line lost" : "lines in between may be missing";
    return `Connection lost ${clock(message.lost_at)}, resumed ${clock(message.at)} · ${outcome}`;
  }
  const time = clock(message.at);
  return time ? `${message.text} · ${time}` : message.text;
}

const root = document.querySelector("[data-log]");
if (root) root.logPage = new LogPage(root);

