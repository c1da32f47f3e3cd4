// The page's one socket (htmx-ext-ws on [data-live-socket]): tells the server what the page shows, says how fresh the
// page is, and reads the page again when it may have missed something.
import { fillMenu } from "./menus.js";
import { toast } from "./toast.js";

const socket = document.querySelector("[data-live-socket]");
const indicator = document.querySelector("[data-live-indicator]");
const HEARTBEAT_MS = 25_000;
// Closing codes after which the extension tries again by itself; the rest is ours.
const EXTENSION_RETRIES = [1006, 1011, 1012, 1013];
const REFUSED = [4401, 4403];
let wrapper = null;
let lostAt = null;
let hasGap = false;
let watched = "";
let heartbeat;

function say(state, text) {
  if (!indicator) return;
  indicator.dataset.state = state;
  indicator.querySelector("[data-live-text]").textContent = text;
}

function watch() {
  const ids = [...document.querySelectorAll("[data-live]")].map((element) => element.id);
  const { page, madeAt } = document.body.dataset;
  const message = JSON.stringify({ type: "watch", page, made_at: Number(madeAt), ids });
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
    if (lostAt) {
      hasGap = true;
      refreshSoon(0);
    }
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

// ---- rows that appeared or vanished: read the page again, and change what differs --------------------------

let refreshTimer;
let signal = document.getElementById("live-signal")?.dataset.refresh;
// What a reader has opened there, and a new reading would close: a menu, shown secrets, a connection test.
const OPENED = "details[open][data-menu], .masked--shown, [data-hold]";

/** Not while somebody is about to press something there: rows must not move under the pointer. */
function isBusy(part) {
  const isPointedAt = part.querySelector("tr:hover, summary:hover, button:hover") !== null;
  return isPointedAt || part.contains(document.activeElement) || part.querySelector(OPENED) !== null;
}

/** Which rows, in which order; without rows, the words. Rows themselves are pushed, and times pass anyway. */
function essence(part) {
  const rows = [...part.querySelectorAll("tr[id]")].map((row) => row.id);
  const copy = part.cloneNode(true);
  for (const element of copy.querySelectorAll("tr[id], time, textarea")) element.remove();
  return `${rows.join()} ${copy.textContent.replace(/\s+/g, " ")}`;
}

/** The live elements outside of the parts: heads of pages, counts. */
function replaceHeads(fresh) {
  for (const element of document.querySelectorAll("[data-live]")) {
    const incoming = element.closest("[data-refreshable]") ? null : fresh.getElementById(element.id);
    if (incoming) window.htmx.swap(element, incoming.outerHTML, { swapStyle: "outerHTML", swapDelay: 0, settleDelay: 0 });
  }
}

function refreshSoon(delay = 250) {
  clearTimeout(refreshTimer);
  refreshTimer = setTimeout(refresh, delay);
}

/** `force`: whatever the reader is at. After a gap rows may be old too, so everything live is taken anew. */
async function refresh({ force = false } = {}) {
  const parts = [...document.querySelectorAll("[data-refreshable]")];
  const url = location.href;
  const gap = hasGap;
  let html;
  try {
    const answer = await fetch(url, { headers: gap ? {} : { "HX-Request": "true" }, cache: "no-store" });
    if (new URL(answer.url).pathname === "/login/") return location.reload();
    if (!answer.ok) return;
    html = await answer.text();
  } catch {
    return; // the socket notices too, and asks again once it is back
  }
  if (url !== location.href) return;
  const fresh = new DOMParser().parseFromString(html, "text/html");
  let isWaiting = false;
  for (const part of parts) {
    const incoming = fresh.getElementById(part.id);
    const differs = incoming !== null && part.isConnected && (gap || essence(incoming) !== essence(part));
    const waits = differs && !force && isBusy(part);
    isWaiting ||= waits;
    const mark = document.querySelector(`[data-refresh-now="${part.id}"]`);
    if (mark) mark.hidden = !waits;
    if (!differs || waits) continue;
    window.htmx.swap(part, incoming.outerHTML, { swapStyle: "outerHTML", swapDelay: 0, settleDelay: 0 });
  }
  if (gap) replaceHeads(fresh);
  if (isWaiting) return refreshSoon(2000);
  hasGap = hasGap && !gap;
  watch();
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
    for (const menu of menus.map((id) => document.getElementById(id)).filter(Boolean)) {
      fillMenu(menu);
      menu.open = true;
    }
    if (current) document.getElementById(target.id)?.setAttribute("data-current", "");
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  });
});
