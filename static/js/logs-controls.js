// Tool bar, keys and status line of the log page.
import { LEVELS } from "./logs-filter.js";
import { announce } from "./toast.js";

const STORED = "ssm.log";
const STATES = {
  connecting: "connecting",
  live: "live",
  stopped: "stopped",
  offline: "host unreachable",
  unreadable: "not readable",
  removed: "removed",
  refused: "closed",
};
const number = (value) => value.toLocaleString("en");

function stored() {
  try {
    return JSON.parse(localStorage.getItem(STORED)) ?? {};
  } catch {
    return {};
  }
}

function store(page) {
  try {
    localStorage.setItem(STORED, JSON.stringify({ wrap: page.look.wrap, zone: page.look.zone }));
  } catch {
    // Forbidden storage: it holds for this page.
  }
}

export function attachControls(root, page) {
  const part = (name) => root.querySelector(`[data-log-${name}]`);
  const press = (button, isPressed) => button.setAttribute("aria-pressed", String(isPressed));
  const { filter } = page.look;
  const field = part("search");
  let timer = 0;

  const chosen = stored();
  page.look.wrap = chosen.wrap ?? matchMedia("(max-width: 860px)").matches;
  page.look.zone = ["local", "utc", "none"].includes(chosen.zone) ? chosen.zone : "local";
  root.dataset.wrap = String(page.look.wrap);
  root.dataset.zone = page.look.zone;

  function showChoices() {
    press(part("wrap"), page.look.wrap);
    press(part("pattern"), filter.isPattern);
    for (const button of root.querySelectorAll("[data-log-zone]")) press(button, button.dataset.logZone === page.look.zone);
    for (const button of root.querySelectorAll("[data-log-stream]")) press(button, filter.streams[button.dataset.logStream]);
    for (const button of root.querySelectorAll("[data-log-level]")) press(button, filter.levels.has(button.dataset.logLevel));
  }

  function applyFilter() {
    filter.text = field.value;
    page.refilter();
    const problem = part("problem");
    problem.textContent = filter.error;
    problem.hidden = !filter.error;
    field.setAttribute("aria-invalid", String(Boolean(filter.error)));
    showDownload();
  }

  function showDownload() {
    for (const link of root.querySelectorAll("[data-log-download]")) {
      const address = new URL(link.dataset.logDownload, location.href);
      if (link.dataset.filtered !== undefined) {
        if (filter.text) address.searchParams.set("q", filter.text);
        if (filter.isPattern) address.searchParams.set("pattern", "1");
        if (!filter.streams.out || !filter.streams.err) address.searchParams.set("stream", filter.streams.out ? "stdout" : "stderr");
        link.hidden = !filter.text && filter.streams.out && filter.streams.err;
      }
      link.href = address.pathname + address.search;
    }
  }

  // A press takes that one out; a press on the only one left brings all back.
  function toggleStream(name) {
    const other = name === "out" ? "err" : "out";
    filter.streams[name] = !filter.streams[name];
    if (!filter.streams[name] && !filter.streams[other]) filter.streams[other] = true;
  }

  function toggleLevel(name) {
    if (filter.levels.size === LEVELS.length) filter.levels = new Set([name]);
    else if (filter.levels.has(name)) filter.levels.delete(name);
    else filter.levels.add(name);
    if (!filter.levels.size) filter.levels = new Set(LEVELS);
  }

  root.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return openLine(event);
    const { dataset } = button;
    if (dataset.logStream) toggleStream(dataset.logStream);
    else if (dataset.logLevel) toggleLevel(dataset.logLevel);
    else if (dataset.logZone) page.look.zone = dataset.logZone;
    else if ("logWrap" in dataset) page.look.wrap = !page.look.wrap;
    else if ("logPattern" in dataset) filter.isPattern = !filter.isPattern;
    else if ("logFollow" in dataset) return page.follow(!page.view.isPinned);
    else if ("logEnd" in dataset) return page.follow(true);
    else if ("logFull" in dataset) return full();
    else if ("logClear" in dataset) return page.clear();
    else if ("logRetry" in dataset) return page.retry();
    else if ("logOlder" in dataset) return page.loadOlder();
    else if ("logCopy" in dataset) return copy(button);
    else return;
    showChoices();
    if (dataset.logZone || "logWrap" in dataset) {
      store(page);
      page.relayout();
    } else {
      applyFilter();
    }
  });

  function openLine(event) {
    const row = event.target.closest(".log-line");
    if (!row || event.target.closest(".log-detail") || String(getSelection())) return;
    const line = page.view.lineOf(row);
    if (line) page.view.toggle(line);
  }

  function full() {
    press(part("full"), root.toggleAttribute("data-full"));
    page.view.relayout();
  }

  async function copy(button) {
    const line = page.view.lineOf(button);
    if (!line) return;
    try {
      await navigator.clipboard.writeText(line.plain);
      announce("Copied");
      button.dataset.copied = "";
      setTimeout(() => delete button.dataset.copied, 1200);
    } catch {
      announce("Copying failed: select the text and press Ctrl+C", { bad: true });
    }
  }

  field.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(applyFilter, 90);
  });

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (event.target === field) {
      if (event.key !== "Escape") return;
      if (field.value) {
        field.value = "";
        applyFilter();
      } else field.blur();
      event.preventDefault();
      return;
    }
    if (event.target.closest?.("input, textarea, select, dialog, [contenteditable]")) return;
    const isButton = event.target.closest?.("button, a, summary");
    if (event.key === "End") page.view.scrollTo("end");
    else if (event.key === "Home") page.view.scrollTo("start");
    else if (event.key === " " && !isButton) page.follow(!page.view.isPinned);
    else if (event.key === "w") part("wrap").click();
    else if (event.key === "f" || (event.key === "Escape" && root.hasAttribute("data-full"))) full();
    else if (event.key === "PageUp" || event.key === "PageDown") {
      const way = event.key === "PageUp" ? -1 : 1;
      page.scroller.scrollBy(0, way * (page.scroller.clientHeight - 36));
    } else return;
    event.preventDefault();
  });

  showChoices();
  showDownload();

  return {
    showPinned(isPinned) {
      const button = part("follow");
      press(button, isPinned);
      button.title = isPinned ? "Pause (Space)" : "Follow (Space)";
      button.querySelector("[data-log-follow-text]").textContent = isPinned ? "Pause" : "Follow";
      const use = button.querySelector("use");
      use.setAttribute("href", use.getAttribute("href").replace(/#.*/, isPinned ? "#pause" : "#play"));
      part("jump").hidden = isPinned;
      this.showStatus();
    },

    showUnseen(count) {
      part("unseen").textContent = count ? `${number(count)} new ${count === 1 ? "line" : "lines"}` : "Jump to the end";
    },

    showLoading(isLoading) {
      part("loading").hidden = !isLoading;
    },

    showState(message) {
      const notice = part("notice");
      const isBad = ["offline", "unreadable", "removed", "refused"].includes(message.state);
      notice.hidden = !isBad;
      if (isBad) {
        part("notice-title").textContent = message.message;
        part("notice-fix").textContent = message.fix;
        part("retry").hidden = message.state !== "offline" && message.state !== "unreadable";
      }
      this.showStatus();
    },

    showStatus() {
      const { store, state, socketText } = page;
      if (!store) return;
      const status = part("status");
      const isPaused = !page.view.isPinned && state.state === "live";
      status.dataset.state = socketText ? "connecting" : isPaused ? "paused" : state.state;
      let text = socketText || STATES[state.state];
      if (!socketText && isPaused) text = "paused";
      if (!socketText && state.state === "stopped" && state.message) text = state.message.replace(/^Container /, "");
      if (!socketText && state.state === "offline" && state.retry_at) {
        text += `, next try in ${Math.max(0, Math.ceil(state.retry_at - Date.now() / 1000))} s`;
      }
      part("state").textContent = text;
      part("rate").textContent = `${number(store.linesPerSecond())} lines/s`;
      part("held").textContent = `${number(store.lines)} held`;
      part("shown").hidden = !filter.isActive;
      part("shown").textContent = `${number(store.shownLines)} shown`;
      part("skipped").hidden = !store.skipped;
      part("skipped").textContent = `${number(store.skipped)} skipped`;
      const older = part("older");
      older.hidden = store.isAtStart || !store.all.length || page.isLoading;
      part("start").hidden = !store.isAtStart || !store.all.length;
      part("empty").hidden = store.shown.length > 0;
      part("empty").textContent = emptyText(store, state);
    },
  };

  function emptyText(held, state) {
    if (held.all.length) return "No line passes the filter.";
    if (state.state === "live" || state.state === "stopped") return "Nothing was written yet.";
    return state.state === "connecting" ? "Connecting to the host…" : "";
  }
}
