// Keys that work on every page, and rows that open when clicked. Never while somebody types.
const typing = (target) => target.closest?.("input, textarea, select, [contenteditable], dialog");
const rows = () => [...document.querySelectorAll("tr[data-href]")].filter((row) => row.offsetParent !== null);
const PAGES = { h: "/", d: "/devices/", c: "/containers/", r: "/registries/", a: "/activity/" };
let awaitingPage = 0;

function move(step) {
  const all = rows();
  if (!all.length) return;
  const at = all.findIndex((row) => row.hasAttribute("data-current"));
  const next = all[Math.min(all.length - 1, Math.max(0, at < 0 ? 0 : at + step))];
  for (const row of all) row.toggleAttribute("data-current", row === next);
  next.scrollIntoView({ block: "nearest" });
  next.querySelector("a[href]")?.focus({ preventScroll: true });
}

function help() {
  document.querySelector("[data-help]")?.showModal();
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (event.key === "Escape" && event.target.matches?.("form[data-filters] [type=search]")) event.target.blur();
  if (typing(event.target)) return;
  const key = event.key.toLowerCase();
  if (Date.now() - awaitingPage < 1200 && PAGES[key]) {
    location.assign(PAGES[key]);
  } else if (key === "g") {
    awaitingPage = Date.now();
    return;
  } else if (event.key === "/") {
    const field = document.querySelector("[data-filter-field]");
    if (!field) return;
    field.focus();
    field.select();
  } else if (event.key === "?") {
    help();
  } else if (key === "j" || key === "k") {
    move(key === "j" ? 1 : -1);
  } else {
    return;
  }
  awaitingPage = 0;
  event.preventDefault();
});

document.addEventListener("click", (event) => {
  if (event.target.closest("[data-help-open]")) return help();
  if (event.target.matches("dialog")) return event.target.close("cancel");
  const row = event.target.closest("tr[data-href]");
  if (!row || event.target.closest("a, button, summary, input, label, details")) return;
  if (String(getSelection())) return;
  if (event.ctrlKey || event.metaKey) window.open(row.dataset.href, "_blank", "noopener");
  else location.assign(row.dataset.href);
});
