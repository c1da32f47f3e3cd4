// Fields of JSON and logfmt lines as columns: the menu that chooses them, the heads above the lines, their widths.
import { fieldNames } from "./logs-fields.js";
import { storeColumns } from "./logs-look.js";
import { make } from "./logs-row.js";

const LOOKED_AT = 2000;
const MOST = 12;
const WIDEST = 48;
const NARROWEST = 5;

export class Columns {
  // `page`: look, store, name, root, columnsChanged()
  constructor(page) {
    this.page = page;
    this.heads = page.root.querySelector("[data-log-columns]");
    this.list = page.root.querySelector("[data-log-fields-list]");
    this.note = page.root.querySelector("[data-log-fields-note]");
    this.text = page.root.querySelector("[data-log-fields-text]");
    const menu = page.root.querySelector("#log-fields-menu");
    menu.addEventListener("toggle", () => menu.open && this.#fill());
    this.list.addEventListener("change", (event) => this.toggle(event.target.value));
    this.show();
  }

  toggle(name) {
    const { look } = this.page;
    const at = look.columns.indexOf(name);
    if (at >= 0) look.columns.splice(at, 1);
    else if (look.columns.length < MOST) look.columns.push(name);
    storeColumns(look, this.page.name);
    this.show();
    this.page.columnsChanged();
  }

  // Widths come from the lines at hand, so that columns stand still while new ones arrive.
  show() {
    const { look, root, store } = this.page;
    const count = look.columns.length;
    this.heads.hidden = !count;
    this.text.textContent = count ? `Columns ${count}` : "Columns";
    if (!count) return;
    const widths = look.columns.map((name) => name.length + 2);
    for (const line of recent(store)) {
      if (!line.fields) continue;
      look.columns.forEach((name, index) => {
        const length = line.fields.values.get(name)?.length ?? 0;
        if (length > widths[index]) widths[index] = length;
      });
    }
    const sizes = widths.map((width) => `${Math.min(WIDEST, Math.max(NARROWEST, width)) + 1}ch`);
    // The widest takes what is left.
    const widest = widths.indexOf(Math.max(...widths));
    sizes[widest] = `minmax(${sizes[widest]}, 1fr)`;
    root.style.setProperty("--log-cells", sizes.join(" "));
    const cells = make("span", "log-columns__cells");
    cells.append(...look.columns.map((name) => make("span", "log-columns__head", name)));
    this.heads.replaceChildren(cells);
  }

  #fill() {
    const { look, store } = this.page;
    const found = fieldNames(recent(store));
    const known = new Set(found.map((each) => each.name));
    const gone = look.columns.filter((name) => !known.has(name)).map((name) => ({ name, count: 0, example: "" }));
    const rank = ({ name }) => {
      const at = look.columns.indexOf(name);
      return at < 0 ? MOST : at;
    };
    const rows = [...gone, ...found].sort((a, b) => rank(a) - rank(b)).map((each) => this.#row(each));
    this.list.replaceChildren(...rows);
    this.note.textContent = rows.length
      ? `Of the last ${Math.min(LOOKED_AT, store.lines).toLocaleString("en")} lines. Others stay as they are.`
      : "No line here is JSON or logfmt.";
  }

  #row({ name, count, example }) {
    const row = make("label", "log-field");
    const box = document.createElement("input");
    Object.assign(box, { type: "checkbox", className: "form-check-input", value: name });
    box.checked = this.page.look.columns.includes(name);
    const words = make("span", "log-field__text");
    words.append(make("span", "log-field__name", name), make("span", "log-field__example", example));
    row.append(box, words, make("span", "log-field__count", count.toLocaleString("en")));
    return row;
  }
}

const recent = ({ all }) => all.slice(Math.max(0, all.length - LOOKED_AT), all.length);
