// The page of a cell: equations in; formula, plan, gradients and speed out.

import { gradientChart, sampleLine } from "./chart.js";
import { field, make, makeCard, pausing } from "./elements.js";
import { askForToken } from "./entry.js";
import { cellCatalogue, examineCell } from "./service.js";

const OWN = `@cell(gates="f g", init={"b.f": 1.0})
def my_cell(x, h, *, W, b):
    """A gated unit of my own."""
    f = sigmoid(W.f @ [h, x] + b.f)
    g = tanh(W.g @ [f * h, x] + b.g)
    h = f * h + (1 - f) * g
    return h
`;

// The sizes that only some cells have, and what they are called.
const LABELS = { heads: "heads", key_size: "keys of a head", own_size: "sizes of its own" };
// The sizes of values as they are called beside a table of parameters.
const COUNTS = { one: "one number", hidden: "hidden", input: "input", head: "heads", key: "heads · keys", memory: "hidden × keys" };
const counted = (size) => COUNTS[size] ?? size;

async function show() {
  const { cells, functions, options } = await cellCatalogue();
  const grid = document.getElementById("cell");
  grid.replaceChildren();
  const editor = makeCard("equations", "Equations", "The first argument is the input, the others are states; families of parameters stand after the star.");
  const formula = makeCard("formula", "Formula", "As Elman has read it.");
  const gradients = makeCard("gradients", "Gradients", "How much of a gradient is left, against the distance in time, beside the plain RNN, LSTM and GRU, untrained.");
  const speed = makeCard("speed", "Speed", "One thread of the machine of the service.");
  const plan = makeCard("plan", "Plan", "What the native engine compiles: phases, products and memory.", { wide: true });

  const text = make("textarea", { class: "mono editor", rows: 11, spellcheck: "false", autocapitalize: "off", autocomplete: "off", value: OWN, wrap: "off" });
  text.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.isComposing) return; // keeps the indentation
    event.preventDefault();
    const line = text.value.slice(0, text.selectionStart).split("\n").at(-1);
    const indent = line.match(/^ */)[0] + (line.trimEnd().endsWith(":") ? "    " : "");
    text.setRangeText(`\n${indent}`, text.selectionStart, text.selectionEnd, "end");
    text.dispatchEvent(new Event("input"));
  });
  const choice = make("select", {}, make("option", { value: OWN }, "a cell of my own"),
    ...cells.map((each) => make("option", { value: each.equations }, each.name)));
  choice.addEventListener("change", () => {
    text.value = choice.value;
    read();
  });
  const sizes = Object.entries(options.properties).map(([name, { minimum, maximum, default: value }]) =>
    [name, make("input", { type: "number", min: minimum, max: maximum, value, inputmode: "numeric" })]);
  const wanted = () => Object.fromEntries(sizes.map(([name, input]) => [name, Number(input.value)]));

  const fields = sizes.map(([name, input]) => field(LABELS[name] ?? name.replace("_", " "), input));
  const read = async () => {
    const found = await editor.run("", (signal) => examineCell("formula", text.value, wanted(), signal));
    formula.root.style.opacity = found ? "" : "0.5";
    if (!found) return;
    sizes.forEach(([name], k) => { fields[k].hidden = name in LABELS && !found.uses.includes(name); });
    showFormula(formula, found);
  };
  const measure = async () => {
    button.disabled = true;
    try {
      const asked = [text.value, wanted()];
      for (const [card, experiment, paint, said] of [
        [plan, "plan", showPlan, "Compiling …"],
        [gradients, "gradients", showGradients, "Following gradients back …"],
        [speed, "speed", showSpeed, "Measuring, for some seconds …"],
      ]) {
        const found = await card.run(said, (signal) => examineCell(experiment, ...asked, signal));
        if (found) paint(card, found);
      }
    } finally {
      button.disabled = false;
    }
  };
  const button = make("button", { class: "main", type: "button", onclick: measure }, "Measure");
  text.addEventListener("input", pausing(read));
  for (const [, input] of sizes) input.addEventListener("input", pausing(read));
  editor.body.append(
    field("Start from", choice),
    field("Equations", text),
    make("p", { class: "status", text: `Functions: ${functions.join(", ")}. Arithmetic + - * /, comparisons in where, and @ for products.` }),
    make("div", { class: "row fields" }, ...fields),
    make("div", { class: "row" }, button),
  );
  for (const each of [gradients, speed, plan]) each.result.append(make("p", { class: "status", text: "Press Measure." }));
  grid.append(editor.root, formula.root, gradients.root, speed.root, plan.root);
  await read();
}

