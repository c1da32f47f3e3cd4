// Times of lines as the reader wants them: this browser's zone, the host's, UTC, how long ago, or none.
export const ZONES = ["local", "host", "utc", "relative", "none"];
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const two = (number) => String(number).padStart(2, "0");

// [day, time, fraction] for the column. `offset`: minutes that the host's clock is ahead of UTC.
export function stampTexts(stamp, zone, offset = 0) {
  const moment = new Date(stamp);
  if (!stamp || Number.isNaN(moment.getTime())) return ["", "", ""];
  if (zone === "relative") return ["", agoText(moment.getTime()), ""];
  const fraction = `.${String(moment.getUTCMilliseconds()).padStart(3, "0")}`;
  if (zone === "local") {
    return [`${MONTHS[moment.getMonth()]} ${two(moment.getDate())}`, clockOf(moment), fraction];
  }
  const moved = zone === "host" ? new Date(moment.getTime() + offset * 60_000) : moment;
  return [`${MONTHS[moved.getUTCMonth()]} ${two(moved.getUTCDate())}`, moved.toISOString().slice(11, 19), fraction];
}

function clockOf(moment) {
  return [moment.getHours(), moment.getMinutes(), moment.getSeconds()].map(two).join(":");
}

export function agoText(time, now = Date.now()) {
  const seconds = Math.round((now - time) / 1000);
  if (seconds < 0) return `in ${-seconds} s`;
  if (seconds < 90) return `${seconds} s ago`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min ago`;
  if (seconds < 129_600) return `${Math.round(seconds / 3600)} h ago`;
  return `${Math.round(seconds / 86_400)} d ago`;
}

export function clock(stamp) {
  const moment = new Date(stamp);
  return Number.isNaN(moment.getTime()) ? "" : clockOf(moment);
}

// With the day where it is not today.
export function moment(time) {
  const when = new Date(time);
  if (Number.isNaN(when.getTime())) return "";
  const isToday = when.toDateString() === new Date().toDateString();
  return isToday ? clockOf(when) : `${MONTHS[when.getMonth()]} ${when.getDate()} ${clockOf(when)}`;
}

// What <input type="datetime-local" step="1"> takes.
export function fieldTime(time) {
  const when = new Date(time);
  return `${when.getFullYear()}-${two(when.getMonth() + 1)}-${two(when.getDate())}T${clockOf(when)}`;
}
