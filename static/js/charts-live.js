// The socket of live figures: open while somebody looks, back with back-off after a cut, quiet while the tab is hidden.
const REFUSED = {
  4401: "logged out",
  4403: "not allowed",
  4404: "no longer known",
  4429: "too many live charts",
  1009: "refused by the server",
};
const LONGEST_WAIT_MS = 15_000;
const HIDDEN_FOR_MS = 20_000;

export class LiveFigures {
  #socket = null;
  #attempts = 0;
  #timer = 0;
  #isWanted = false;
  #refused = "";

  // `handlers`: samples([{time, gap, figures}]), state({state, message, fix}), closed(text, isFinal), opened().
  constructor(url, handlers) {
    this.url = url;
    this.handlers = handlers;
    let hiding = 0;
    document.addEventListener("visibilitychange", () => {
      clearTimeout(hiding);
      if (document.hidden) hiding = setTimeout(() => this.#disconnect(), HIDDEN_FOR_MS);
      else if (this.#isWanted && !this.#socket) this.#connect();
    });
    addEventListener("online", () => this.#isWanted && !this.#socket && this.#connect());
  }

  start() {
    if (this.#isWanted || this.#refused) return;
    this.#isWanted = true;
    if (!document.hidden) this.#connect();
  }

  stop() {
    this.#isWanted = false;
    this.#disconnect();
  }

  #connect() {
    clearTimeout(this.#timer);
    const address = new URL(this.url, location.href);
    address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(address);
    this.#socket = socket;
    socket.addEventListener("message", (event) => socket === this.#socket && this.#take(socket, event.data));
    socket.addEventListener("close", (event) => socket === this.#socket && this.#closed(event.code));
  }

  #disconnect() {
    clearTimeout(this.#timer);
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
  }

  #take(socket, data) {
    const message = JSON.parse(data);
    // What is not acknowledged is waited for: a slow page gets the newest figures, not all of them late.
    if (socket.readyState === WebSocket.OPEN) socket.send('{"type":"ack"}');
    this.#attempts = 0;
    if (message.type === "samples") this.handlers.samples(message.samples);
    else if (message.type === "state") this.handlers.state(message);
  }

  #closed(code) {
    this.#socket = null;
    this.#refused = REFUSED[code] ?? "";
    if (this.#refused) {
      this.#isWanted = false;
      this.handlers.closed(this.#refused, true);
      return;
    }
    this.handlers.closed("reconnecting", false);
    this.#attempts += 1;
    const wait = Math.min(LONGEST_WAIT_MS, 300 * 2 ** this.#attempts) * (0.5 + Math.random() / 2);
    this.#timer = setTimeout(() => this.#isWanted && !document.hidden && this.#connect(), wait);
  }
}
