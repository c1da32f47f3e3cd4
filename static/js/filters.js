// Filter forms (<form data-filters>): the address stays free of empty fields, keeps the sort order, and the form
// follows the address when a chip is removed.
document.addEventListener("htmx:configRequest", (event) => {
  const form = event.detail.elt.closest?.("form[data-filters]");
  if (!form || event.detail.elt !== form) return;
  const { parameters, triggeringEvent } = event.detail;
  // Leaving the search field is a "change" too, but nothing that was not asked for while typing.
  if (triggeringEvent?.type === "change" && triggeringEvent.target.type === "search") {
    event.preventDefault();
    return;
  }
  for (const name of Object.keys(parameters)) if (parameters[name] === "") delete parameters[name];
  const sort = new URLSearchParams(location.search).get("sort");
  if (sort) parameters.sort = sort;
});

function follow() {
  const query = new URLSearchParams(location.search);
  for (const field of document.querySelectorAll("form[data-filters] [name]")) {
    if (field === document.activeElement) continue;
    field.value = query.get(field.name) ?? "";
  }
}

document.addEventListener("htmx:pushedIntoHistory", follow);
document.addEventListener("htmx:afterSettle", (event) => {
  const line = event.detail.elt.querySelector?.("[data-announce]");
  const live = document.getElementById("announcements");
  if (line && live && live.textContent !== line.textContent) live.textContent = line.textContent;
});
