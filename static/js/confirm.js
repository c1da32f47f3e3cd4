// Asks before harm is done: <button data-confirm="title" data-confirm-text data-confirm-go data-confirm-tone data-confirm-name>.
// The answer goes to the server as `confirmation` ("yes", or the name that was typed); without scripts the server asks itself.
const dialog = document.querySelector("[data-confirm-dialog]");
const part = (name) => dialog.querySelector(`[data-confirm-${name}]`);
const answers = new WeakMap();
let settle = null;

function ask(source) {
  const { confirm, confirmText, confirmGo, confirmTone, confirmName } = source.dataset;
  part("title").textContent = confirm;
  part("text").textContent = confirmText || "";
  part("go").textContent = confirmGo || "Go on";
  part("go").className = `btn ${confirmTone === "danger" ? "btn-danger" : "btn-primary"}`;
  part("typed").hidden = !confirmName;
  part("name").textContent = confirmName || "";
  const field = part("typed").querySelector("input");
  field.value = "";
  part("go").disabled = Boolean(confirmName);
  dialog.returnValue = "";
  dialog.showModal();
  dialog.querySelector('[value="cancel"]').focus();
  return new Promise((resolve) => {
    settle = () => resolve(dialog.returnValue === "confirm" ? field.value || "yes" : null);
  });
}

dialog?.addEventListener("input", (event) => {
  part("go").disabled = event.target.value !== part("name").textContent;
});
// Enter in the field must not press Cancel, the first button of the form.
dialog?.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !event.target.matches("input")) return;
  event.preventDefault();
  if (!part("go").disabled) part("go").click();
});
dialog?.addEventListener("close", () => settle?.());

document.addEventListener("htmx:confirm", async (event) => {
  const source = event.detail.elt;
  if (!dialog || !source.matches("[data-confirm]")) return;
  event.preventDefault();
  const answer = await ask(source);
  if (answer === null) return;
  answers.set(source, answer);
  event.detail.issueRequest(true);
});

document.addEventListener("htmx:configRequest", (event) => {
  const answer = answers.get(event.detail.elt);
  if (!answer) return;
  answers.delete(event.detail.elt);
  event.detail.parameters.confirmation = answer;
});

// Plain forms: the same question, then the answer in a hidden field.
document.addEventListener("submit", async (event) => {
  const button = event.submitter;
  if (!dialog || !button?.matches("[data-confirm]:not([hx-post])") || button.dataset.asked) return;
  event.preventDefault();
  const answer = await ask(button);
  if (answer === null) return;
  const field = document.createElement("input");
  field.type = "hidden";
  field.name = "confirmation";
  field.value = answer;
  button.form.append(field);
  button.dataset.asked = "1";
  button.form.requestSubmit(button);
});
