// The log's socket: opens, acknowledges what was taken in, reconnects with back-off, goes on where it stopped.
import { parseMessage } from "./logs-lines.js";

const REFUSED = {
  4400: "This choice of containers is not valid.",
  4401: "You are logged out.",
  4403: "You may not see this log.",
  4404: "What was to be shown is no longer known.",
  4429: "This server shows as many logs as it may at once.",
  1009: "The server refused what this page sent.",
};
const LONGEST_WAIT_MS = 15_000;

export class LogSocket {
  #socket = null;
  #attempts = 0;
  #taken = 0;
  #acknowledged = 0;
  #every = 1;
  #timer = 0;
  #isStopped = false;

  // `opening()` gives the fields of the first command; `handlers`: message(message), lines(head, lines), closed(text, isFinal).
  constructor(url, opening, handlers) {
    this.url = url;
    this.opening = opening;
    this.handlers = handlers;
    this.online = () => this.#soon(0);
    addEventListener("online", this.online);
    this.connect();
  }

  connect() {
    clearTimeout(this.#timer);
    const address = new URL(this.url, location.href);
    address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(address);
    socket.binaryType = "arraybuffer";
    this.#socket = socket;
    this.#taken = this.#acknowledged = 0;
    socket.addEventListener("open", () => this.send({ type: "open", ...this.opening() }));
    socket.addEventListener("message", (event) => socket === this.#socket && this.#take(event.data));
    socket.addEventListener("close", (event) => socket === this.#socket && this.#closed(event.code));
  }

  send(command) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(command));
  }

  stop() {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    removeEventListener("online", this.online);
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
  }

  #take(data) {
    if (typeof data === "string") {
      const message = JSON.parse(data);
      if (message.type === "opened") {
        this.#attempts = 0;
        this.#every = message.acknowledge_bytes;
      }
      this.handlers.message(message);
      return;
    }
    const { head, lines } = parseMessage(data);
    this.handlers.lines(head, lines);
    if (head.type === "older") return;
    this.#taken += data.byteLength;
    if (this.#taken - this.#acknowledged >= this.#every) {
      this.#acknowledged = this.#taken;
      this.send({ type: "ack", bytes: this.#taken });
    }
  }

  #closed(code) {
    this.#socket = null;
    if (REFUSED[code]) {
      this.handlers.closed(REFUSED[code], true);
      return;
    }
    this.handlers.closed("Reconnecting to the server…", false);
    this.#attempts += 1;
    this.#soon(Math.min(LONGEST_WAIT_MS, 300 * 2 ** this.#attempts) * (0.5 + Math.random() / 2));
  }

  #soon(delay) {
    if (this.#socket || this.#isStopped) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.connect(), delay);
  }
}
