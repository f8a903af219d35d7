// Names: highlighted in the text, with type and probability.

import { chips, field, fileZone, legend, make, makeCard, pausing, percent, whenSeen } from "../elements.js";
import { predict, predictFiles } from "../service.js";

const OWN = ["Angela Merkel met Barack Obama in Berlin before the United Nations assembly in New York."];
const NAMES = { PER: "person", LOC: "place", ORG: "organisation", MISC: "other name" };
const COLOURS = { PER: 3, LOC: 2, ORG: 0, MISC: 1 };

export function namesCard(model, title, lead) {
  const card = makeCard(model.name, title, lead);
  const text = make("textarea", { rows: 3, value: model.examples[0] ?? OWN[0] });
  const ask = async () => {
    // a line is a text of its own
    const lines = text.value.split("\n").filter((line) => line.trim());
    if (!lines.length) {
      card.fail(null);
      card.result.replaceChildren();
      return;
    }
    const found = await card.run("", (signal) => predict(model, lines, {}, signal));
    if (found) show(card, found);
  };
  text.addEventListener("input", pausing(ask));
  const use = (value) => {
    text.value = value;
    ask();
  };
  const drop = async (file) => {
    const found = await card.run(`Reading ${file.name} …`, (signal) => predictFiles(model, [file], {}, signal));
    if (found) show(card, found);
  };
  card.body.append(
    field("Text", text),
    chips("Examples", [...model.examples, ...OWN].map((name) => ({ name, value: name })), use),
    fileZone("Choose a text file", ".txt,text/plain", drop),
  );
  whenSeen(card.root, ask);
  return card;
}

function show(card, answers) {
  const types = [...new Set(answers.flatMap((each) => each.names.map((name) => name.type)))].sort();
  const tint = (type) => COLOURS[type] ?? 4 + (types.indexOf(type) % 3);
  const shown = answers.map(({ text, names }) => {
    const signs = Array.from(text); // positions count characters, not UTF-16 units
    const line = make("p", { class: "text" });
    let at = 0;
    for (const name of names) {
      line.append(signs.slice(at, name.start).join(""));
      line.append(make("mark", { style: { background: `var(--f${tint(name.type)})` } },
        signs.slice(name.start, name.end).join(""),
        make("small", { text: `${name.type} ${percent(name.confidence)}` })));
      at = name.end;
    }
    line.append(signs.slice(at).join(""));
    return line;
  });
  const count = answers.reduce((sum, each) => sum + each.names.length, 0);
  const notes = new Set(answers.map((each) => each.note).filter(Boolean));
  card.say([...notes, count ? "" : "No names found."].filter(Boolean).join(" "));
  card.result.replaceChildren(
    ...shown,
    legend(types.map((type) => [`var(--f${tint(type)})`, NAMES[type] ?? type])),
  );
}
