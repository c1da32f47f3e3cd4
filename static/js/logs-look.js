// How the reader wants lines: kept in this browser; what belongs to one view (filter, columns, span) in the address.
import { LEVELS } from "./logs-filter.js";
import { ZONES } from "./logs-times.js";

const STORED = "ssm.log";
const COLUMNS = "ssm.log.columns.";
export const SIZES = [10, 11, 11.5, 12.5, 13.5, 15, 17];

function read(key) {
  try {
    return JSON.parse(localStorage.getItem(key)) ?? {};
  } catch {
    return {};
  }
}

function write(key, value) {
  try {
    localStorage.setItem(key, JSON.stringify(value));
  } catch {
    // Forbidden storage: it holds for this page.
  }
}

export function readLook(look, name) {
  const stored = read(STORED);
  const isPhone = matchMedia("(max-width: 860px)").matches;
  look.wrap = stored.wrap ?? isPhone;
  look.zone = ZONES.includes(stored.zone) ? stored.zone : "local";
  look.isPretty = stored.pretty ?? true;
  look.isGrouping = stored.grouping ?? true;
  look.size = SIZES.includes(stored.size) ? stored.size : isPhone ? 11.5 : 12.5;
  const query = new URLSearchParams(location.search);
  const columns = query.has("columns") ? query.get("columns").split(",") : read(COLUMNS + name).names;
  look.columns = Array.isArray(columns) ? columns.filter((each) => typeof each === "string" && each).slice(0, 12) : [];
}

export function storeLook(look) {
  const { wrap, zone, size } = look;
  write(STORED, { wrap, zone, size, pretty: look.isPretty, grouping: look.isGrouping });
}

export function storeColumns(look, name) {
  write(COLUMNS + name, { names: look.columns });
}

export function readFilter(filter) {
  const query = new URLSearchParams(location.search);
  filter.include.text = (query.get("q") ?? "").slice(0, 300);
  filter.include.isPattern = query.get("pattern") === "1";
  filter.exclude.text = (query.get("exclude") ?? "").slice(0, 300);
  filter.exclude.isPattern = filter.include.isPattern;
  const stream = query.get("stream");
  if (stream === "stdout") filter.streams.err = false;
  if (stream === "stderr") filter.streams.out = false;
  const levels = (query.get("level") ?? "").split(",").filter((each) => LEVELS.includes(each));
  if (levels.length) filter.levels = new Set(levels);
  filter.prepare();
}

// The filter as parameters, for the address and for downloads.
export function filterParameters(filter) {
  const found = {};
  const { include, exclude } = filter;
  if (include.text) found.q = include.text;
  if ((include.text || exclude.text) && include.isPattern) found.pattern = "1";
  if (exclude.text) found.exclude = exclude.text;
  if (!filter.streams.out || !filter.streams.err) found.stream = filter.streams.out ? "stdout" : "stderr";
  if (filter.levels.size < LEVELS.length) found.level = LEVELS.filter((each) => filter.levels.has(each)).join(",");
  return found;
}

const OURS = ["q", "pattern", "exclude", "stream", "level", "columns"];

// The address of what is shown now; `extra` values replace those there, null takes one out.
export function addressOf(look, extra = {}) {
  const address = new URL(location.href);
  const query = address.searchParams;
  for (const name of OURS) query.delete(name);
  for (const [name, value] of Object.entries(filterParameters(look.filter))) query.set(name, value);
  if (look.columns.length) query.set("columns", look.columns.join(","));
  for (const [name, value] of Object.entries(extra)) {
    if (value === null) query.delete(name);
    else query.set(name, value);
  }
  address.hash = "";
  return address;
}

export function showAddress(look, extra) {
  const address = addressOf(look, extra);
  if (address.href !== location.href) history.replaceState(history.state, "", address);
}
