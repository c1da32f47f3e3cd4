// Menus (<details data-menu>), the drawer of phones, and folding the side bar.
const root = document.documentElement;
const openMenus = () => document.querySelectorAll("details[data-menu][open]");

function closeMenus(except) {
  for (const menu of openMenus()) if (menu !== except) menu.open = false;
}

/** Rows name the <template> that holds their menu's entries, and which acts of it are theirs (data-acts). */
export function fillMenu(menu) {
  const template = menu.dataset.menu && document.getElementById(menu.dataset.menu);
  if (!template || menu.dataset.filled !== undefined) return;
  menu.dataset.filled = "";
  const page = menu.closest("[data-href]").dataset.href;
  const acts = menu.dataset.acts.split(" ");
  const entries = template.content.cloneNode(true);
  for (const button of entries.querySelectorAll("button[name=kind]")) {
    if (!acts.includes(button.value)) {
      button.remove();
      continue;
    }
    button.id = `${menu.id}-${button.value}`;
    button.setAttribute("formaction", `${page}operations/`);
    button.setAttribute("hx-post", `${page}operations/`);
  }
  for (const link of entries.querySelectorAll("a[data-below]")) link.href = page + link.dataset.below;
  for (const button of entries.querySelectorAll("button[data-copy]")) button.dataset.copy = menu.dataset.engineId;
  for (const rule of entries.querySelectorAll("hr")) {
    if (!rule.previousElementSibling || rule.previousElementSibling.matches("hr")) rule.remove();
  }
  const list = menu.querySelector(".menu__list");
  list.replaceChildren(entries);
  window.htmx.process(list);
}

// A menu near the lower edge opens upwards.
document.addEventListener(
  "toggle",
  (event) => {
    const menu = event.target;
    if (!menu.matches?.("details[data-menu]")) return;
    menu.classList.remove("menu--up");
    if (!menu.open) return;
    closeMenus(menu);
    fillMenu(menu);
    const list = menu.querySelector(".menu__list");
    if (list.getBoundingClientRect().bottom > innerHeight - 8) menu.classList.add("menu--up");
  },
  true,
);

document.addEventListener("click", (event) => {
  const inside = event.target.closest("details[data-menu]");
  const chosen = inside && event.target.closest(".menu__item");
  closeMenus(chosen ? null : inside);
});

document.addEventListener("keydown", (event) => {
  const menu = event.target.closest?.("details[data-menu][open]");
  if (event.key === "Escape") {
    const open = menu || openMenus()[0];
    if (open) {
      open.open = false;
      open.querySelector("summary").focus();
    }
    setDrawer(false);
    return;
  }
  if (!menu || !["ArrowDown", "ArrowUp"].includes(event.key)) return;
  event.preventDefault();
  const items = [...menu.querySelectorAll(".menu__item")];
  const step = event.key === "ArrowDown" ? 1 : -1;
  const at = items.indexOf(document.activeElement);
  items.at((at < 0 ? (step > 0 ? 0 : -1) : at + step) % items.length)?.focus();
});

function setDrawer(open) {
  const side = document.querySelector(".side");
  if (!side || side.hasAttribute("data-open") === open) return;
  side.toggleAttribute("data-open", open);
  if (open) side.querySelector("a[aria-current], .side__link").focus();
  else document.querySelector("[data-drawer-open]")?.focus();
}

document.addEventListener("click", (event) => {
  if (event.target.closest("[data-drawer-open]")) {
    event.preventDefault();
    setDrawer(true);
  } else if (event.target.closest("[data-drawer-close]")) {
    event.preventDefault();
    setDrawer(false);
  } else if (event.target.closest("[data-side-fold]")) {
    const folded = root.dataset.side !== "folded";
    if (folded) root.dataset.side = "folded";
    else delete root.dataset.side;
    try {
      localStorage.setItem("ssm.side", folded ? "folded" : "open");
    } catch {
      // Forbidden storage: it holds for this page.
    }
  }
});
