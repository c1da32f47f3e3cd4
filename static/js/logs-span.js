// The span of time that is looked at: fields and presets of its menu, and what the address tells.
import { fieldTime, moment } from "./logs-times.js";

const RELATIVE = /^(\d{1,6})([smhd])$/;
const UNITS = { s: 1, m: 60, h: 3600, d: 86_400 };
const NAMES = { 900: "15m", 3600: "1h", 21_600: "6h", 86_400: "24h", 604_800: "7d" };

// Milliseconds of "6h" or of RFC 3339 text; 0 for neither.
export function spanTime(text) {
  const relative = RELATIVE.exec(text);
  if (relative) return Date.now() - Number(relative[1]) * UNITS[relative[2]] * 1000;
  const time = Date.parse(text);
  return Number.isNaN(time) ? 0 : time;
}

export function readSpan() {
  const query = new URLSearchParams(location.search);
  const valid = (name) => (spanTime(query.get(name) ?? "") ? query.get(name) : "");
  return { since: valid("since"), until: valid("until") };
}

const words = (text) => (RELATIVE.test(text) ? text.replace(/(\D)$/, " $1") : moment(spanTime(text)));

export function attachSpan(root, page) {
  const menu = root.querySelector("#log-range-menu");
  const form = root.querySelector("[data-log-range]");

  function show() {
    const { since, until } = page.span;
    const text = root.querySelector("[data-log-range-text]");
    if (!since && !until) text.textContent = "All times";
    else if (!until) text.textContent = RELATIVE.test(since) ? `Last ${words(since)}` : `From ${words(since)}`;
    else text.textContent = since ? `${words(since)} – ${words(until)}` : `To ${words(until)}`;
    form.since.value = since ? fieldTime(spanTime(since)) : "";
    form.until.value = until ? fieldTime(spanTime(until)) : "";
  }

  function close() {
    menu.open = false;
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const [since, until] = [form.since.value, form.until.value].map((value) => (value ? new Date(value).toISOString() : ""));
    form.until.setCustomValidity(since && until && since >= until ? "The end must be later than the beginning." : "");
    if (!form.reportValidity()) return;
    close();
    page.setSpan(since, until);
  });
  form.addEventListener("input", () => form.until.setCustomValidity(""));
  form.addEventListener("click", (event) => {
    const seconds = event.target.closest("[data-log-last]")?.dataset.logLast;
    if (seconds === undefined) return;
    close();
    page.setSpan(NAMES[seconds] ?? "", "");
  });
  show();
  return show;
}
