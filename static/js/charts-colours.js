// Colours of charts, from the tokens of the theme of now, and the marks of what happened.
export const MARK_COLOURS = {
  other: "--idle-sign",
  start: "--good-sign",
  stop: "--idle-sign",
  health: "--bad-sign",
  restart: "--busy-sign",
  update: "--violet",
  fail: "--bad-sign",
  oom: "--bad-sign",
};

const probe = document.createElement("span");
let known = new Map();

/** The colour of a token in the theme of now: light-dark() is told only by an element that uses it. */
export function colour(token) {
  if (!known.has(token)) {
    if (!probe.isConnected) {
      probe.hidden = true;
      document.body.append(probe);
    }
    probe.style.color = `var(${token})`;
    known.set(token, getComputedStyle(probe).color);
  }
  return known.get(token);
}

export const forgetColours = () => (known = new Map());

export function faint(token, share) {
  const [red, green, blue] = colour(token).match(/[\d.]+/g);
  return `rgb(${red} ${green} ${blue} / ${share}%)`;
}

/** A vertical line with a pennant for each thing that happened in sight. */
export function drawMarks(plot, marks) {
  const { ctx, bbox } = plot;
  const ratio = window.devicePixelRatio || 1;
  ctx.save();
  ctx.lineWidth = ratio;
  for (const mark of marks) {
    const place = Math.round(plot.valToPos(mark.time, "x", true));
    if (place < bbox.left || place > bbox.left + bbox.width) continue;
    ctx.strokeStyle = ctx.fillStyle = colour(MARK_COLOURS[mark.kind] ?? MARK_COLOURS.other);
    ctx.setLineDash([2 * ratio, 3 * ratio]);
    ctx.beginPath();
    ctx.moveTo(place, bbox.top);
    ctx.lineTo(place, bbox.top + bbox.height);
    ctx.stroke();
    ctx.setLineDash([]);
    ctx.beginPath();
    ctx.moveTo(place - 4 * ratio, bbox.top - 7 * ratio);
    ctx.lineTo(place + 4 * ratio, bbox.top - 7 * ratio);
    ctx.lineTo(place, bbox.top - ratio);
    ctx.fill();
  }
  ctx.restore();
}
