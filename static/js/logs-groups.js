// Which lines belong together: stack traces of the common languages, and what is indented below a line.
const MOST = 1000; // lines of one group
const PAUSE_MS = 1000; // a longer pause between two lines parts them
const INDENTED = /^(?:\t| {2,})\S/;
const JOINED = /^(?:Caused by: |\s*\.\.\. \d+ (?:more|common frames)|\s+at |--- End of |Suppressed: |During handling of the above|The above exception was)/;
const GO_FRAME = /^(?:goroutine \d+ \[|created by |[\w./*()\-]+\.[\w.*()\-[\]]+\(.*\)$|exit status \d+$|main\.)/;
const STARTS = {
  python: /^\s*Traceback \(most recent call last\):/,
  go: /\b(?:panic: |fatal error: |SIGSEGV)|^goroutine \d+ \[/,
  rust: /^thread '.*' (?:\(\d+\) )?panicked at/,
};
const PYTHON_END = /^[A-Za-z_][\w.]*(?:Error|Exception|Warning|Exit|Interrupt|Iteration|Timeout|[A-Z]\w*)\b(?::|$)/;
const RUST_FRAME = /^(?:stack backtrace:|note: |\s+\d+: |called `|assertion |\s+(?:left|right): )/;

const kindOf = (text) => Object.keys(STARTS).find((kind) => STARTS[kind].test(text)) ?? "";
const millis = (stamp) => (stamp ? Date.parse(stamp) : NaN);

// Finds groups in lines of one log that come in order. Streams are apart: they may be mixed.
export class Grouper {
  #open = { out: null, err: null };

  // The head that a line belongs below, null if it stands for itself.
  headOf(line) {
    const stream = line.isError ? "err" : "out";
    const open = this.#open[stream];
    if (open && this.#continues(open, line)) {
      open.last = line;
      open.count += 1;
      return open.head;
    }
    const kind = kindOf(line.plain);
    this.#open[stream] = { head: line, last: line, count: 1, kind, isOver: false };
    return null;
  }

  #continues(open, line) {
    if (open.count >= MOST || open.isOver) return false;
    const pause = millis(line.stamp) - millis(open.last.stamp);
    if (pause > PAUSE_MS || pause < 0) return false;
    const text = line.plain;
    if (open.head.level !== "none" && STARTS.python.test(text) && open.count === 1) {
      open.kind = "python";
      return true;
    }
    if (INDENTED.test(text) || JOINED.test(text)) return true;
    if (open.kind === "python") {
      // The exception itself stands unindented at the end; a chained one may follow.
      if (text === "" || STARTS.python.test(text)) return true;
      return PYTHON_END.test(text) && /^\s|^Traceback/.test(open.last.plain);
    }
    if (open.kind === "go") return text === "" || GO_FRAME.test(text);
    if (open.kind === "rust") return text !== "" && (RUST_FRAME.test(text) || open.count === 1);
    return false;
  }
}

// A sentence about a folded group: what Python tells last is what matters; elsewhere the head tells it.
export function summaryOf(head) {
  if (![head, ...head.members.slice(0, 2)].some((line) => STARTS.python.test(line.plain))) return "";
  const last = [...head.members].reverse().find((line) => PYTHON_END.test(line.plain));
  return last ? last.plain.slice(0, 300) : "";
}
