// Sentiment: the rating moves with each word; words are coloured by what they contribute.

import { bars, chips, draw, field, legend, make, makeCard, pausing, percent, whenSeen } from "../elements.js";
import { predict } from "../service.js";

// words whose influence is measured: each takes two inputs of a request
const MOST_WORDS = 100;
const OWN = ["A warm and funny film, but the end is dull.", "Not bad at all. I laughed, and I would see it again."];

const logit = (p) => Math.log(Math.min(Math.max(p, 1e-6), 1 - 1e-6) / (1 - Math.min(Math.max(p, 1e-6), 1 - 1e-6)));

export function sentimentCard(model, title, lead) {
  const card = makeCard(model.name, title, lead);
  const text = make("textarea", { rows: 3, value: OWN[0], spellcheck: "true" });
  const ask = async () => {
    const said = text.value;
    if (!said.trim()) {
      card.fail(null);
      card.result.replaceChildren();
      return;
    }
    const found = await card.run("", (signal) => rated(model, said, signal));
    if (found) show(card, found);
  };
  text.addEventListener("input", pausing(ask));
  const use = (value) => {
    text.value = value;
    ask();
  };
  card.body.append(
    field("Text", text),
    chips("Examples", [...OWN, ...model.examples].map((name) => ({ name, value: name })), use),
  );
  whenSeen(card.root, ask);
  return card;
}

async function rated(model, said, signal) {
  const pieces = said.match(/\s+|\S+/g) ?? [];
  const places = pieces.map((piece, k) => (piece.trim() ? k : -1)).filter((k) => k >= 0).slice(-MOST_WORDS);
  const without = places.map((place) => pieces.filter((_, k) => k !== place).join("").trim());
  const after = places.map((place) => pieces.slice(0, place + 1).join(""));
  const inputs = [said, ...without.filter(Boolean), ...after];
  const answers = await predict(model, inputs, {}, signal);
  const [whole, ...rest] = answers;
  const labels = Object.keys(whole.probabilities);
  // of two labels the second, such as positive; of more, the one that was given
  const label = labels.length === 2 ? labels[1] : whole.label;
  const others = without.map((each) => (each ? rest.shift().probabilities[label] : 0.5));
  const influence = new Map(
    places.map((place, k) => [place, logit(whole.probabilities[label]) - logit(others[k])]));
  const words = places.map((place, k) => ({ word: pieces[place], p: rest[k].probabilities[label] }));
  const left = pieces.filter((piece) => piece.trim()).length - places.length;
  return { whole, label, labels, pieces, influence, words, left };
}

function show(card, { whole, label, labels, pieces, influence, words, left }) {
  const cut = left ? `Only the last ${MOST_WORDS} words are examined one by one.` : "";
  card.say([whole.note, cut].filter(Boolean).join(" "));
  const largest = Math.max(0.5, ...[...influence.values()].map(Math.abs));
  const against = labels.length === 2 ? labels[0] : `not ${label}`;
  const shown = make("p", { class: "text" });
  pieces.forEach((piece, k) => {
    if (!influence.has(k)) {
      shown.append(piece);
      return;
    }
    const force = influence.get(k);
    const strength = Math.round(100 * Math.min(1, Math.abs(force) / largest));
    const tint = force > 0 ? "var(--s2)" : "var(--s1)";
    shown.append(make("span", {
      class: "word",
      title: `without it: ${force > 0 ? "less" : "more"} ${label} (log odds ${force > 0 ? "+" : "−"}${Math.abs(force).toFixed(2)})`,
      style: {
        background: `color-mix(in srgb, ${tint} ${Math.round(strength * 0.42)}%, transparent)`,
        boxShadow: strength > 25 ? `inset 0 -2px 0 ${tint}` : "none",
      },
    }, piece));
  });
  card.result.replaceChildren(
    bars(whole.probabilities),
    make("div", {}, make("h3", { text: "What each word contributes" }), shown,
      legend([["var(--s2)", `towards ${label}`], ["var(--s1)", `towards ${against}`]])),
    make("div", {}, make("h3", { text: `Probability of ${label} after each word` }), course(words, label)),
  );
}

// The rating after each word, as columns.
function course(words, label) {
  const wide = 600, high = 74;
  const step = Math.min(46, wide / words.length);
  const svg = draw("svg", {
    viewBox: `0 0 ${wide} ${high}`, width: "100%", height: high, preserveAspectRatio: "none", role: "img",
    "aria-label": `${label} ${words.map(({ word, p }) => `${percent(p)} after “${word}”`).join(", ")}`,
  });
  svg.append(draw("line", { x1: 0, x2: wide, y1: high / 2, y2: high / 2, stroke: "var(--line-strong)", "stroke-dasharray": "3 4" }));
  words.forEach(({ word, p }, k) => {
    const top = (high - 4) * (1 - p) + 2;
    const from = Math.min(top, high / 2);
    const column = draw("rect", {
      x: k * step + 1, y: from, width: Math.max(1, step - 3), height: Math.max(1.5, Math.abs(top - high / 2)), rx: 2,
      fill: p >= 0.5 ? "var(--s2)" : "var(--s1)",
    });
    column.append(draw("title", {}, `${word}: ${percent(p)}`));
    svg.append(column);
  });
  return svg;
}
