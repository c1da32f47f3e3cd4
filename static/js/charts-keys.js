// Charts by keyboard: left and right move the cursor of all charts, plus and minus zoom around it, Escape goes back.

/** One key on the plot of a chart of the page. */
export function pressKey(event, chart, page) {
  const { plot } = chart;
  const { times } = page.data;
  const [from, to] = page.range;
  const first = times.findIndex((time) => time >= from);
  const last = times.findLastIndex((time) => time <= to);
  if (first < 0 || last < first || event.ctrlKey || event.metaKey || event.altKey) return;
  const at = plot.cursor.left >= 0 ? plot.cursor.idx : null;
  const step = event.shiftKey ? 10 : 1;
  const places = {
    ArrowLeft: () => (at === null ? last : at - step),
    ArrowRight: () => (at === null ? first : at + step),
    Home: () => first,
    End: () => last,
  };
  if (places[event.key]) {
    event.preventDefault();
    const place = Math.min(Math.max(places[event.key](), first), last);
    // Synchronised charts follow this one.
    plot.setCursor({ left: plot.valToPos(times[place], "x"), top: 10 }, true, true);
    document.getElementById("announcements").textContent = chart.wordsAt(place);
  } else if (event.key === "+" || event.key === "=" || event.key === "-") {
    event.preventDefault();
    const middle = at === null ? (from + to) / 2 : times[at];
    const half = ((to - from) / 2) * (event.key === "-" ? 2 : 0.5);
    page.zoomTo(middle - half, middle + half);
  } else if (event.key === "Escape") {
    if (page.zoom) page.reset();
    else plot.setCursor({ left: -10, top: -10 }, true, true);
  }
}
