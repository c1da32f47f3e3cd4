// Figures in human units, as containers/templatetags/statistics.py writes them, and axis ticks that fall on round ones.
const BINARY = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
const RATES = ["B/s", "kB/s", "MB/s", "GB/s", "TB/s"];
export const UNKNOWN = "–";

function scaled(value, units, base, full) {
  let place = 0;
  while (Math.abs(value) >= full && place < units.length - 1) {
    value /= base;
    place += 1;
  }
  const digits = place === 0 || Math.abs(value) >= 100 ? 0 : 1;
  return `${value.toFixed(digits)} ${units[place]}`;
}

export function figureText(value, unit) {
  if (value === null || value === undefined || Number.isNaN(value)) return UNKNOWN;
  if (unit === "percent") return value < 99.95 ? `${value.toFixed(1)}%` : `${Math.round(value).toLocaleString("en")}%`;
  if (unit === "bytes") return scaled(value, BINARY, 1024, 1024);
  if (unit === "rate") return scaled(value, RATES, 1000, 999.5);
  return value >= 100 || Number.isInteger(value) ? Math.round(value).toLocaleString("en") : value.toFixed(2);
}

// Ticks of an axis: as short as they can be told apart.
export function tickText(value, unit, step) {
  if (value === 0) return unit === "percent" ? "0%" : "0";
  if (unit === "percent") return `${Number(value.toFixed(step < 1 ? 1 : 0))}%`;
  if (unit === "number") return String(Number(value.toFixed(2)));
  const [units, base] = unit === "bytes" ? [BINARY, 1024] : [RATES, 1000];
  let place = 0;
  let shown = value;
  while (Math.abs(shown) >= base && place < units.length - 1) {
    shown /= base;
    place += 1;
  }
  return `${Number(shown.toFixed(1))} ${units[place]}`;
}

/** Distances of ticks that look round in the unit: 1, 2, 5 times a power of ten, or of two for bytes. */
export function roundSteps(unit) {
  const steps = [];
  if (unit === "bytes") {
    for (let power = 0; power < 60; power += 1) steps.push(2 ** power);
  } else {
    for (let power = -2; power < 16; power += 1) for (const part of [1, 2, 5]) steps.push(part * 10 ** power);
  }
  return steps;
}

const DAY_S = 86_400;
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const precise = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hourCycle: "h23",
});
const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const weekday = new Intl.DateTimeFormat(undefined, { weekday: "short", day: "numeric", month: "short" });

/** A moment (Unix seconds) with as much of it as the span needs. */
export function momentText(seconds, span) {
  const moment = new Date(seconds * 1000);
  if (span > 2 * DAY_S) return `${weekday.format(moment)}, ${clock.format(moment)}`;
  const isToday = new Date().toDateString() === moment.toDateString();
  const time = span <= 2 * 3600 ? precise.format(moment) : clock.format(moment);
  return isToday ? time : `${day.format(moment)}, ${time}`;
}

export function windowText(start, end) {
  const [from, to] = [new Date(start * 1000), new Date(end * 1000)];
  const isOneDay = from.toDateString() === to.toDateString();
  const isToday = isOneDay && from.toDateString() === new Date().toDateString();
  const time = end - start < 600 ? precise : clock;
  if (isToday) return `${time.format(from)} – ${time.format(to)}`;
  if (isOneDay) return `${day.format(from)}, ${time.format(from)} – ${time.format(to)}`;
  return `${day.format(from)}, ${time.format(from)} – ${day.format(to)}, ${time.format(to)}`;
}

/** Ticks of the time axis, in local time; the first of a day says which day it is. */
export function timeTicks(splits, step) {
  let last = "";
  return splits.map((seconds) => {
    const moment = new Date(seconds * 1000);
    const date = day.format(moment);
    const isMidnight = moment.getHours() === 0 && moment.getMinutes() === 0 && moment.getSeconds() === 0;
    if (step >= DAY_S || isMidnight) {
      last = date;
      return date;
    }
    last = date;
    return step < 60 ? precise.format(moment) : clock.format(moment);
  });
}

const LATEST_STEPS = 3;
const LATEST_S = 90;

/** Where the latest figures are; -1 when they are too old to be called so (containers/rules/summaries.py). */
export function latestPlace({ times, columns, step_s: step }, end) {
  const all = Object.values(columns);
  const oldest = end - Math.max(LATEST_STEPS * step, LATEST_S);
  for (let place = times.length - 1; place >= 0 && times[place] >= oldest; place -= 1) {
    if (times[place] <= end && all.some((column) => (column[place] ?? null) !== null)) return place;
  }
  return -1;
}
