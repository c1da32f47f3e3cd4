// Tool bar of the log page: filters, chips, menus, and what is chosen in them.
import { copyAddress, copyLine, copyLines, copyLink } from "./logs-copy.js";
import { LEVELS } from "./logs-filter.js";
import { SIZES, filterParameters, showAddress, storeLook } from "./logs-look.js";

export class Controls {
  #timer = 0;

  constructor(page) {
    this.page = page;
    this.root = page.root;
    this.include = this.part("search");
    this.exclude = this.part("exclude");
    const { filter } = page.look;
    this.include.value = filter.include.text;
    this.exclude.value = filter.exclude.text;
    for (const field of [this.include, this.exclude]) {
      field.addEventListener("input", () => {
        clearTimeout(this.#timer);
        this.#timer = setTimeout(() => this.applyFilter(), 90);
      });
    }
    this.root.addEventListener("click", (event) => this.#clicked(event));
    this.applyLook();
    this.showChoices();
    this.showProblem();
    this.showDownload();
  }

  part(name) {
    return this.root.querySelector(`[data-log-${name}]`);
  }

  all(name) {
    return this.root.querySelectorAll(`[data-log-${name}]`);
  }

  applyLook() {
    const { look } = this.page;
    const { dataset, style } = this.root;
    dataset.wrap = String(look.wrap);
    dataset.zone = look.zone;
    style.setProperty("--log-size", `${look.size}px`);
    style.setProperty("--log-row", `${Math.round(look.size * 1.45)}px`);
  }

  showChoices() {
    const { look } = this.page;
    const { filter } = look;
    const press = (button, isOn) => button.setAttribute("aria-pressed", String(isOn));
    const set = (name, isOn) => this.part(name).setAttribute("aria-checked", String(isOn));
    set("wrap", look.wrap);
    set("pretty", look.isPretty);
    set("grouping", look.isGrouping);
    this.part("size-text").textContent = `${look.size} px`;
    for (const button of this.all("pattern")) press(button, filter[button.dataset.logPattern].isPattern);
    for (const button of this.all("zone")) press(button, button.dataset.logZone === look.zone);
    for (const button of this.all("stream")) press(button, filter.streams[button.dataset.logStream]);
    for (const button of this.all("level")) press(button, filter.levels.has(button.dataset.logLevel));
  }

  applyFilter() {
    const { filter } = this.page.look;
    filter.include.text = this.include.value;
    filter.exclude.text = this.exclude.value;
    this.page.refilter();
    this.showProblem();
    this.showDownload();
    showAddress(this.page.look);
  }

  showProblem() {
    const { filter } = this.page.look;
    const problem = this.part("problem");
    problem.textContent = filter.error;
    problem.hidden = !filter.error;
    this.include.setAttribute("aria-invalid", String(Boolean(filter.include.error)));
    this.exclude.setAttribute("aria-invalid", String(Boolean(filter.exclude.error)));
  }

  showDownload() {
    const { filter } = this.page.look;
    for (const link of this.all("download")) {
      const address = new URL(link.dataset.logDownload, location.href);
      for (const [name, value] of Object.entries(this.page.span)) if (value) address.searchParams.set(name, value);
      if (link.dataset.filtered !== undefined) {
        for (const [name, value] of Object.entries(filterParameters(filter))) address.searchParams.set(name, value);
        address.searchParams.delete("level");
        link.hidden = !filter.isTextual;
      }
      link.href = address.pathname + address.search;
    }
  }

  // A press takes that one out; a press on the only one left brings all back.
  #toggleStream(name) {
    const { streams } = this.page.look.filter;
    const other = name === "out" ? "err" : "out";
    streams[name] = !streams[name];
    if (!streams[name] && !streams[other]) streams[other] = true;
  }

  #toggleLevel(name) {
    const { filter } = this.page.look;
    if (filter.levels.size === LEVELS.length) filter.levels = new Set([name]);
    else if (filter.levels.has(name)) filter.levels.delete(name);
    else filter.levels.add(name);
    if (!filter.levels.size) filter.levels = new Set(LEVELS);
  }

  #clicked(event) {
    const button = event.target.closest("button");
    if (!button) return this.#openLine(event);
    const { dataset } = button;
    if (this.#changeFilter(dataset)) {
      this.showChoices();
      return this.applyFilter();
    }
    if (this.#changeLook(dataset)) return this.#lookChanged();
    return this.#act(button, dataset);
  }

  #changeFilter(dataset) {
    const { filter } = this.page.look;
    if (dataset.logStream) this.#toggleStream(dataset.logStream);
    else if (dataset.logLevel) this.#toggleLevel(dataset.logLevel);
    else if (dataset.logPattern) filter.include.isPattern = filter.exclude.isPattern = !filter.include.isPattern;
    else return false;
    return true;
  }

  #changeLook(dataset) {
    const { look } = this.page;
    if (dataset.logZone) look.zone = dataset.logZone;
    else if ("logWrap" in dataset) look.wrap = !look.wrap;
    else if ("logPretty" in dataset) look.isPretty = !look.isPretty;
    else if ("logGrouping" in dataset) this.page.group(!look.isGrouping);
    else if (dataset.logSize) {
      const at = SIZES.indexOf(look.size) + Number(dataset.logSize);
      look.size = SIZES[Math.max(0, Math.min(SIZES.length - 1, at))];
    } else return false;
    return true;
  }

  #lookChanged() {
    if (this.page.look.zone === "host") this.page.sources.askOffsets();
    storeLook(this.page.look);
    this.applyLook();
    this.showChoices();
    this.page.view.relayout();
  }

  #act(button, dataset) {
    const { page } = this;
    const line = () => page.view.lineOf(button);
    if ("logFollow" in dataset) page.follow(!page.view.isPinned);
    else if ("logEnd" in dataset) page.toEnd();
    else if ("logFull" in dataset) this.#full(button);
    else if ("logClear" in dataset) page.clear();
    else if ("logRetry" in dataset) page.feed.retry();
    else if ("logOlder" in dataset) page.loadOlder();
    else if ("logUnfold" in dataset) page.view.toggle(line(), "isUnfolded");
    else if ("logCopy" in dataset) copyLine(line(), button);
    else if ("logLink" in dataset) copyLink(line(), page, button);
    else if ("logCopyVisible" in dataset) copyLines(page.view.visible(), page.look);
    else if ("logCopyShown" in dataset) copyLines(page.store.shown, page.look);
    else if ("logCopyAddress" in dataset) copyAddress(page.look);
    else if ("logSheet" in dataset) this.#sheet();
    else if (dataset.logFieldColumn) page.columns.toggle(dataset.logFieldColumn);
    else if (dataset.logFieldFilter !== undefined) this.filterFor(dataset.logFieldFilter);
  }

  filterFor(text) {
    const { filter } = this.page.look;
    filter.include.isPattern = filter.exclude.isPattern = false;
    this.include.value = text;
    this.showChoices();
    this.applyFilter();
  }

  #openLine(event) {
    const row = event.target.closest(".log-line");
    if (!row || event.target.closest(".log-detail, .log-group__lines") || String(getSelection())) return;
    const line = this.page.view.lineOf(row);
    if (line) this.page.view.toggle(line);
  }

  #full(button) {
    button.setAttribute("aria-pressed", String(this.root.toggleAttribute("data-full")));
    this.page.view.relayout();
  }

  #sheet() {
    const isOpen = this.root.toggleAttribute("data-sheet");
    this.root.querySelector(".log__sheet-open").setAttribute("aria-expanded", String(isOpen));
    if (isOpen) this.exclude.closest("[data-log-tools]").querySelector("button").focus();
  }
}
