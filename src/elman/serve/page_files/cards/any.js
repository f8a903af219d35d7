// A card for a task that this page does not know: inputs, options and answers from its description.

import { bars, chips, draw, field, fileZone, make, makeCard } from "../elements.js";
import { fans, isForecast } from "../fan.js";
import { predict, predictFiles, sample } from "../service.js";

const MOST_ROWS = 200; // of a table
const MOST_PARTS = 8; // of an answer that is a list of answers
const MARGINS = 56; // pixels of the panels around a chart

export function anyCard(model, title, lead) {
  const card = makeCard(model.name, title, lead);
  const form = optionFields(model.options);
  const show = (found) => found && card.result.replaceChildren(...found.map((answer) => make("div", { class: "panel result" }, ...shown(answer, card.body.clientWidth - MARGINS))));
  const take = async (file) => show(await card.run(`Reading ${file.name} …`, (signal) => predictFiles(model, [file], form.values(), signal)));
  const samples = model.samples.map((name, number) => make("button", { type: "button", onclick: async () => {
    const file = await card.run("", () => sample(model, number));
    if (file) take(file);
  } }, `Sample: ${name}`));
  const details = form.root && make("details", {}, make("summary", { text: "Options" }), form.root);

  if (model.input === "nothing") {
    const ask = async () => show(await card.run("Running …", (signal) => predict(model, [null], form.values(), signal)));
    card.body.append(make("div", { class: "row" }, make("button", { class: "main", type: "button", onclick: ask }, "Run")));
  } else {
    const text = make("textarea", { rows: 4, value: model.examples[0] ?? "" });
    const asFile = model.input === "file";
    const ask = async () => {
      if (!text.value.trim()) {
        card.fail(new Error("There is no input yet; write or paste some."));
        return;
      }
      if (asFile) take(new File([text.value], "pasted.csv", { type: "text/plain" }));
      else show(await card.run("Running …", (signal) => predict(model, [text.value], form.values(), signal)));
    };
    const use = (value) => {
      text.value = value;
      ask();
    };
    const run = make("div", { class: "row" }, make("button", { class: "main", type: "button", onclick: ask }, "Run"));
    if (asFile) {
      card.body.append(fileZone("Choose a file", "", take), make("div", { class: "row" }, ...samples),
        make("details", {}, make("summary", { text: "Paste a file's text instead" }), field("Text of a file, such as CSV", text), run));
    } else {
      card.body.append(field("Input", text), ...[chips("Examples", model.examples.map((name) => ({ name, value: name })), use)].filter(Boolean),
        run, fileZone("Choose a file of inputs", "", take));
    }
  }
  if (details) card.body.append(details);
  return card;
}

// A control for each option that a request may set.
function optionFields(options) {
  const controls = Object.entries(options).map(([name, schema]) => [name, schema, controlOf(schema)]);
  if (!controls.length) return { root: null, values: () => ({}) };
  const root = make("div", { class: "row fields" }, ...controls.map(([name, schema, control]) => {
    const each = field(name.replaceAll("_", " "), control);
    control.title = schema.description ?? "";
    return each;
  }));
  return {
    root,
    values() {
      const found = {};
      for (const [name, schema, control] of controls) {
        const kinds = schema.anyOf ?? [schema];
        if (control.type === "checkbox") {
          if (control.checked !== schema.default) found[name] = control.checked;
        } else if (control.value !== "" && control.value !== String(schema.default)) {
          const number = kinds.some((kind) => ["integer", "number"].includes(kind.type));
          found[name] = number && !Number.isNaN(Number(control.value)) ? Number(control.value) : control.value;
        }
      }
      return found;
    },
  };
}

function controlOf(schema) {
  const kinds = schema.anyOf ?? [schema];
  const choices = kinds.find((kind) => kind.enum)?.enum;
  if (choices) {
    return make("select", {}, ...choices.map((choice) =>
      make("option", { value: choice, selected: choice === schema.default }, choice === "" ? "none" : String(choice))));
  }
  if (schema.type === "boolean") return make("input", { type: "checkbox", checked: schema.default === true });
  const number = kinds.find((kind) => ["integer", "number"].includes(kind.type));
  return make("input", {
    type: "number", step: number?.type === "integer" ? 1 : "any", value: schema.default ?? "",
    min: number?.minimum ?? number?.exclusiveMinimum, max: number && number.maximum < 1e9 ? number.maximum : undefined,
  });
}

const isNumber = (value) => typeof value === "number";
const isRecord = (value) => value !== null && typeof value === "object" && !Array.isArray(value);

