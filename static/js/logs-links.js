// Links to a line: its time in nanoseconds, and a mark that tells lines of one nanosecond apart.
import { nanoseconds } from "./logs-feed.js";
import { Filter } from "./logs-filter.js";
import { addressOf } from "./logs-look.js";

export function markOf(line) {
  let hash = 0x811c9dc5;
  for (const character of `${line.source?.id}${line.isError ? "e" : "o"}${line.text.slice(0, 500)}`) {
    hash = Math.imul(hash ^ character.charCodeAt(0), 0x01000193) >>> 0;
  }
  return hash.toString(36);
}

// Without the filter, which might hide what is around the line.
export function linkTo(line, look) {
  const bare = { filter: new Filter(), columns: look.columns };
  return addressOf(bare, { at: String(nanoseconds(line.stamp)), mark: markOf(line), since: null, until: null });
}

// The line that the address points to, and the place to show: that line, or the first one after the time.
export function lineOfMark(lines, mark) {
  const at = new URLSearchParams(location.search).get("at");
  if (!at) return { marked: null, place: null };
  const time = BigInt(at);
  const stamped = lines.filter((line) => line.stamp);
  const same = stamped.filter((line) => nanoseconds(line.stamp) === time);
  // Bytes that are no text may read differently here and there; then the time has to do.
  const marked = mark ? (same.find((line) => markOf(line) === mark) ?? same[0] ?? null) : null;
  return { marked, place: marked ?? stamped.find((line) => nanoseconds(line.stamp) >= time) ?? stamped.at(-1) ?? null };
}
