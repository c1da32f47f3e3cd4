// The page's one socket (htmx-ext-ws on [data-live-socket]): tells the server what the page shows, says how fresh the
// page is, and reads the page again when it may have missed something.
import { toast } from "./toast.js";

const socket = document.querySelector("[data-live-socket]");
const indicator = document.querySelector("[data-live-indicator]");
const HEARTBEAT_MS = 25_000;
// Closing codes after which the extension tries again by itself; the rest is ours.
const EXTENSION_RETRIES = [1006, 1011, 1012, 1013];
const REFUSED = [4401, 4403];
let wrapper = null;
let lostAt = null;
let watched = "";
let heartbeat;

function say(state, text) {
  if (!indicator) return;
  indicator.dataset.state = state;
  indicator.querySelector("[data-live-text]").textContent = text;
}

function watch() {
  const ids = [...document.querySelectorAll("[data-live]")].map((element) => element.id);
  const message = JSON.stringify({ type: "watch", page: document.body.dataset.page, ids });
  if (!wrapper || message === watched) return;
  watched = message;
  wrapper.send(message);
}

const retryDelay = (count) => Math.min(15_000, 500 * 2 ** count) * (0.5 + Math.random() / 2);

if (socket) {
  window.htmx.config.wsReconnectDelay = retryDelay;
  socket.addEventListener("htmx:wsOpen", (event) => {
    wrapper = event.detail.socketWrapper;
    watched = "";
    watch();
    say("live", "live");
    clearInterval(heartbeat);
    heartbeat = setInterval(() => wrapper.send('{"type":"ping"}'), HEARTBEAT_MS);
    if (lostAt) refreshSoon(0);
    lostAt = null;
  });
  socket.addEventListener("htmx:wsClose", (event) => {
    clearInterval(heartbeat);
    const { code } = event.detail.event;
    if (REFUSED.includes(code)) return say("offline", "logged out");
    if (!lostAt) lostAt = new Date();
    const since = lostAt.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
    say(navigator.onLine ? "reconnecting" : "offline", `${navigator.onLine ? "reconnecting" : "offline"} since ${since}`);
    if (!EXTENSION_RETRIES.includes(code)) setTimeout(() => event.detail.socketWrapper.reconnect(), retryDelay(1));
  });
  addEventListener("online", () => wrapper?.reconnect());
  socket.addEventListener("htmx:wsAfterMessage", settleChanges);
  document.addEventListener("htmx:afterSettle", () => {
    watch();
    tellOwn();
  });
}

// ---- rows that appeared or vanished: read the changed part of the page again --------------------------------

let refreshTimer;
let signal = document.getElementById("live-signal")?.dataset.refresh;

// What a reader has opened there, and a new reading would close: a menu, shown secrets, a connection test.
const OPENED = "details[open][data-menu], .masked--shown, [data-hold]";

/** Not while somebody is about to press something there: rows must not move under the pointer. */
function isBusy(part) {
  const isPointedAt = part.querySelector("tr:hover, summary:hover, button:hover") !== null;
  return isPointedAt || part.contains(document.activeElement) || part.querySelector(OPENED) !== null;
}

function refreshSoon(delay = 250) {
  clearTimeout(refreshTimer);
  refreshTimer = setTimeout(refresh, delay);
}

function refresh({ force = false } = {}) {
  const parts = [...document.querySelectorAll("[data-refreshable]")];
  const waiting = parts.filter((part) => !force && isBusy(part));
  for (const part of parts) {
    const mark = document.querySelector(`[data-refresh-now="${part.id}"]`);
    if (mark) mark.hidden = !waiting.includes(part);
  }
  for (const part of parts.filter((each) => !waiting.includes(each))) {
    window.htmx.ajax("GET", location.href, { target: `#${part.id}`, select: `#${part.id}`, swap: "outerHTML" });
  }
  if (waiting.length) refreshTimer = setTimeout(refresh, 1500);
}

document.addEventListener("click", (event) => {
  if (event.target.closest("[data-refresh-now]")) refresh({ force: true });
});

function settleChanges() {
  tellOwn();
  const now = document.getElementById("live-signal")?.dataset.refresh;
  if (now !== signal) {
    signal = now;
    refreshSoon();
  }
  const counts = document.getElementById("navigation-counts")?.dataset ?? {};
  for (const pill of document.querySelectorAll("[data-pill]")) {
    const count = Number(counts[pill.dataset.pill] || 0);
    pill.textContent = count || "";
  }
}

// ---- how the user's own operations ended (rows in the hidden #own-operations) -------------------------------

const told = new Set();

function tellOwn() {
  for (const row of document.querySelectorAll("#own-operations [data-operation]")) {
    const { operation: state, operationTitle: title, operationError: error } = row.dataset;
    if (!["succeeded", "failed", "lost"].includes(state) || told.has(row.id)) continue;
    told.add(row.id);
    if (state === "succeeded") toast(`${title}: done.`);
    else toast(`${title}: ${state}. ${error}`.trim(), "bad");
  }
}

// ---- what changed flashes softly, once; focus and open menus stay -------------------------------------------

const cellsOf = (element) => [...element.querySelectorAll("[data-cell]")];
const textOf = (cell) => cell.textContent.replace(/\s+/g, " ").trim();

document.addEventListener("htmx:oobBeforeSwap", (event) => {
  const { target, fragment } = event.detail;
  const incoming = fragment.firstElementChild ?? fragment;
  const before = new Map(cellsOf(target).map((cell) => [cell.dataset.cell, textOf(cell)]));
  for (const cell of cellsOf(incoming)) {
    if (before.has(cell.dataset.cell) && before.get(cell.dataset.cell) !== textOf(cell)) cell.classList.add("is-changed");
  }
  const focused = target.contains(document.activeElement) ? document.activeElement.id : "";
  const menus = [...target.querySelectorAll("details[open][id]")].map((menu) => menu.id);
  const current = target.hasAttribute("data-current");
  if (!focused && !menus.length && !current) return;
  queueMicrotask(() => {
    for (const id of menus) document.getElementById(id)?.setAttribute("open", "");
    if (current) document.getElementById(target.id)?.setAttribute("data-current", "");
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  });
});
