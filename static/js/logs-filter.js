// Which lines are shown, and what in them is marked.
const LONGEST = 4000; // characters of a line that are searched by a pattern
const BUDGET_MS = 400;
const MOST_MATCHES = 200;
// A repeated group that itself repeats or branches can take for ever on an innocent line: (a+)+, (a|a)*.
const DANGEROUS = /\((?:[^()\\]|\\.)*(?:[+*]|\{\d|\|)(?:[^()\\]|\\.)*\)\s*(?:[+*]|\{\d)|\\[1-9]/;
// What this browser would take but the server, which searches files by RE2, would not.
const NOT_RE2 = /\(\?(?:=|!|<=|<!)/;

export const LEVELS = ["error", "warn", "info", "debug", "none"];

// One text or regular expression; matches without regard to case.
export class Pattern {
  constructor() {
    this.text = "";
    this.isPattern = false;
    this.error = "";
    this.prepare();
  }

  get isActive() {
    return Boolean(this.needle || this.pattern);
  }

  // "!text" in front leaves out what it matches.
  prepare() {
    this.error = "";
    this.isNegated = this.text.startsWith("!") && this.text.length > 1;
    const wanted = this.isNegated ? this.text.slice(1) : this.text;
    this.needle = this.isPattern ? "" : wanted.toLowerCase();
    this.pattern = null;
    if (!this.isPattern || !wanted) return;
    if (DANGEROUS.test(wanted)) {
      this.error = "This pattern could take for ever: leave out repeats of repeats.";
    } else if (NOT_RE2.test(wanted)) {
      this.error = "Looking ahead or behind is not possible here: use the field for lines to leave out.";
    } else {
      try {
        this.pattern = new RegExp(wanted, "giu");
      } catch (error) {
        this.error = explained(String(error.message));
      }
    }
  }

  matches(text) {
    if (this.needle) return text.toLowerCase().includes(this.needle);
    const started = performance.now();
    this.pattern.lastIndex = 0;
    const found = this.pattern.test(text.length > LONGEST ? text.slice(0, LONGEST) : text);
    if (performance.now() - started > BUDGET_MS) {
      this.pattern = null;
      this.error = "This pattern is too slow for these lines and was turned off.";
    }
    return found;
  }

  // [start, end] of each match in a text.
  *places(text) {
    if (this.pattern) {
      this.pattern.lastIndex = 0;
      let count = 0;
      for (const match of text.slice(0, LONGEST).matchAll(this.pattern)) {
        if (match[0]) yield [match.index, match.index + match[0].length];
        if ((count += 1) > MOST_MATCHES) return;
      }
      return;
    }
    const lower = text.toLowerCase();
    // A few letters change their length in lower case; then the places would be wrong.
    if (lower.length !== text.length) return;
    const { needle } = this;
    let count = 0;
    for (let at = lower.indexOf(needle); at >= 0 && count < MOST_MATCHES; at = lower.indexOf(needle, at + needle.length)) {
      yield [at, at + needle.length];
      count += 1;
    }
  }
}

function explained(message) {
  const reason = message.replace(/^Invalid regular expression: /, "").replace(/^\/.*\/[a-z]*: /s, "");
  const hints = [
    [/unterminated group/i, "a ( has no ): close it, or write \\( for the character itself"],
    [/unmatched '\)'/i, "a ) has no (: write \\) for the character itself"],
    [/unterminated character class|lone quantifier brackets|unmatched/i, "a bracket has no partner: write \\[ or \\{ for the character itself"],
    [/nothing to repeat/i, "there is nothing in front of *, + or ? to repeat: write \\* for the character itself"],
    [/invalid escape/i, "a \\ stands in front of a character that needs none"],
    [/\\ at end/i, "it ends in a single \\"],
    [/out of order/i, "the range in [ ] or { } runs backwards"],
  ];
  const hint = hints.find(([pattern]) => pattern.test(reason));
  return `Not a regular expression: ${hint ? hint[1] : reason}.`;
}

export class Filter {
  constructor() {
    this.include = new Pattern();
    this.exclude = new Pattern();
    this.streams = { out: true, err: true };
    this.levels = new Set(LEVELS);
    this.hidden = new Set(); // sources that are turned off
    this.since = 0; // what is older is not shown, milliseconds
    this.prepare();
  }

  get isActive() {
    return this.isTextual || this.levels.size < LEVELS.length || this.hidden.size > 0;
  }

  // What a download can be cut down by as well.
  get isTextual() {
    return Boolean(this.include.text || this.exclude.text) || !this.streams.out || !this.streams.err;
  }

  get error() {
    return this.include.error || this.exclude.error;
  }

  prepare() {
    this.include.prepare();
    this.exclude.prepare();
  }

  // A line with all that belongs below it: it is shown as one.
  passes(line) {
    if (line.source && this.hidden.has(line.source)) return false;
    if (line.kind) return true;
    if (this.since && line.time < this.since) return false;
    if (!(line.isError ? this.streams.err : this.streams.out)) return false;
    if (this.levels.size < LEVELS.length && !this.levels.has(line.level)) return false;
    const { include, exclude } = this;
    if (exclude.isActive && this.#anyMatches(exclude, line)) return false;
    return !include.isActive || this.#anyMatches(include, line) !== include.isNegated;
  }

  #anyMatches(pattern, line) {
    if (pattern.matches(line.plain)) return true;
    return line.members !== null && line.members.some((member) => pattern.isActive && pattern.matches(member.plain));
  }

  // Parts of a text: [{text, isMatch}].
  parts(text) {
    if (!this.include.isActive || this.include.isNegated) return [{ text, isMatch: false }];
    const found = [];
    let from = 0;
    for (const [start, end] of this.include.places(text)) {
      if (start > from) found.push({ text: text.slice(from, start), isMatch: false });
      found.push({ text: text.slice(start, end), isMatch: true });
      from = end;
    }
    if (from < text.length) found.push({ text: text.slice(from), isMatch: false });
    return found;
  }
}
