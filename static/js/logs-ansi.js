// Terminal text made harmless: SGR colours become segments, everything else of escape and control codes goes or is shown.
// CSI, OSC/DCS/PM/APC strings (ended by BEL or ST, or cut off), and two-character escapes.
const ESCAPES =
  /[\x1b\x9b](?:\[|(?<=\x9b))[0-?]*[ -/]*[@-~]?|\x1b[\]PX^_][^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?|\x1b[ -/]*[0-~]?|\x9b/g;
const SGR = /^(?:\x1b\[|\x9b)([\d;:]*)m$/;
// Control characters but tab, and marks that reorder text so that it reads as something else.
const ODD = /[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]/g;
const HAS_ESCAPE = /[\x1b\x9b]/;
const NOTHING = Object.freeze({ fg: "", bg: "", bold: false, dim: false, italic: false, underline: false, strike: false, inverse: false });

const shown = (character) => {
  const code = character.charCodeAt(0);
  if (code < 0x20) return String.fromCharCode(0x2400 + code);
  if (code === 0x7f) return "\u2421";
  return `<U+${code.toString(16).toUpperCase().padStart(4, "0")}>`;
};
export const harmless = (text) => text.replace(ODD, shown);

// A progress bar rewrites its line after a carriage return: what it wrote last counts.
function lastWritten(text) {
  const at = text.lastIndexOf("\r", text.length - 2);
  const rest = at < 0 ? text : text.slice(at + 1);
  return rest.endsWith("\r") ? rest.slice(0, -1) : rest;
}

export function plainText(text) {
  let plain = text.includes("\r") ? lastWritten(text) : text;
  if (HAS_ESCAPE.test(plain)) plain = plain.replace(ESCAPES, "");
  return harmless(plain);
}

// [{text, style}]; style is null for plain text. Colours: "0".."15" of the palette, or "#rrggbb".
export function segments(text) {
  const line = text.includes("\r") ? lastWritten(text) : text;
  if (!HAS_ESCAPE.test(line)) return [{ text: harmless(line), style: null }];
  const found = [];
  let style = NOTHING;
  let from = 0;
  const add = (part) => part && found.push({ text: harmless(part), style: style === NOTHING ? null : style });
  for (const match of line.matchAll(ESCAPES)) {
    add(line.slice(from, match.index));
    from = match.index + match[0].length;
    const sgr = SGR.exec(match[0]);
    if (sgr) style = applied(style, sgr[1]);
  }
  add(line.slice(from));
  return found;
}

function applied(before, text) {
  const codes = text.split(/[;:]/, 64).map((part) => Math.min(Number(part) || 0, 999));
  let style = { ...before };
  for (let i = 0; i < codes.length; i += 1) {
    const code = codes[i];
    if (code === 0) style = { ...NOTHING };
    else if (code === 1) style.bold = true;
    else if (code === 2) style.dim = true;
    else if (code === 3) style.italic = true;
    else if (code === 4) style.underline = true;
    else if (code === 7) style.inverse = true;
    else if (code === 9) style.strike = true;
    else if (code === 21 || code === 22) style.bold = style.dim = false;
    else if (code === 23) style.italic = false;
    else if (code === 24) style.underline = false;
    else if (code === 27) style.inverse = false;
    else if (code === 29) style.strike = false;
    else if (code >= 30 && code <= 37) style.fg = String(code - 30);
    else if (code >= 90 && code <= 97) style.fg = String(code - 82);
    else if (code >= 40 && code <= 47) style.bg = String(code - 40);
    else if (code >= 100 && code <= 107) style.bg = String(code - 92);
    else if (code === 39) style.fg = "";
    else if (code === 49) style.bg = "";
    else if (code === 38 || code === 48) {
      const [colour, used] = extended(codes, i + 1);
      if (colour) style[code === 38 ? "fg" : "bg"] = colour;
      i += used;
    }
  }
  return Object.keys(NOTHING).every((key) => style[key] === NOTHING[key]) ? NOTHING : style;
}

const hex = (...parts) => `#${parts.map((part) => Math.min(part, 255).toString(16).padStart(2, "0")).join("")}`;

function extended(codes, at) {
  if (codes[at] === 5) {
    const index = Math.min(codes[at + 1] ?? 0, 255);
    if (index < 16) return [String(index), 2];
    if (index >= 232) return [hex(...Array(3).fill(8 + (index - 232) * 10)), 2];
    const cube = [Math.floor((index - 16) / 36), Math.floor((index - 16) / 6) % 6, (index - 16) % 6];
    return [hex(...cube.map((step) => (step ? 55 + step * 40 : 0))), 2];
  }
  if (codes[at] === 2) return [hex(codes[at + 1] ?? 0, codes[at + 2] ?? 0, codes[at + 3] ?? 0), 4];
  return ["", 0];
}

// An element for a styled segment. Colours outside of the palette are set by script, which the policy allows; the style
// sheet bends them towards the theme so that they stay readable on its ground.
export function styledElement(style) {
  const element = document.createElement("span");
  const colours = style.inverse ? [["solid", style.fg || "text"]] : [["fg", style.fg], ["bg", style.bg]];
  for (const [kind, value] of colours) {
    if (!value) continue;
    if (value.startsWith("#")) {
      element.classList.add(`ansi-${kind}-own`);
      element.style.setProperty(kind === "bg" ? "--ansi-bg" : "--ansi-fg", value);
    } else {
      // Terminals show the eight base colours bright when bold.
      const isBase = style.bold && kind === "fg" && value.length === 1 && Number(value) < 8;
      element.classList.add(`ansi-${kind}-${isBase ? Number(value) + 8 : value}`);
    }
  }
  for (const name of ["bold", "dim", "italic", "underline", "strike"]) if (style[name]) element.classList.add(`ansi-${name}`);
  return element;
}