// An answer by its form: a forecast as a fan, probabilities as bars, numbers in order as a curve, records as a table.
function shown(answer, wide) {
  if (!isRecord(answer)) return [valueOf(answer, wide)];
  if (isForecast(answer)) return fans(answer, wide);
  const plain = [], large = [];
  for (const [name, value] of Object.entries(answer)) {
    const label = name.replaceAll("_", " ");
    if (isRecord(value) || (Array.isArray(value) && value.length)) large.push(make("div", {}, make("h3", { text: label }), valueOf(value, wide)));
    else plain.push([label, value]);
  }
  const first = plain.length
    ? [make("table", {}, make("tbody", {}, ...plain.map(([label, value]) =>
      make("tr", {}, make("th", { scope: "row", text: label }), make("td", { text: textOf(value) })))))]
    : [];
  return [...first, ...large];
}

function valueOf(value, wide) {
  if (isRecord(value)) {
    const parts = Object.values(value);
    if (parts.length && parts.every((part) => isNumber(part) && part >= 0 && part <= 1)) return bars(value, 10);
    if (parts.length && parts.every((part) => Array.isArray(part) && part.length > 1 && part.every(isNumber))) return curves(value);
    return make("div", { class: "result" }, ...shown(value, wide));
  }
  if (Array.isArray(value)) {
    if (value.length > 1 && value.every(isNumber)) return curves({ "": value });
    if (value.length && value.every(isRecord)) return value.some(isDeep) ? partsOf(value, wide) : tableOf(value);
    return make("p", { class: "text", text: listed(value.map(textOf)) });
  }
  return make("p", { class: "text", text: textOf(value) });
}

function textOf(value) {
  if (value === null || value === undefined) return "none";
  if (isNumber(value)) return String(Number(value.toPrecision(6)));
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

const isDeep = (record) => Object.values(record).some((value) => value !== null && typeof value === "object");

function partsOf(records, wide) {
  const parts = records.slice(0, MOST_PARTS).map((each) => make("div", { class: "part result" }, ...shown(each, wide)));
  if (records.length > MOST_PARTS) parts.push(make("p", { class: "status", text: `and ${records.length - MOST_PARTS} more` }));
  return make("div", { class: "result" }, ...parts);
}

const listed = (texts) =>
  (texts.length <= 24 ? texts.join(", ") : `${texts.slice(0, 3).join(", ")}, … ${texts.at(-1)} (${texts.length} values)`);

function tableOf(records) {
  const names = [...new Set(records.flatMap((each) => Object.keys(each)))];
  return make("div", { class: "scroll limited", tabindex: "0" }, make("table", {},
    make("thead", {}, make("tr", {}, ...names.map((name) => make("th", { scope: "col", text: name.replaceAll("_", " ") })))),
    make("tbody", {}, ...records.slice(0, MOST_ROWS).map((each) =>
      make("tr", {}, ...names.map((name) => make("td", { class: isNumber(each[name]) ? "number" : "", text: textOf(each[name]) })))))));
}

function curves(series) {
  const wide = 600, high = 150;
  const all = Object.values(series).flat();
  const low = Math.min(...all), top = Math.max(...all);
  const y = (value) => high - 6 - ((high - 12) * (value - low)) / (top - low || 1);
  const names = Object.keys(series);
  const svg = draw("svg", {
    viewBox: `0 0 ${wide} ${high}`, width: "100%", height: high, preserveAspectRatio: "none", role: "img",
    "aria-label": `${names.filter(Boolean).join(", ") || "values"} from ${textOf(low)} to ${textOf(top)}`,
  });
  // quantiles are a fan: the further from the middle, the fainter
  const fan = names.length > 1 && names.every((name) => name > 0 && name < 1);
  names.forEach((name, place) => {
    const values = series[name];
    const points = values.map((value, k) => `${((k * wide) / (values.length - 1)).toFixed(1)},${y(value).toFixed(1)}`);
    svg.append(draw("polyline", { points: points.join(" "), fill: "none", stroke: `var(--s${fan ? 0 : place % 7})`, "stroke-width": 2,
      "stroke-opacity": fan ? 1 - 1.6 * Math.abs(name - 0.5) : 1, "vector-effect": "non-scaling-stroke" }));
  });
  return make("div", { class: "panel" }, svg, make("p", { class: "status", text: `from ${textOf(low)} to ${textOf(top)}, ${all.length / names.length} values${names[0] ? `: ${names.join(", ")}` : ""}` }));
}
