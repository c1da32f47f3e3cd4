// The connection test: posts the form (or a stored device's id) and shows each step as its line of JSON arrives.
import { toast } from "./toast.js";

// Looked up each time: a live page replaces its parts.
const root = () => document.querySelector("[data-connection-test]");
const part = (name) => root().querySelector(`[${name}]`);
const form = () => (root().dataset.form ? document.querySelector(root().dataset.form) : null);
let running = null;

function body() {
  const data = form() ? new FormData(form()) : new FormData();
  if (root().dataset.device) data.set("device", root().dataset.device);
  if (root().dataset.registry) data.set("registry", root().dataset.registry);
  if (!form()) data.set("csrfmiddlewaretoken", part("data-accept-form").elements.csrfmiddlewaretoken.value);
  return data;
}

function note(text) {
  const place = form()?.querySelector("[data-test-note]");
  if (place) place.textContent = text;
}

/** The server's own escaped templates; nothing else is ever put in as HTML. */
function fragment(html) {
  const holder = document.createElement("template");
  holder.innerHTML = html;
  return holder.content;
}

function reset() {
  part("data-steps").hidden = false;
  for (const step of root().querySelectorAll("[data-step]")) {
    step.className = "test-step test-step--skipped";
    step.querySelector(".test-step__time").textContent = "";
    for (const old of step.querySelectorAll(".test-step__text > :not(.test-step__title)")) old.remove();
    step.querySelector(".test-step__sign use")?.setAttribute("href", spriteIcon(step, "circle"));
    step.querySelector(".test-step__sign .icon")?.classList.remove("icon--turning");
  }
  part("data-verdict").replaceChildren();
}

function spriteIcon(step, name) {
  return step.querySelector("use").getAttribute("href").replace(/#.*/, `#${name}`);
}

function apply(message) {
  if (message.steps) {
    // Which steps there are depends on the way to the device, which may have been changed in the form.
    part("data-steps").replaceChildren(fragment(message.steps));
    return;
  }
  if (message.done) {
    part("data-verdict").replaceChildren(fragment(message.html));
    note(message.ok ? "Tested: it works." : "Tested: it does not work yet.");
    return;
  }
  document.getElementById(`step-${message.key}`)?.replaceWith(fragment(message.html));
}

async function* lines(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    rest += value;
    const whole = rest.split("\n");
    rest = whole.pop();
    yield* whole;
  }
}

function busy(on) {
  const button = part("data-test-start");
  button.toggleAttribute("aria-disabled", on);
  if (on) button.setAttribute("aria-disabled", "true");
  const words = button.querySelector("span");
  if (words) words.textContent = on ? "Testing…" : "Test again";
}

async function start() {
  running?.abort();
  const mine = (running = new AbortController());
  root().dataset.hold = "";
  reset();
  busy(true);
  note("Testing…");
  try {
    const answer = await fetch(root().dataset.connectionTest, { method: "POST", body: body(), signal: mine.signal });
    if (answer.status === 422) {
      part("data-verdict").replaceChildren(fragment(await answer.text()));
      note("Not tested yet.");
    } else if (answer.ok && answer.headers.get("Content-Type").startsWith("application/x-ndjson")) {
      for await (const line of lines(answer.body)) if (line) apply(JSON.parse(line));
    } else {
      throw new Error(String(answer.status));
    }
  } catch (error) {
    if (error.name === "AbortError") return;
    toast("The test was cut off: the server does not answer. Try again.", "bad");
    note("Not tested yet.");
  }
  if (running === mine) busy(false);
}

function accept(button) {
  const target = form() ?? part("data-accept-form");
  const { hop, keyType, keyBase64 } = button.dataset;
  if (form() && hop) {
    // One line for each jump host whose key was accepted: its place on the way, and the key.
    const field = target.elements.hop_keys;
    const others = field.value.split("\n").filter((line) => line && !line.startsWith(`${hop} `));
    field.value = [...others, `${hop} ${keyType} ${keyBase64}`].join("\n");
    start();
    return;
  }
  if (target.elements.hop) target.elements.hop.value = hop ?? "";
  target.elements.host_key_type.value = button.dataset.keyType;
  target.elements.host_key_base64.value = button.dataset.keyBase64;
  if (form()) start();
  else target.requestSubmit();
}

document.addEventListener("click", (event) => {
  if (!event.target.closest("[data-connection-test]")) return;
  const startButton = event.target.closest("[data-test-start]");
  const acceptButton = event.target.closest("[data-accept-key]");
  if (startButton && startButton.getAttribute("aria-disabled") !== "true") start();
  if (acceptButton) accept(acceptButton);
});

document.addEventListener("input", (event) => {
  if (!root() || !form() || event.target.closest("form") !== form()) return;
  if (form().elements.host_key_type && ["address", "port"].includes(event.target.name)) {
    // Another host shows another key.
    form().elements.host_key_type.value = "";
    form().elements.host_key_base64.value = "";
  }
  if (form().elements.hop_keys && event.target.name.startsWith("jumps-")) form().elements.hop_keys.value = "";
  if (root().querySelector(".test-step--ok, .test-step--failed")) note("Changed since the last test.");
});

document.addEventListener("htmx:afterSettle", () => document.querySelector("[data-focus-me]")?.focus());
