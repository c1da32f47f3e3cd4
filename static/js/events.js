// The Events page follows: at its top new events come in by themselves; further down a button tells how many there are.
const list = () => document.querySelector("[data-events]");
const button = document.querySelector("[data-event-news]");
let signal = document.getElementById("live-signal")?.dataset.refresh;
let timer;

const isAtTop = () => "atTop" in list().dataset && window.scrollY < 120;
const isBusy = () => list().contains(document.activeElement) || list().querySelector("tr:hover a:hover") !== null;

function firstPage() {
  const address = new URL(location.href);
  for (const name of ["before", "after"]) address.searchParams.delete(name);
  return address.pathname + address.search;
}

async function countNew() {
  const address = new URL(list().dataset.countUrl, location.href);
  for (const [name, value] of new URLSearchParams(location.search)) address.searchParams.set(name, value);
  address.searchParams.set("than", list().dataset.newest);
  const answer = await fetch(address, { cache: "no-store" });
  return answer.ok ? answer.json() : { count: 0, most: 0 };
}

async function show() {
  await window.htmx.ajax("GET", firstPage(), { target: "#event-results", swap: "outerHTML" });
  if (firstPage() !== location.pathname + location.search) history.pushState({ htmx: true }, "", firstPage());
  button.hidden = true;
}

async function look() {
  if (isAtTop() && !isBusy()) return show();
  const { count, most } = await countNew();
  button.hidden = count === 0;
  button.querySelector("span").textContent = `${count > most ? `more than ${most}` : count} new event${count === 1 ? "" : "s"}`;
}

function lookSoon() {
  clearTimeout(timer);
  timer = setTimeout(() => look().catch(() => undefined), 200);
}

document.querySelector("[data-live-socket]")?.addEventListener("htmx:wsAfterMessage", () => {
  const now = document.getElementById("live-signal")?.dataset.refresh;
  if (now === signal || !list()) return;
  signal = now;
  lookSoon();
});
// After a lost connection something may have been missed.
document.querySelector("[data-live-socket]")?.addEventListener("htmx:wsOpen", () => list() && lookSoon());
button?.addEventListener("click", () => {
  window.scrollTo({ top: 0 });
  show();
});
