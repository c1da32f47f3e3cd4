// The dialog that the server fills: a form that asks back (HX-Retarget: #remote-dialog). It opens when something is put
// into it, and closes on Cancel, Escape, or when the server says so (HX-Trigger: dialog-close).
const dialog = document.querySelector("[data-remote-dialog]");
let opener = null;

document.addEventListener("htmx:beforeRequest", (event) => {
  if (!dialog?.contains(event.detail.elt)) opener = event.detail.elt;
});

document.addEventListener("htmx:afterSwap", (event) => {
  if (event.detail.target !== dialog) return;
  if (!dialog.open) dialog.showModal();
  (dialog.querySelector("[aria-invalid]") ?? dialog.querySelector("[autofocus]"))?.focus();
});

document.addEventListener("dialog-close", () => dialog?.close());
document.addEventListener("click", (event) => {
  if (!event.target.closest("[data-dialog-close]") || !dialog?.open) return;
  event.preventDefault();
  dialog.close();
});

dialog?.addEventListener("close", () => {
  dialog.replaceChildren();
  if (opener?.isConnected) opener.focus({ preventScroll: true });
  opener = null;
});
