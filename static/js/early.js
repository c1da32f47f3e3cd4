// Runs before the first paint: the chosen theme and whether the side bar is folded. Blocking on purpose, and tiny.
(() => {
  const root = document.documentElement;
  root.dataset.js = "";
  try {
    const theme = localStorage.getItem("ssm.theme");
    if (theme === "light" || theme === "dark") root.dataset.bsTheme = theme;
    if (localStorage.getItem("ssm.side") === "folded") root.dataset.side = "folded";
  } catch {
    // Storage may be forbidden; the system's theme holds then.
  }
})();
