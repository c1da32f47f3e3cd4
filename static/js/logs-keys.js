// Keys of the log page. They come before those of all pages; never while somebody types.
import { copyLine, copyLink } from "./logs-copy.js";
import { announce } from "./toast.js";

function nextError({ store, look, view }, step) {
  const list = store.shown;
  const start = look.current?.isShown ? look.current : view.visible()[0];
  const from = list.indexOfKey(start?.key ?? 0) - (look.current?.isShown ? 0 : step);
  for (let at = from + step; at >= 0 && at < list.length; at += step) {
    const line = list.at(at);
    if (line.level !== "error") continue;
    look.current = line;
    view.redraw();
    return view.reveal(line);
  }
  return announce("No further error in the lines held.");
}

export function attachKeys(root, page) {
  const part = (name) => root.querySelector(`[data-log-${name}]`);
  const fields = [part("search"), part("exclude")];
  const help = root.querySelector("[data-log-keys]");
  const current = (act) => page.look.current?.isShown && act(page.look.current);
  const press = (name) => part(name).click();

  const acts = {
    j: () => page.view.moveCurrent(1),
    k: () => page.view.moveCurrent(-1),
    ArrowDown: () => page.view.moveCurrent(1),
    ArrowUp: () => page.view.moveCurrent(-1),
    End: () => page.toEnd(),
    G: () => page.toEnd(),
    Home: () => page.view.scrollTo("start"),
    g: () => page.view.scrollTo("start"),
    f: () => page.follow(!page.view.isPinned),
    w: () => press("wrap"),
    p: () => press("pretty"),
    s: () => press("grouping"),
    m: () => press("full"),
    n: () => nextError(page, 1),
    N: () => nextError(page, -1),
    c: () => current((line) => copyLine(line)),
    l: () => current((line) => copyLink(line, page)),
    "+": () => root.querySelector("[data-log-size='1']").click(),
    "-": () => root.querySelector("[data-log-size='-1']").click(),
    "?": () => help.showModal(),
    PageUp: () => page.scroller.scrollBy(0, 36 - page.scroller.clientHeight),
    PageDown: () => page.scroller.scrollBy(0, page.scroller.clientHeight - 36),
  };

  function inField(event) {
    if (event.key !== "Escape") return;
    if (event.target.value) {
      event.target.value = "";
      page.controls.applyFilter();
    } else {
      page.scroller.focus();
    }
    event.preventDefault();
  }

  function typed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (fields.includes(event.target)) return inField(event);
    if (event.target.closest?.("input, textarea, select, dialog, [contenteditable], details[open], [data-own-keys]")) return;
    const isButton = event.target.closest?.("button, a, summary");
    if (event.key === "Escape" && root.hasAttribute("data-full")) press("full");
    else if (event.key === " " && !isButton) page.follow(!page.view.isPinned);
    else if (event.key === "Enter" && !isButton) current((line) => page.view.toggle(line));
    else if (acts[event.key]) acts[event.key]();
    else return;
    event.preventDefault();
    // "g" may still begin a way to another page.
    if (event.key !== "g") event.stopImmediatePropagation();
  }

  document.addEventListener("keydown", typed, { capture: true });
  root.addEventListener("click", (event) => event.target.closest("[data-log-help]") && help.showModal());
}
