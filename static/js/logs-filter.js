// Which lines are shown, and what in them is marked.
const LONGEST = 4000; // characters of a line that are searched by a pattern
const BUDGET_MS = 400;
// A repeated group that itself repeats or branches can take for ever on an innocent line: (a+)+, (a|a)*.
const DANGEROUS = /\((?:[^()\\]|\\.)*(?:[+*]|\{\d|\|)(?:[^()\\]|\\.)*\)\s*(?:[+*]|\{\d)|\\[1-9]/;

export const LEVELS = ["error", "warn", "info", "debug", "none"];

export class Filter {
  constructor() {
    this.text = "";
    this.isPattern = false;
    this.streams = { out: true, err: true };
    this.levels = new Set(LEVELS);
    this.error = "";
    this.spent = 0;
    this.prepare();
  }

  get isActive() {
    return Boolean(this.text) || !this.streams.out || !this.streams.err || this.levels.size < LEVELS.length;
  }

  // "!text" leaves out the lines that hold it.
  prepare() {
    this.error = "";
    this.spent = 0;
    this.isExcluding = this.text.startsWith("!") && this.text.length > 1;
    const wanted = this.isExcluding ? this.text.slice(1) : this.text;
    this.needle = this.isPattern ? "" : wanted.toLowerCase();
    this.pattern = null;
    if (!this.isPattern || !wanted) return;
    if (DANGEROUS.test(wanted)) {
      this.error = "This pattern could take for ever: leave out repeats of repeats.";
      return;
    }
    try {
      this.pattern = new RegExp(wanted, "giu");
    } catch (error) {
      this.error = String(error.message).replace(/^Invalid regular expression: /, "");
    }
  }

  passes(line) {
    if (line.kind) return true;
    if (!(line.isError ? this.streams.err : this.streams.out)) return false;
    if (this.levels.size < LEVELS.length && !this.levels.has(line.level)) return false;
    if (this.needle) return line.plain.toLowerCase().includes(this.needle) !== this.isExcluding;
    if (this.pattern) return this.#matches(line.plain) !== this.isExcluding;
    return true;
  }

  #matches(text) {
    const started = performance.now();
    this.pattern.lastIndex = 0;
    const found = this.pattern.test(text.length > LONGEST ? text.slice(0, LONGEST) : text);
    const took = performance.now() - started;
    if (took > BUDGET_MS) {
      this.pattern = null;
      this.error = "This pattern is too slow for these lines and was turned off.";
    }
    return found;
  }

  // Parts of a text: [{text, isMatch}].
  parts(text) {
    if (this.isExcluding || (!this.needle && !this.pattern)) return [{ text, isMatch: false }];
    const found = [];
    let from = 0;
    for (const [start, end] of this.#places(text)) {
      if (start > from) found.push({ text: text.slice(from, start), isMatch: false });
      found.push({ text: text.slice(start, end), isMatch: true });
      from = end;
    }
    if (from < text.length) found.push({ text: text.slice(from), isMatch: false });
    return found;
  }

  *#places(text) {
    if (this.pattern) {
      this.pattern.lastIndex = 0;
      let count = 0;
      for (const match of text.slice(0, LONGEST).matchAll(this.pattern)) {
        if (match[0]) yield [match.index, match.index + match[0].length];
        if ((count += 1) > 200) return;
      }
      return;
    }
    const lower = text.toLowerCase();
    // A few letters change their length in lower case; then the places would be wrong.
    if (lower.length !== text.length) return;
    let count = 0;
    for (let at = lower.indexOf(this.needle); at >= 0 && count < 200; at = lower.indexOf(this.needle, at + this.needle.length)) {
      yield [at, at + this.needle.length];
      count += 1;
    }
  }
}
