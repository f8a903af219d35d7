// Genes of an answer as GFF3, as `elman predict --out genes.gff3` writes them.

const quote = (name) => encodeURIComponent(name).replace(/[!'()*]/g, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`);

export function gff3(readings) {
  const lines = ["##gff-version 3"];
  for (const { name, length, genes } of readings) {
    const sequence = quote(name);
    lines.push(`##sequence-region ${sequence} 1 ${length}`);
    for (const gene of genes) lines.push(...linesOf(sequence, gene));
  }
  return `${lines.join("\n")}\n`;
}

function linesOf(sequence, { name: given, strand, exons, coding, phase, probability, partial }) {
  const name = quote(given);
  const score = probability === null ? "." : probability.toFixed(3);
  const line = (kind, [start, end], attributes, ownScore = ".", ownPhase = ".") =>
    [sequence, "elman", kind, start, end, ownScore, strand, ownPhase, attributes].join("\t");
  const whole = [exons[0][0], exons.at(-1)[1]];
  let cut = partial.length ? ";partial=true" : "";
  if (partial.includes("start")) cut += `;start_range=.,${whole[0]}`;
  if (partial.includes("end")) cut += `;end_range=${whole[1]},.`;
  const parent = `Parent=${name}.mRNA`;
  const lines = [
    line("gene", whole, `ID=${name}${cut}`, score),
    line("mRNA", whole, `ID=${name}.mRNA;Parent=${name}${cut}`, score),
    ...exons.map((part, k) => line("exon", part, `ID=${name}.exon${k + 1};${parent}`)),
  ];
  let done = -phase;
  const phases = new Map();
  for (const [start, end] of strand === "+" ? coding : [...coding].reverse()) {
    phases.set(start, (3 - (((done % 3) + 3) % 3)) % 3);
    done += end - start + 1;
  }
  for (const part of coding) lines.push(line("CDS", part, `ID=${name}.cds;${parent}`, score, phases.get(part[0])));
  for (const part of untranslated(exons, coding)) {
    const before = part[0] < coding[0][0];
    lines.push(line(before === (strand === "+") ? "five_prime_UTR" : "three_prime_UTR", part, parent));
  }
  return lines;
}

function untranslated(exons, coding) {
  if (!coding.length) return [];
  const first = coding[0][0], last = coding.at(-1)[1];
  return [
    ...exons.filter(([start]) => start < first).map(([start, end]) => [start, Math.min(end, first - 1)]),
    ...exons.filter(([, end]) => end > last).map(([start, end]) => [Math.max(start, last + 1), end]),
  ];
}
