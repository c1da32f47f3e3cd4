// Short notes about the user's own acts, and the polite live region.
const region = () => document.querySelector("[data-toasts]");

export function announce(text, { bad = false } = {}) {
  if (bad) return toast(text, "bad");
  const live = document.getElementById("announcements");
  if (live) live.textContent = text;
}

function spriteUrl() {
  return document.querySelector("svg.icon use")?.getAttribute("href").replace(/#.*/, "") ?? "";
}

export function iconElement(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `${spriteUrl()}#${name}`);
  svg.append(use);
  return svg;
}

export function toast(text, tone = "good") {
  const home = region();
  if (!home) return;
  const note = document.createElement("div");
  note.className = `toast-note toast-note--${tone}`;
  note.setAttribute("role", tone === "bad" ? "alert" : "status");
  const words = document.createElement("p");
  words.textContent = text;
  const close = document.createElement("button");
  close.type = "button";
  close.className = "btn btn-quiet btn-square btn-small";
  close.dataset.toastClose = "";
  close.setAttribute("aria-label", "Dismiss");
  close.append(iconElement("x"));
  note.append(iconElement(tone === "bad" ? "circle-alert" : "circle-check"), words, close);
  home.append(note);
  while (home.children.length > 4) home.firstElementChild.remove();
  fade(note);
}

// A failure stays until it is dismissed.
function fade(note) {
  if (note.classList.contains("toast-note--bad")) return;
  setTimeout(() => note.matches(":hover, :focus-within") || note.remove(), 6000);
}

document.addEventListener("click", (event) => event.target.closest("[data-toast-close]")?.parentElement.remove());
// The server's own words: HX-Trigger: {"toast": {"text": …, "tone": …}}
document.addEventListener("toast", (event) => toast(event.detail.text, event.detail.tone));
document.addEventListener("htmx:sendError", () =>
  toast("The server does not answer. Nothing was changed; try again once the page is live.", "bad"),
);
document.addEventListener("htmx:responseError", (event) => {
  const { xhr } = event.detail;
  if (xhr.status === 401) location.reload();
  else toast(xhr.getResponseHeader("X-Error") || refusal(xhr.status), "bad");
});

// The session has ended: the log-in page must not land inside a table.
document.addEventListener("htmx:beforeSwap", (event) => {
  if (new URL(event.detail.xhr.responseURL, location.href).pathname === "/login/") {
    event.detail.shouldSwap = false;
    location.reload();
  }
});

function refusal(status) {
  if (status === 403) return "You may not do this, or the page is too old: reload it and try again.";
  if (status === 404) return "This is no longer there: reload the page.";
  return `The server failed (${status}). Its log tells why.`;
}

for (const note of region()?.children ?? []) fade(note);
