// Rows that are selected for an act on several: kept over pushes, new pages and filters, until cleared. Without scripts
// the boxes and the bar are a plain form. The bar tells the name of the boxes (data-bulk-field, also the word for one of
// them), and what its page is limited to beside its address (data-bulk-scope).
const bar = document.querySelector("[data-bulk]");
const field = bar?.dataset.bulkField ?? "container";
const selected = new Set();
let everything = false;
let anchor = null;

const boxes = () => [...document.querySelectorAll("input[data-select]")];
const part = (name) => bar.querySelector(`[data-bulk-${name}]`);
const plural = (count) => `${count.toLocaleString()} ${field}${count === 1 ? "" : "s"}`;

function total() {
  return Number(document.querySelector("[data-announce]")?.textContent.replace(/\D/g, "") || bar.dataset.total);
}

// The filters of the page, as the server reads them; "all" where there are none.
function matching() {
  return [location.search.slice(1), bar.dataset.bulkScope].filter(Boolean).join("&") || "all";
}

function show() {
  const shown = boxes();
  for (const box of shown) {
    box.checked = everything || selected.has(box.value);
    box.closest("tr")?.toggleAttribute("data-selected", box.checked);
  }
  const count = everything ? total() : selected.size;
  bar.toggleAttribute("data-active", count > 0);
  part("count").textContent = everything ? `All ${plural(count)}` : `${plural(count)}`;
  part("matching").value = everything ? matching() : "";
  if (part("logs")) part("logs").hidden = everything;
  const all = part("all");
  all.hidden = everything || shown.length === 0 || !shown.every((box) => box.checked) || total() <= shown.length;
  all.textContent = `Select all ${total().toLocaleString()} that match`;
  const head = document.querySelector("[data-select-all]");
  if (head) {
    const on = shown.filter((box) => box.checked).length;
    head.checked = on > 0 && on === shown.length;
    head.indeterminate = on > 0 && on < shown.length;
  }
  // What is selected on other pages goes along.
  for (const extra of bar.querySelectorAll("[data-bulk-extra]")) extra.remove();
  if (everything) return;
  const here = new Set(shown.map((box) => box.value));
  for (const id of selected) {
    if (here.has(id)) continue;
    const extra = document.createElement("input");
    Object.assign(extra, { type: "hidden", name: field, value: id });
    extra.dataset.bulkExtra = "";
    bar.append(extra);
  }
}

function set(box, on) {
  if (on) selected.add(box.value);
  else selected.delete(box.value);
}

function clear() {
  selected.clear();
  everything = false;
  show();
}

if (bar) {
  document.addEventListener("change", (event) => {
    const box = event.target;
    if (box.matches("[data-select-all]")) for (const each of boxes()) set(each, box.checked);
    else if (!box.matches("[data-select]")) return;
    else set(box, box.checked);
    everything = false;
    show();
  });
  // Shift selects all between the last box and this one.
  document.addEventListener("click", (event) => {
    if (!event.target.matches("[data-select]")) return;
    const all = boxes();
    const from = all.findIndex((box) => box.value === anchor);
    const to = all.indexOf(event.target);
    if (event.shiftKey && from >= 0) {
      for (const box of all.slice(Math.min(from, to), Math.max(from, to) + 1)) set(box, event.target.checked);
      show();
    }
    anchor = event.target.value;
  });
  bar.addEventListener("click", (event) => {
    if (event.target.closest("[data-bulk-clear]")) clear();
    if (event.target.closest("[data-bulk-all]")) {
      everything = true;
      show();
    }
  });
  document.addEventListener("keydown", (event) => {
    const target = event.target;
    if (event.key === "x" && !event.ctrlKey && !event.metaKey && !target.closest("input, textarea, select, dialog")) {
      const box = document.querySelector("tr[data-current] [data-select]");
      if (box) box.click();
    }
  });
  document.addEventListener("selection-clear", clear);
  for (const name of ["htmx:afterSettle", "htmx:oobAfterSwap", "htmx:wsAfterMessage"]) document.addEventListener(name, show);
  for (const box of boxes()) if (box.checked) selected.add(box.value);
  show();
}
