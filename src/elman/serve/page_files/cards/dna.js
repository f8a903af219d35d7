// DNA: bases coloured by label, probabilities as tracks, genes as boxes, GFF3 to download.

import { canvasOf, chips, colour, download, draw, field, fileZone, legend, make, makeCard, percent } from "../elements.js";
import { gff3 } from "../files/gff3.js";
import { predict, predictFiles } from "../service.js";

const LABELS = { E: ["coding exon", "s2", "f2"], I: ["intron", "s0", "f0"], U: ["untranslated", "s5", "f5"], N: ["outside", "none", "none"] };
// bases that are drawn one by one, and sequences that are shown
const MOST_BASES = 6000, MOST_SEQUENCES = 8;
// a made-up gene of three exons, as `elman new dna` makes them
const MADE = `>made-up gene
AATCCGCACCTTATTATACTTCATTGTTTCCGCTGTTTATCAAAACCATGGAGCTGGGTA
AGTATTTTTTATTTTTTTTTTTTTTCAGAGGGCAGCGGGTAAGTTCTATTTCATTAATTT
CTTTATTTTTTCAGCGCCAAGATCAGCCCCGACCTGAGCGCCGTGGAGGAGATCAAGGTG
`;

export function dnaCard(model, title, lead) {
  const card = makeCard(model.name, title, lead, { wide: true });
  const text = make("textarea", { rows: 4, class: "mono", spellcheck: "false", value: model.examples[0] ?? MADE });
  const show_ = (found) => found && show(card, found);
  const ask = async () => {
    const said = text.value.trim();
    const inputs = /^(>|LOCUS)/.test(said) ? null : [said.replace(/\s+/g, "")];
    const file = new File([`${said}\n`], said.startsWith("LOCUS") ? "pasted.gb" : "pasted.fa");
    show_(await card.run("Finding genes …", (signal) =>
      (inputs ? predict(model, inputs, {}, signal) : predictFiles(model, [file], {}, signal))));
  };
  const drop = async (file) => show_(await card.run(`Reading ${file.name} …`, (signal) => predictFiles(model, [file], {}, signal)));
  const examples = [...model.examples.map((value) => ({ name: value, value })), { name: "a made-up gene", value: MADE }];
  card.body.append(
    field("Bases or FASTA", text),
    chips("Examples", examples, (value) => {
      text.value = value;
      ask();
    }),
    make("div", { class: "row" }, make("button", { class: "main", type: "button", onclick: ask }, "Find genes")),
    fileZone("Choose a FASTA or GenBank file", ".fa,.fasta,.fna,.gb,.gbk,text/plain", drop),
  );
  return card;
}

function show(card, readings) {
  const genes = readings.reduce((sum, each) => sum + each.genes.length, 0);
  card.result.replaceChildren(
    make("div", { class: "row" },
      make("p", { class: "big", text: `${genes || "No"} gene${genes === 1 ? "" : "s"} found` }),
      make("button", { type: "button", onclick: () => download("genes.gff3", gff3(readings), "text/plain") }, "Download GFF3")),
    legend(Object.values(LABELS).map(([name, strong]) => [`var(--${strong})`, name])),
    ...readings.slice(0, MOST_SEQUENCES).map(sequence),
  );
  if (readings.length > MOST_SEQUENCES) card.say(`Only the first ${MOST_SEQUENCES} of ${readings.length} sequences are shown.`);
}

function sequence(reading) {
  const parts = [make("h3", { text: `${reading.name}: ${reading.length.toLocaleString("en")} bases` })];
  if (reading.probabilities && reading.length) parts.push(tracks(reading));
  parts.push(boxes(reading));
  if (reading.genes.length) parts.push(table(reading.genes));
  if (reading.bases && reading.length <= MOST_BASES) parts.push(bases(reading));
  return make("div", { class: "panel result" }, ...parts);
}

