// Ctrl+K: go to a device, container or page. Asks /search/ while somebody types.
import { iconElement } from "./toast.js";

const dialog = document.querySelector("[data-palette]");
const field = dialog?.querySelector("input");
const list = dialog?.querySelector("[role=listbox]");
let asked = 0;
let timer;

const options = () => [...list.querySelectorAll("[role=option]")];

function choose(index) {
  const all = options();
  if (!all.length) return field.removeAttribute("aria-activedescendant");
  const at = (index + all.length) % all.length;
  all.forEach((option, position) => option.setAttribute("aria-selected", String(position === at)));
  all[at].scrollIntoView({ block: "nearest" });
  field.setAttribute("aria-activedescendant", all[at].id);
}

const chosen = () => options().findIndex((option) => option.getAttribute("aria-selected") === "true");

function textElement(tag, text, className) {
  const element = document.createElement(tag);
  element.textContent = text;
  if (className) element.className = className;
  return element;
}

function show(groups) {
  const items = [];
  for (const { title, items: found } of groups) {
    if (!found.length) continue;
    const head = textElement("li", title, "palette__group");
    head.setAttribute("role", "presentation");
    items.push(head);
    for (const item of found) {
      const option = document.createElement("li");
      option.className = "palette__item";
      option.id = `palette-${items.length}`;
      option.setAttribute("role", "option");
      option.dataset.url = item.url;
      option.append(iconElement(item.icon), textElement("span", item.title), textElement("small", item.detail));
      items.push(option);
    }
  }
  if (!items.length) items.push(textElement("li", "Nothing found.", "palette__group"));
  list.replaceChildren(...items);
  choose(0);
}

async function search() {
  const turn = ++asked;
  try {
    const answer = await fetch(`/search/?q=${encodeURIComponent(field.value.trim())}`, {
      headers: { Accept: "application/json" },
    });
    if (!answer.ok) throw new Error(String(answer.status));
    const { groups } = await answer.json();
    if (turn === asked) show(groups);
  } catch {
    if (turn === asked) list.replaceChildren(textElement("li", "The server does not answer.", "palette__group"));
  }
}

function open() {
  if (dialog.open) return;
  field.value = "";
  list.replaceChildren();
  dialog.showModal();
  field.focus();
  search();
}

function go(option, { aside }) {
  const url = option?.dataset.url;
  if (!url || !url.startsWith("/")) return;
  if (aside) window.open(url, "_blank", "noopener");
  else location.assign(url);
  dialog.close();
}

if (dialog && document.querySelector("[data-palette-open]")) {
  document.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
      event.preventDefault();
      open();
    }
  });
  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-palette-open]")) open();
  });
  field.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(search, 120);
  });
  field.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown") choose(chosen() + 1);
    else if (event.key === "ArrowUp") choose(chosen() - 1);
    else if (event.key === "Enter") go(options()[chosen()], { aside: event.ctrlKey || event.metaKey });
    else return;
    event.preventDefault();
  });
  list.addEventListener("click", (event) => go(event.target.closest("[role=option]"), { aside: event.ctrlKey || event.metaKey }));
  list.addEventListener("pointermove", (event) => {
    const option = event.target.closest("[role=option]");
    if (option) choose(options().indexOf(option));
  });
}
