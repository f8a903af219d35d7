// Language: a text goes on from its beginning, token by token, while it is written.

import { chips, field, make, makeCard } from "../elements.js";
import { stream } from "../service.js";

export function languageCard(model, title, lead) {
  const card = makeCard(model.name, title, lead);
  const limits = model.options;
  const beginning = make("textarea", { rows: 2, value: model.examples[0] ?? "" });
  const temperature = make("input", { type: "range", min: 0, max: 1.6, step: 0.05, value: limits.temperature?.default ?? 0.8 });
  const warmth = make("output");
  const sayWarmth = () => (warmth.textContent = Number(temperature.value).toFixed(2));
  temperature.addEventListener("input", sayWarmth);
  sayWarmth();
  const length = make("input", { type: "number", min: 1, max: limits.length?.maximum, value: limits.length?.default ?? 200, inputmode: "numeric" });
  const seed = make("input", { type: "number", min: 0, value: limits.seed?.default ?? 0, inputmode: "numeric" });
  const primer = make("span", { class: "primer" });
  const written = document.createTextNode("");
  const text = make("p", { class: "text written", tabindex: "0", "aria-label": "Text", hidden: true }, primer, written);
  const said = make("p", { class: "status", role: "status" });
  let running = null;

  const write = () => {
    stop();
    card.fail(null);
    said.textContent = "Writing …";
    primer.textContent = written.data = "";
    text.hidden = true;
    card.root.setAttribute("aria-busy", "true");
    const own = (running = {});
    const options = { temperature: Number(temperature.value) };
    // an empty field is the model's default; anything else is the service's to judge
    for (const [name, input] of [["length", length], ["seed", seed]]) if (input.value !== "") options[name] = Number(input.value);
    own.socket = stream(model, options, {
      record(found) {
        if (own !== running) return;
        text.hidden = false;
        if (found.type === "primer") primer.textContent = found.text;
        if (found.type !== "token") return;
          const atEnd = text.scrollTop + text.clientHeight > text.scrollHeight - 4;
        written.appendData(found.text);
        if (atEnd) text.scrollTop = text.scrollHeight;
      },
      ended(problem) {
        if (own !== running) return;
        over(problem ? "" : `${lengthOf()} characters.`);
        card.fail(problem);
      },
    });
    if (beginning.value) own.socket.send(new TextEncoder().encode(beginning.value));
    own.socket.end();
    button.textContent = "Stop";
    button.classList.add("on");
  };
  const lengthOf = () => [...written.data].length;
  const over = (words) => {
    running = null;
    said.textContent = words;
    card.root.removeAttribute("aria-busy");
    button.textContent = "Write";
    button.classList.remove("on");
  };
  const stop = () => {
    if (!running) return;
    running.socket.close();
    over(`Stopped after ${lengthOf()} characters.`);
  };
  const button = make("button", { class: "main", type: "button", onclick: () => (running ? stop() : write()) }, "Write");
  const another = make("button", { type: "button", onclick: () => {
    seed.value = Math.floor(Math.random() * 1_000_000);
    write();
  } }, "Another");
  const use = (value) => {
    beginning.value = value;
    write();
  };
  const warm = field("Temperature", temperature);
  warm.firstChild.append(" ", warmth);
  warmth.setAttribute("for", temperature.id);
  card.body.append(
    field("Beginning", beginning),
    chips("Examples", model.examples.map((value) => ({ name: value.trim(), value })), use) ?? "",
    make("div", { class: "row fields" }, warm, field("Length in tokens", length), field("Seed", seed)),
    make("div", { class: "row" }, button, another),
    text,
    said,
  );
  return card;
}