// The probabilities of the labels at each base, stacked; what is under the pointer is said below.
function tracks({ probabilities, bases: letters, labels, length }) {
  const wide = 1000, high = 110;
  const { canvas, context } = canvasOf(wide, high, `Probabilities of the labels at ${length} bases`);
  canvas.style.width = "100%";
  canvas.style.borderRadius = "6px";
  const paint = () => {
    context.clearRect(0, 0, wide, high);
    for (let x = 0; x < wide; x += 1) {
      const at = Math.min(length - 1, Math.floor((x / wide) * length));
      let y = high;
      for (const [label, [, strong]] of Object.entries(LABELS)) {
        const part = high * (probabilities[label]?.[at] ?? 0);
        context.fillStyle = colour(strong);
        context.fillRect(x, y - part, 1.6, part);
        y -= part;
      }
    }
  };
  paint();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paint);
  const said = make("p", { class: "status mono", text: "Point at the tracks to read a base." });
  canvas.addEventListener("pointermove", (event) => {
    const at = Math.min(length - 1, Math.max(0, Math.floor((event.offsetX / canvas.clientWidth) * length)));
    const each = Object.entries(LABELS).map(([label, [name]]) => `${name} ${percent(probabilities[label]?.[at] ?? 0)}`);
    said.textContent = `${at + 1} ${letters?.[at] ?? ""} ${labels?.[at] ?? ""}: ${each.join(", ")}`;
  });
  return make("div", {}, canvas, said);
}

// Genes as boxes on the same scale as the tracks.
function boxes({ genes, length }) {
  const wide = 1000, high = 34;
  const svg = draw("svg", {
    viewBox: `0 0 ${wide} ${high}`, width: "100%", height: high, preserveAspectRatio: "none", role: "img",
    "aria-label": genes.map((gene) => `${gene.name} on strand ${gene.strand}, coding ${ranges(gene.coding)}`).join("; ") || "no genes",
  });
  const x = (base) => (base / Math.max(1, length)) * wide;
  svg.append(draw("line", { x1: 0, x2: wide, y1: high / 2, y2: high / 2, stroke: "var(--line-strong)" }));
  for (const gene of genes) {
    const [start, end] = [gene.exons[0][0] - 1, gene.exons.at(-1)[1]];
    svg.append(draw("rect", { x: x(start), width: x(end) - x(start), y: high / 2 - 1.5, height: 3, fill: "var(--s0)" }));
    for (const [parts, half, fill] of [[gene.exons, 6, "var(--s5)"], [gene.coding, 12, "var(--s2)"]]) {
      for (const [from, to] of parts) {
        svg.append(draw("rect", { x: x(from - 1), width: x(to) - x(from - 1), y: high / 2 - half, height: 2 * half, fill }));
      }
    }
    const tip = gene.strand === "-" ? x(start) : x(end);
    const back = gene.strand === "-" ? 9 : -9;
    svg.append(draw("path", { d: `M${tip} ${high / 2} l${back} -6 v12 z`, fill: "var(--text)" }));
  }
  return svg;
}

const ranges = (parts) => parts.map(([from, to]) => `${from}–${to}`).join(", ") || "none";

function table(genes) {
  const head = ["Gene", "Strand", "Coding", "Probability"];
  return make("div", { class: "scroll" }, make("table", {},
    make("thead", {}, make("tr", {}, ...head.map((name, k) => make("th", { scope: "col", class: k === 3 ? "number" : "" }, name)))),
    make("tbody", {}, ...genes.map((gene) => make("tr", {},
      make("td", { text: gene.partial.length ? `${gene.name} (goes on beyond the sequence)` : gene.name }),
      make("td", { text: gene.strand }),
      make("td", { text: ranges(gene.coding) }),
      make("td", { class: "number", text: gene.probability === null ? "" : percent(gene.probability) }))))));
}

function bases({ bases: letters, labels }) {
  const width = 60;
  const shown = make("div", { class: "bases limited", tabindex: "0", role: "group", "aria-label": "Bases with their labels" });
  for (let start = 0; start < letters.length; start += width) {
    const runs = make("span", {});
    const end = Math.min(letters.length, start + width);
    for (let k = start; k < end;) {
      let stop = k;
      while (stop < end && labels[stop] === labels[k]) stop += 1;
      runs.append(make("span", { class: `run ${labels[k]}`, title: LABELS[labels[k]]?.[0] ?? labels[k] }, letters.slice(k, stop)));
      k = stop;
    }
    shown.append(make("div", { class: "line" }, make("span", { class: "at", text: start + 1 }), runs));
  }
  return shown;
}
