// Choose many hosts at once: all that are connected, those of a group, none (<fieldset data-host-choice>).
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-choose]");
  if (!button) return;
  const wanted = button.dataset.choose;
  for (const box of button.closest("[data-host-choice]").querySelectorAll("input[type=checkbox]")) {
    const groups = box.dataset.groups ? box.dataset.groups.split(",") : [];
    if (wanted === "") box.checked = false;
    else if (wanted === "*") box.checked = "online" in box.dataset;
    else if (groups.includes(wanted)) box.checked = true;
  }
});
