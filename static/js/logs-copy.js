// Lines and links to the clipboard.
import { linkTo } from "./logs-links.js";
import { addressOf } from "./logs-look.js";
import { stampTexts } from "./logs-times.js";
import { announce, toast } from "./toast.js";

const MOST = 20_000;

async function put(text, words) {
  try {
    await navigator.clipboard.writeText(text);
    toast(words);
    return true;
  } catch {
    announce("Copying failed: select the text and press Ctrl+C", { bad: true });
    return false;
  }
}

function textOf(line, look) {
  const [day, time, fraction] = stampTexts(line.stamp, look.zone === "relative" ? "utc" : look.zone, line.source?.offset);
  const parts = look.zone === "none" || !time ? [] : [`${day} ${time}${fraction}`];
  if (look.isMerged && line.source) parts.push(line.source.label);
  return [...parts, line.wholeText].join(" ");
}

async function pressed(button, isDone) {
  if (!button || !(await isDone)) return;
  button.dataset.copied = "";
  setTimeout(() => delete button.dataset.copied, 1200);
}

export function copyLine(line, button = null) {
  return pressed(button, put(line.wholeText, line.members ? "Lines copied" : "Line copied"));
}

export function copyLines(lines, look) {
  const texts = [];
  for (const line of lines) {
    if (!line.isLine) continue;
    texts.push(textOf(line, look));
    if (texts.length === MOST) break;
  }
  if (!texts.length) return announce("There are no lines to copy.", { bad: true });
  return put(`${texts.join("\n")}\n`, `${texts.length.toLocaleString("en")} ${texts.length === 1 ? "line" : "lines"} copied`);
}

// Opens around the line, with it marked; without the filter, which might hide what is around.
export function copyLink(line, page, button = null) {
  if (!line.stamp) return announce("This line carries no time, so nothing can point to it.", { bad: true });
  return pressed(button, put(linkTo(line, page.look).href, "Link copied"));
}

export function copyAddress(look) {
  return put(addressOf(look).href, "Link to this view copied");
}
