// Shows a window of a long list: only what is visible and a little more is in the document, whatever the list's length.
// Rows may have any height; what was not measured yet is estimated, and the line being read stays where it is.
import { LONGEST_SHOWN, rowElement, timeElement } from "./logs-row.js";

const OVERSCAN_PX = 400;
const MARKER_ROW = 1.5;
const NEAR_PX = 4;

export class LogView {
  #rows = new Map();
  #frame = 0;
  #layout = 0;
  #set = -1; // where we put the scroll bar last
  #anchor = { key: 0, delta: 0 };
  #columns = 80;
  #rowHeight = 18;
  #pinned = true;

  // `look`: see logs.js; `handlers`: pinned(isPinned), top(), bottom(), moved()
  constructor(scroller, look, handlers) {
    this.scroller = scroller;
    this.look = look;
    this.handlers = handlers;
    this.list = null;
    this.canPin = true; // whether the end is where new lines come
    this.space = scroller.querySelector("[data-log-space]");
    this.window = scroller.querySelector("[data-log-window]");
    scroller.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    scroller.addEventListener("wheel", (event) => event.deltaY < 0 && this.#leaveEnd(), { passive: true });
    new ResizeObserver(() => this.relayout()).observe(scroller);
    document.addEventListener("selectionchange", () => this.#selected());
    document.fonts?.ready.then(() => this.relayout());
  }

  get isPinned() {
    return this.#pinned;
  }

  heightOf = (line) => {
    if (line.layout === this.#layout && line.height) return line.height;
    if (line.kind) return this.#rowHeight * MARKER_ROW;
    const below = line.members ? 1 + (line.isUnfolded ? line.members.length : 0) : 0;
    if (!this.look.wrap) return this.#rowHeight * (1 + below);
    const length = Math.min(line.text.length, LONGEST_SHOWN + 30);
    return this.#rowHeight * (below + Math.max(1, Math.ceil(length / this.#columns)));
  };

  pin() {
    this.#pin(true);
    this.update();
  }

  unpin() {
    this.#pin(false);
  }

  // The look or the width changed: all heights are unknown again.
  relayout() {
    this.#layout += 1;
    this.#measureText();
    this.list?.forgetHeights();
    this.redraw();
  }

  // The look of rows changed, or which lines are in the list.
  redraw() {
    this.window.replaceChildren();
    this.#rows.clear();
    this.update();
  }

  toggle(line, property = "isOpen") {
    line[property] = !line[property];
    if (line[property]) this.#pin(false);
    this.refresh(line);
  }

  // What a row shows changed.
  refresh(line) {
    line.layout = -1;
    this.#rows.get(line)?.remove();
    this.#rows.delete(line);
    this.list.forgetHeights(this.list.indexOfKey(line.key));
    this.update();
  }

  refreshTimes() {
    for (const [line, row] of this.#rows) {
      if (line.isLine) row.querySelector(".log-line__time").replaceWith(timeElement(line, this.look));
    }
  }

  // The lines in sight, from the top.
  visible() {
    const { top, bottom } = this.scroller.getBoundingClientRect();
    const found = [];
    for (const [line, row] of this.#rows) {
      const box = row.getBoundingClientRect();
      if (box.bottom > top && box.top < bottom) found.push(line);
    }
    return found.sort((a, b) => a.key - b.key);
  }

  // Brings a line into the upper third.
  reveal(line) {
    this.#pin(false);
    this.#anchor = { key: line.key, delta: -Math.round(this.scroller.clientHeight / 3) };
    this.update();
  }

  // The line that keys act on: `step` lines on from the current one.
  moveCurrent(step) {
    const { list, look } = this;
    if (!list?.length) return;
    const before = look.current;
    const visible = before?.isShown ? null : this.visible();
    let at = before?.isShown ? list.indexOfKey(before.key) + step : list.indexOfKey((step < 0 ? visible.at(-1) : visible[0])?.key ?? 0);
    while (list.at(at)?.kind) at += step < 0 ? -1 : 1;
    const line = list.at(at);
    if (!line) return;
    look.current = line;
    if (before) this.#rows.get(before)?.classList.remove("is-current");
    this.#pin(false);
    this.#rows.get(line)?.classList.add("is-current");
    this.#bringIn(line, at);
  }

  #bringIn(line, index) {
    const { clientHeight, scrollTop } = this.scroller;
    const top = this.space.offsetTop + this.list.offsetOf(index);
    const height = this.heightOf(line);
    if (top < scrollTop) this.#anchor = { key: line.key, delta: -4 };
    else if (top + height > scrollTop + clientHeight) this.#anchor = { key: line.key, delta: height + 4 - clientHeight };
    this.update();
  }

  update() {
    if (!this.#frame) this.#frame = requestAnimationFrame(() => this.#draw());
  }

  lineOf(element) {
    const row = element.closest?.(".log-line");
    for (const [line, each] of this.#rows) if (each === row) return line;
    return null;
  }

  scrollTo(place) {
    if (place === "end") return this.pin();
    this.#pin(false);
    this.#anchor = { key: -Infinity, delta: -this.space.offsetTop };
    this.update();
    this.handlers.top();
  }

  #pin(value) {
    if (this.#pinned === value || (value && !this.canPin)) return;
    this.#pinned = value;
    if (!value) this.#keepPlace(this.scroller.scrollTop);
    this.handlers.pinned(value);
  }

  #leaveEnd() {
    if (this.scroller.scrollHeight > this.scroller.clientHeight) this.#pin(false);
  }

  #selected() {
    const selection = getSelection();
    if (selection && !selection.isCollapsed && this.window.contains(selection.anchorNode)) this.#pin(false);
  }

  #scrolled() {
    const { scrollTop, clientHeight, scrollHeight } = this.scroller;
    if (Math.abs(scrollTop - this.#set) > 1) {
      const atEnd = scrollTop + clientHeight >= scrollHeight - NEAR_PX;
      if (!atEnd) {
        this.#pin(false);
        this.#keepPlace(scrollTop);
      } else if (!this.#pinned) {
        this.#pin(true);
      }
      if (scrollTop < clientHeight) this.handlers.top();
      if (scrollTop + 2 * clientHeight > scrollHeight) this.handlers.bottom();
    }
    this.update();
  }

  #keepPlace(scrollTop) {
    if (!this.list?.length) return;
    const pixel = scrollTop - this.space.offsetTop;
    const { index, offset } = this.list.atOffset(Math.max(0, pixel));
    this.#anchor = { key: this.list.at(index).key, delta: pixel - offset };
  }

  #measureText() {
    const probe = document.createElement("span");
    probe.className = "log-line__text log-probe";
    probe.textContent = "M".repeat(100);
    const row = document.createElement("div");
    row.className = "log-row log-line";
    for (const name of this.look.isMerged ? ["time", "source log-badge", "stream"] : ["time", "stream"]) {
      const part = document.createElement("span");
      part.className = `log-line__${name}`;
      row.append(part);
    }
    row.append(probe);
    this.space.append(row);
    const width = probe.getBoundingClientRect().width;
    const range = document.createRange();
    range.selectNodeContents(probe.firstChild);
    const letter = range.getClientRects().length ? measureLetter(probe) : 7.2;
    this.#rowHeight = Number.parseFloat(getComputedStyle(row).lineHeight) || 18;
    this.#columns = Math.max(10, Math.floor((width + 0.5) / letter));
    row.remove();
  }

