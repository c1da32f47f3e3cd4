// The status line of the log page, its notices, the counts in the chips, and the button that leads to the end.
const STATES = {
  connecting: "connecting",
  live: "live",
  stopped: "stopped",
  offline: "host unreachable",
  unreadable: "not readable",
  removed: "removed",
  refused: "closed",
  past: "looking back",
};
const BAD = ["offline", "unreadable", "removed", "refused"];
const number = (value) => value.toLocaleString("en");
const brief = (value) => (value < 10_000 ? number(value) : `${Math.round(value / 1000)}k`);

export class Status {
  constructor(page) {
    this.page = page;
    this.part = (name) => page.root.querySelector(`[data-log-${name}]`);
    this.counts = [...page.root.querySelectorAll("[data-log-count]")];
  }

  showPinned(isPinned) {
    const button = this.part("follow");
    button.setAttribute("aria-pressed", String(isPinned));
    button.title = isPinned ? "Pause (f)" : "Follow (f)";
    button.querySelector("[data-log-follow-text]").textContent = isPinned ? "Pause" : "Follow";
    const use = button.querySelector("use");
    use.setAttribute("href", use.getAttribute("href").replace(/#.*/, isPinned ? "#pause" : "#play"));
    this.part("jump").hidden = isPinned;
    this.show();
  }

  showUnseen(count) {
    this.part("unseen").textContent = count ? `${number(count)} new ${count === 1 ? "line" : "lines"}` : "Jump to the end";
  }

  showLoading(isLoading) {
    this.part("loading").hidden = !isLoading;
  }

  // What stands in the way of reading, and what helps.
  showNotice(message) {
    const notice = this.part("notice");
    const isBad = BAD.includes(message.state);
    notice.hidden = !isBad;
    if (!isBad) return;
    this.part("notice-title").textContent = message.message;
    this.part("notice-fix").textContent = message.fix;
    this.part("retry").hidden = message.state !== "offline" && message.state !== "unreadable";
  }

  show() {
    const { store, state, socketText, view } = this.page;
    if (!store) return;
    const status = this.part("status");
    const isPaused = !view.isPinned && state.state === "live";
    status.dataset.state = socketText ? "connecting" : isPaused ? "paused" : state.state;
    this.part("state").textContent = this.#words(isPaused);
    this.part("rate").textContent = `${number(store.linesPerSecond())} lines/s`;
    this.part("held").textContent = `${number(store.lines)} held`;
    this.part("shown").hidden = !this.page.look.filter.isActive;
    this.part("shown").textContent = `${number(store.shownLines)} shown`;
    this.part("skipped").hidden = !store.skipped;
    this.part("skipped").textContent = `${number(store.skipped)} skipped`;
    this.part("older").hidden = store.isAtStart || !store.all.length || this.page.isLoading;
    this.part("start").hidden = !store.isAtStart || !store.all.length;
    this.part("empty").hidden = store.shown.length > 0;
    this.part("empty").textContent = this.#emptyText();
    for (const each of this.counts) {
      const count = store.counts[each.dataset.logCount];
      each.textContent = count ? brief(count) : "";
    }
  }

  #words(isPaused) {
    const { state, socketText } = this.page;
    if (socketText) return socketText;
    if (isPaused) return "paused";
    if (state.state === "stopped" && state.message) return state.message.replace(/^Container /, "");
    if (state.state === "offline" && state.retry_at) {
      return `${STATES.offline}, next try in ${Math.max(0, Math.ceil(state.retry_at - Date.now() / 1000))} s`;
    }
    return state.text ?? STATES[state.state] ?? state.state;
  }

  #emptyText() {
    const { store, state, span } = this.page;
    if (store.all.length) return "No line passes the filter.";
    if (state.state === "live" || state.state === "stopped") {
      return span?.since || span?.until ? "Nothing was written in this span of time." : "Nothing was written yet.";
    }
    return state.state === "connecting" ? "Connecting to the host…" : "";
  }
}
