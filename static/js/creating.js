// Rows of the form that makes containers: added and removed at once, where without scripts the server does it.
const BLANK = /\b9999\b/g;

function nextPlace(list) {
  const places = [...list.querySelectorAll("[data-row-drop]")].map((button) => Number(button.value.split(":")[1]));
  return Math.max(-1, ...places) + 1;
}

function addRow(form, kind) {
  const list = form.querySelector(`[data-rows="${kind}"]`);
  const template = form.querySelector(`[data-row-template="${kind}"]`);
  if (!list || !template) {
    return false;
  }
  const place = String(nextPlace(list));
  const row = template.content.firstElementChild.cloneNode(true);
  for (const element of row.querySelectorAll("[id], [for], [value]")) {
    for (const name of ["id", "for", "value"]) {
      if (element.hasAttribute(name)) {
        element.setAttribute(name, element.getAttribute(name).replace(BLANK, place));
      }
    }
  }
  list.append(row);
  list.parentElement.querySelector("[data-rows-none]")?.setAttribute("hidden", "");
  (row.querySelector("[autofocus]") ?? row.querySelector("input, select"))?.focus();
  return true;
}

function dropRow(button) {
  const row = button.closest(".rows");
  const list = row.parentElement;
  const neighbour = row.nextElementSibling ?? row.previousElementSibling;
  const kind = list.dataset.rows;
  row.remove();
  if (list.childElementCount === 0) {
    list.parentElement.querySelector("[data-rows-none]")?.removeAttribute("hidden");
  }
  (neighbour?.querySelector("[data-row-drop]") ?? document.querySelector(`[data-row-add="${kind}"]`))?.focus();
}

// Before the form is sent: a press on these buttons never leaves the page.
document.addEventListener("click", (event) => {
  const button = event.target instanceof Element ? event.target.closest("[data-row-add], [data-row-drop]") : null;
  if (!button) {
    return;
  }
  if (button.hasAttribute("data-row-drop")) {
    event.preventDefault();
    dropRow(button);
  } else if (addRow(button.form, button.dataset.rowAdd)) {
    event.preventDefault();
  }
});
