// Keeps <time data-time> fresh; the exact time, in the reader's own zone, is its title. Words as in ssm/templatetags/ui.py.
const STEPS = [
  [45, 1, "s"],
  [3600, 60, "min"],
  [86400, 3600, "h"],
  [30 * 86400, 86400, "d"],
  [365 * 86400, 30 * 86400, "mo"],
  [Infinity, 365 * 86400, "y"],
];
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const dayAndClock = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long" });

export function relativeText(milliseconds) {
  const seconds = milliseconds / 1000;
  const amount = Math.abs(seconds);
  const [, divisor, unit] = STEPS.find(([limit]) => amount < limit);
  const number = Math.max(1, Math.round(amount / divisor));
  if (seconds < 0) return `in ${number} ${unit}`;
  if (unit === "s" && amount < 10) return "just now";
  return `${number} ${unit} ago`;
}

export function spanText(milliseconds) {
  const whole = Math.max(0, Math.floor(milliseconds / 1000));
  const [minutes, hours, days] = [Math.floor(whole / 60), Math.floor(whole / 3600), Math.floor(whole / 86400)];
  if (whole < 60) return `${whole} s`;
  if (minutes < 60) return `${minutes} min`;
  if (hours < 24) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  if (days < 14) return hours % 24 ? `${days} d ${hours % 24} h` : `${days} d`;
  return `${days} d`;
}

function textOf(kind, moment, now) {
  if (kind === "exact") return exact.format(moment);
  if (kind === "clock") {
    const isToday = new Date(moment).toDateString() === new Date(now).toDateString();
    return (isToday ? clock : dayAndClock).format(moment);
  }
  if (kind === "since") return spanText(now - moment);
  if (kind === "ahead" && moment <= now) return "now";
  return relativeText(now - moment);
}

function refresh(scope) {
  const now = Date.now();
  for (const element of scope.querySelectorAll("time[data-time]")) {
    const moment = Date.parse(element.dateTime);
    if (Number.isNaN(moment)) continue;
    const kind = element.dataset.time;
    const text = textOf(kind, moment, now);
    if (element.textContent !== text) element.textContent = text;
    if (!element.dataset.local) {
      element.dataset.local = "1";
      element.title = exact.format(moment);
    }
  }
}

refresh(document);
setInterval(() => document.hidden || refresh(document), 10_000);
document.addEventListener("visibilitychange", () => document.hidden || refresh(document));
for (const name of ["htmx:afterSettle", "htmx:wsAfterMessage"]) {
  document.addEventListener(name, () => refresh(document));
}
