// <button data-reveal="#table">: shows and hides masked values.
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-reveal]");
  if (!button) return;
  const shown = document.querySelector(button.dataset.reveal).classList.toggle("masked--shown");
  button.setAttribute("aria-pressed", String(shown));
  button.querySelector("span").textContent = shown ? "Hide values" : "Show values";
});
