// <button data-copy="text"> or data-copy-from="#id": copies, and says so in the button for a moment.
import { announce } from "./toast.js";

// navigator.clipboard exists on HTTPS and localhost only; servers on a plain http:// address need the old way.
async function copyText(text) {
  if (navigator.clipboard && window.isSecureContext) return navigator.clipboard.writeText(text);
  const field = document.createElement("textarea");
  field.value = text;
  field.className = "visually-hidden";
  document.body.append(field);
  field.select();
  const done = document.execCommand("copy");
  field.remove();
  if (!done) throw new Error("the browser refused");
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy], [data-copy-from]");
  if (!button) return;
  event.preventDefault();
  event.stopPropagation();
  const source = button.dataset.copyFrom && document.querySelector(button.dataset.copyFrom);
  try {
    await copyText(source ? (source.value ?? source.textContent) : button.dataset.copy);
    announce("Copied");
  } catch {
    announce("Copying failed: select the text and press Ctrl+C", { bad: true });
    return;
  }
  button.dataset.copied = "";
  const use = button.querySelector("use");
  const before = use?.getAttribute("href");
  use?.setAttribute("href", before.replace(/#.*/, "#check"));
  setTimeout(() => {
    delete button.dataset.copied;
    use?.setAttribute("href", before);
  }, 1400);
});
