// Translation: alternatives, and attention as lines between the words.

import { chips, draw, field, make, makeCard, pausing } from "../elements.js";
import { predict } from "../service.js";

const ALTERNATIVES = 4;
const OWN = ["Je ne sais pas où il habite.", "Elle est plus grande que son frère."];
// attention weights that are too small to be drawn
const FAINT = 0.04;

export function translationCard(model, title, lead) {
  const card = makeCard(model.name, title, lead);
  const examples = [...model.examples, ...OWN];
  const text = make("textarea", { rows: 2, value: examples[0] });
  const ask = async () => {
    const said = text.value.trim().replace(/\s+/g, " ");
    if (!said) {
      card.fail(null);
      card.result.replaceChildren();
      return;
    }
    const options = { n_best: ALTERNATIVES, show: "attention" };
    const found = await card.run("Translating …", (signal) => predict(model, [said], options, signal));
    if (found) show(card, found[0]);
  };
  text.addEventListener("input", pausing(ask, 600));
  const use = (value) => {
    text.value = value;
    ask();
  };
  card.body.append(
    field("Sentence", text),
    chips("Examples", examples.map((name) => ({ name, value: name })), use),
    make("div", { class: "row" }, make("button", { class: "main", type: "button", onclick: ask }, "Translate")),
  );
  return card;
}

function show(card, { translation, n_best: best, attention, note }) {
  const others = best.slice(1);
  card.result.replaceChildren(make("p", { class: "big translated", text: translation }));
  if (note) card.result.append(make("p", { class: "status", text: note }));
  if (others.length) {
    card.result.append(make("div", {}, make("h3", { text: "Alternatives, with their log probability per word" }),
      make("table", {}, make("tbody", {}, ...others.map(({ text, score }) =>
        make("tr", {}, make("td", { text }),
          make("td", { class: "number", text: score.toFixed(2).replace("-", "−") })))))));
  }
  if (attention?.source?.length) {
    const figure = diagram(attention);
    card.result.append(make("div", {}, make("h3", { text: "Attention: point at a word, or move to it with Tab" }), figure.root));
    figure.place();
  }
}

function diagram({ source, target, weights }) {
  const last = (words, k) => k === words.length - 1;
  const from = source.map((word, k) => make("span", { class: last(source, k) ? "token end" : "token", text: word }));
  const to = target.map((word, k) =>
    make("button", { class: last(target, k) ? "token end" : "token", type: "button", "aria-pressed": "false" }, word));
  const svg = draw("svg", { "aria-hidden": "true" });
  const rows = make("div", { class: "attention" }, svg,
    make("div", { class: "tokens" }, ...from), make("div", { class: "tokens" }, ...to));
  const root = make("div", { class: "panel" }, rows);
  const lines = [];
  let chosen = -1;

  const paint = () => {
    for (const { line, row, weight } of lines) {
      const shown = chosen < 0 || row === chosen;
      line.setAttribute("stroke-opacity", shown ? Math.min(1, weight + 0.12) : 0.04);
    }
    to.forEach((token, k) => token.setAttribute("aria-pressed", String(k === chosen)));
    from.forEach((token, k) => {
      const part = chosen < 0 ? 0 : weights[chosen][k];
      token.style.background = part > FAINT ? `color-mix(in srgb, var(--s0) ${Math.round(45 * part)}%, var(--surface))` : "";
    });
  };
  const place = () => {
    rows.classList.remove("upright");
    const needed = Math.max(...[from, to].map((tokens) =>
      tokens.reduce((sum, token) => sum + token.offsetWidth + 5, 0)));
    rows.classList.toggle("upright", needed > rows.clientWidth);
    const upright = rows.classList.contains("upright");
    const frame = rows.getBoundingClientRect();
    const spot = (token, first) => {
      const box = token.getBoundingClientRect();
      if (upright) return [(first ? box.right : box.left) - frame.left, box.top + box.height / 2 - frame.top];
      return [box.left + box.width / 2 - frame.left, (first ? box.bottom : box.top) - frame.top];
    };
    svg.replaceChildren();
    lines.length = 0;
    weights.forEach((parts, row) => parts.forEach((weight, k) => {
      if (weight < FAINT) return;
      const [x1, y1] = spot(from[k], true);
      const [x2, y2] = spot(to[row], false);
      const line = draw("line", { x1, y1, x2, y2, "stroke-width": 0.8 + 3.4 * weight });
      svg.append(line);
      lines.push({ line, row, weight });
    }));
    paint();
  };
  to.forEach((token, k) => {
    const name = target[k];
    const read = weights[k].map((weight, j) => [weight, source[j]]).filter(([weight]) => weight >= 0.1)
      .sort((a, b) => b[0] - a[0]).map(([weight, word]) => `${word} ${Math.round(100 * weight)} %`);
    token.setAttribute("aria-label", `${name}: ${read.join(", ")}`);
    const choose = () => {
      chosen = k;
      paint();
    };
    const leave = () => {
      chosen = -1;
      paint();
    };
    token.addEventListener("mouseenter", choose);
    token.addEventListener("focus", choose);
    token.addEventListener("click", choose);
    token.addEventListener("mouseleave", leave);
    token.addEventListener("blur", leave);
  });
  new ResizeObserver(place).observe(root);
  return { root, place };
}
