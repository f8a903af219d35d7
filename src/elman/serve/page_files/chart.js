// A chart of curves over distance with a logarithmic scale.

import { draw } from "./elements.js";

const HIGH = 300, LEFT = 52, RIGHT = 12, TOP = 12, BOTTOM = 40;
const DASHES = ["", "7 4", "2 3", "9 3 2 3", "1 4"];
const LOWEST = 1e-10;

// `layers` have a name and a gradient, a number for each distance from 0 on; the chart is `wide` pixels wide.
export function gradientChart(layers, wide) {
  const longest = Math.max(...layers.map((each) => each.gradient.length)) - 1;
  const values = layers.flatMap((each) => each.gradient).filter((value) => value > 0);
  const top = Math.ceil(Math.log10(Math.max(1, ...values)));
  const bottom = Math.max(Math.log10(LOWEST), Math.min(-1, Math.floor(Math.log10(Math.min(...values)))));
  const x = (k) => LEFT + ((wide - LEFT - RIGHT) * k) / Math.max(1, longest);
  const y = (value) => TOP + ((HIGH - TOP - BOTTOM) * (top - Math.log10(Math.max(value, 1e-300)))) / (top - bottom);
  const svg = draw("svg", {
    class: "chart", viewBox: `0 0 ${wide} ${HIGH}`, width: "100%", role: "img",
    "aria-label": `The gradient's norm against distance: ${layers.map(({ name, horizon }) => `${name} keeps a tenth over ${horizon} steps`).join(", ")}`,
  });
  const label = (content, attributes) => svg.append(draw("text", attributes, content));
  const stride = Math.max(1, Math.ceil((top - bottom) / 6));
  for (let power = top; power >= bottom; power -= stride) {
    const at = y(10 ** power);
    svg.append(draw("line", { class: "rule", x1: LEFT, x2: wide - RIGHT, y1: at, y2: at }));
    label(power === 0 ? "1" : power > 0 ? `1e${power}` : `1e−${-power}`, { x: LEFT - 8, y: at + 4, "text-anchor": "end" });
  }
  svg.append(draw("line", { class: "axis", x1: LEFT, x2: wide - RIGHT, y1: HIGH - BOTTOM, y2: HIGH - BOTTOM }));
  const step = [1, 2, 5, 10, 20, 50, 100].find((each) => longest / each <= wide / 70) ?? 100;
  for (let k = 0; k <= longest; k += step) label(String(k), { x: x(k), y: HIGH - BOTTOM + 18, "text-anchor": "middle" });
  label("steps back in time", { x: (LEFT + wide - RIGHT) / 2, y: HIGH - 5, "text-anchor": "middle" });
  layers.forEach(({ gradient }, place) => {
    const points = [];
    for (let k = 0; k < gradient.length; k += 1) {
      if (!(gradient[k] > 0)) break;
      points.push(`${x(k).toFixed(1)},${Math.min(y(gradient[k]), HIGH - BOTTOM).toFixed(1)}`);
      if (Math.log10(gradient[k]) < bottom) break;
    }
    svg.append(draw("polyline", {
      points: points.join(" "), fill: "none", stroke: `var(--s${place % 7})`, "stroke-width": place === 0 ? 3.2 : 2,
      "stroke-dasharray": DASHES[place % DASHES.length], "stroke-linejoin": "round",
    }));
  });
  return svg;
}

// A piece of a curve for a legend: its colour and its dashes.
export function sampleLine(place) {
  return draw("svg", { width: 30, height: 10, "aria-hidden": "true" }, draw("line", {
    x1: 1, x2: 29, y1: 5, y2: 5, stroke: `var(--s${place % 7})`, "stroke-width": place === 0 ? 3.2 : 2,
    "stroke-dasharray": DASHES[place % DASHES.length],
  }));
}
