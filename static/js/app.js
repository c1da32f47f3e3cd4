// What every page runs. Each module attaches itself by data-* attributes and delegation.
import "./theme.js";
import "./menus.js";
import "./times.js";
import "./copy.js";
import "./toast.js";
import "./dialog.js";
import "./selection.js";
import "./filters.js";
import "./hosts.js";
import "./keyboard.js";
import "./palette.js";
import "./reveal.js";
import "./live.js";
