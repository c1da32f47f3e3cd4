// Light, dark, or what the system says; remembered in this browser.
const root = document.documentElement;

function remember(choice) {
  try {
    if (choice === "system") localStorage.removeItem("ssm.theme");
    else localStorage.setItem("ssm.theme", choice);
  } catch {
    // Forbidden storage: the choice holds for this page.
  }
}

function show(choice) {
  if (choice === "system") delete root.dataset.bsTheme;
  else root.dataset.bsTheme = choice;
  for (const button of document.querySelectorAll("[data-theme-choice]")) {
    button.setAttribute("aria-pressed", String(button.dataset.themeChoice === choice));
  }
  document.dispatchEvent(new CustomEvent("ssm:theme"));
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-theme-choice]");
  if (!button) return;
  remember(button.dataset.themeChoice);
  show(button.dataset.themeChoice);
});

show(root.dataset.bsTheme || "system");