  #draw() {
    this.#frame = 0;
    const { list, scroller } = this;
    if (!list) return;
    for (let round = 0; round < 3; round += 1) {
      this.space.style.height = `${list.height}px`;
      const top = this.#wantedTop();
      if (Math.abs(scroller.scrollTop - top) > 0.5) scroller.scrollTop = top;
      this.#set = scroller.scrollTop;
      this.#fill(this.#set - this.space.offsetTop);
      if (!this.#measure()) break;
    }
    this.handlers.moved();
  }

  #wantedTop() {
    const most = Math.max(0, this.scroller.scrollHeight - this.scroller.clientHeight);
    if (this.#pinned) return most;
    if (!this.list.length) return 0;
    const offset = this.list.offsetOf(this.list.indexOfKey(this.#anchor.key));
    return Math.max(0, Math.min(most, this.space.offsetTop + offset + this.#anchor.delta));
  }

  #fill(scrollTop) {
    const { index, offset } = this.list.atOffset(Math.max(0, scrollTop - OVERSCAN_PX));
    const end = scrollTop + this.scroller.clientHeight + OVERSCAN_PX;
    const wanted = [];
    let bottom = offset;
    for (let at = index; bottom < end && at < this.list.length; ) {
      for (const line of this.list.slice(at, at + 64)) {
        if (bottom >= end) break;
        wanted.push(line);
        bottom += this.heightOf(line);
        at += 1;
      }
    }
    const keep = new Set(wanted);
    for (const [line, row] of this.#rows) {
      if (keep.has(line)) continue;
      row.remove();
      this.#rows.delete(line);
    }
    let place = this.window.firstElementChild;
    for (const line of wanted) {
      let row = this.#rows.get(line);
      if (row === place && row) {
        place = place.nextElementSibling;
        continue;
      }
      if (!row) {
        row = rowElement(line, this.look);
        this.#rows.set(line, row);
      }
      this.window.insertBefore(row, place);
    }
    this.window.style.transform = `translateY(${offset}px)`;
  }

  // Learns the real heights of the rows in the document; true if one was not as estimated.
  #measure() {
    let isChanged = false;
    for (const [line, row] of this.#rows) {
      if (line.layout === this.#layout && line.height) continue;
      const estimated = this.heightOf(line);
      line.height = row.offsetHeight || estimated;
      line.layout = this.#layout;
      if (Math.abs(line.height - estimated) < 0.5) continue;
      isChanged = true;
      this.list.forgetHeights(this.list.indexOfKey(line.key));
    }
    return isChanged;
  }
}

function measureLetter(probe) {
  const inner = document.createElement("span");
  inner.textContent = probe.textContent;
  inner.className = "log-probe__letters";
  probe.replaceChildren(inner);
  return inner.getBoundingClientRect().width / 100 || 7.2;
}