function showFormula(card, { mathml, parameters, states, count, inputs }) {
  card.result.replaceChildren(
    make("div", { class: "formula", tabindex: "0", role: "group", "aria-label": "Formula" }, ...aligned(mathml)),
    make("div", {}, make("h3", { text: "Parameters" }), make("table", {}, make("tbody", {}, ...parameters.map(({ key, shape, size, of }) =>
      make("tr", {}, make("td", { class: "mono", text: key }), make("td", { text: of.length ? `${counted(size)} × (${of.map(counted).join(" + ")})` : counted(size) }),
        make("td", { class: "number", text: shape.join(" × ") })))))),
    make("p", { class: "status", text: `${count.toLocaleString("en")} parameters. States: ${states.join(", ")}; the first is the output.` }),
    ...(inputs.length ? [make("p", { class: "status", text: `Inputs beside x: ${inputs.map(({ name, size }) => `${name} (${counted(size)})`).join(", ")}; measured with random numbers from 0 to 1.` })] : []),
  );
}

// The two sides of each equation: browsers do not align the columns of a MathML table.
function aligned(mathml) {
  const parsed = new DOMParser().parseFromString(mathml, "application/xml");
  const sides = [...parsed.getElementsByTagName("mtd")];
  return sides.map((side, k) => {
    const element = document.createElementNS("http://www.w3.org/1998/Math/MathML", "math");
    element.setAttribute("class", k % 2 ? "right" : "left");
    element.append(...[...side.childNodes].map((each) => document.importNode(each, true)));
    return element;
  });
}

function showPlan(card, { plan }) {
  card.result.replaceChildren(make("pre", { class: "mono panel", tabindex: "0", "aria-label": "Plan" }, plan));
}

function showGradients(card, { layers, words }) {
  const names = make("ul", { class: "legend" }, ...layers.map(({ name, horizon }, place) =>
    make("li", {}, sampleLine(place), `${name}: a tenth after ${horizon} steps`)));
  const chart = make("div", {});
  let wide = 0;
  new ResizeObserver(() => {
    if (chart.clientWidth === wide || !chart.clientWidth) return;
    wide = chart.clientWidth;
    chart.replaceChildren(gradientChart(layers, wide));
  }).observe(chart);
  card.result.replaceChildren(names, chart,
    make("ul", { class: "findings" }, ...words.map((sentence) => make("li", { text: sentence }))));
}

function showSpeed(card, { times, shape, agrees, machine }) {
  const [steps, batch, input, hidden] = shape;
  const parts = ["inference", "training"].map((work) => {
    const longest = Math.max(...times.map((each) => each[work] ?? 0));
    const rows = make("div", { class: "bars" });
    times.forEach((each, place) => {
      if (each[work] === undefined) return;
      rows.append(
        make("span", { class: place === 0 ? "first" : "", text: each.name }),
        make("span", { class: "track", "aria-hidden": "true" }, make("span", {
          class: "fill",
          style: { width: `${(100 * each[work]) / longest}%`, display: "block", background: place === 0 ? "var(--s0)" : "var(--none)" },
        })),
        make("span", { class: "value", text: `${each[work]} ms` }));
    });
    return make("div", {}, make("h3", { text: work === "training" ? "Training: forward and backward" : "Inference: forward" }), rows);
  });
  const notes = [`${steps} steps, ${batch} sequences, ${input} features, ${hidden} units; medians. ${machine}`];
  if (!agrees) notes.unshift("The loop in torch differs by more than rounding, so it is not timed: this cell amplifies rounding errors.");
  card.result.replaceChildren(...parts, ...notes.map((note) => make("p", { class: "status", text: note })));
}

askForToken(document.getElementById("entry"), show);
