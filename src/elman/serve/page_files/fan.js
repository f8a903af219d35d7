// The fan of a forecast: its median as a line, and a band between each pair of quantiles.

import { draw, legend, make } from "./elements.js";

const HIGH = 240, RIGHT = 14, TOP = 12, BOTTOM = 28, LETTER = 7;

const isRecord = (value) => value !== null && typeof value === "object" && !Array.isArray(value);

// Whether an answer is a forecast with times and quantiles of each target.
export function isForecast(answer) {
  return isRecord(answer) && Array.isArray(answer.times) && answer.times.length > 0
    && isRecord(answer.forecast) && isRecord(answer.quantiles)
    && Object.keys(answer.forecast).every((target) => isRecord(answer.quantiles[target]));
}

// A fan for each target, `wide` pixels wide, and the numbers as a table.
export function fans({ series, times, forecast, quantiles }, wide) {
  const names = Object.keys(forecast);
  return names.map((target) => {
    const middle = forecast[target];
    const levels = Object.keys(quantiles[target]).sort((a, b) => a - b);
    const pairs = pairsOf(levels);
    const name = [series, names.length > 1 ? target : null].filter(Boolean).join(": ") || target;
    const rows = times.map((time, k) => [time, middle[k], ...levels.map((level) => quantiles[target][level][k])]);
    return make("div", { class: "panel result" },
      make("h3", { text: name }),
      fan(name, times, middle, pairs.map(([low, high]) => [quantiles[target][low], quantiles[target][high]]), wide),
      legend([["var(--s0)", "median"], ...pairs.map(([low, high], k) => [tint(k), `${Math.round(100 * (high - low))} % between ${low} and ${high}`])]),
      make("details", {}, make("summary", { text: "Numbers" }),
        make("div", { class: "scroll limited", tabindex: "0" }, make("table", {},
          make("thead", {}, make("tr", {}, ...["time", "forecast", ...levels].map((each, k) => make("th", { scope: "col", class: k ? "number" : "", text: each })))),
          make("tbody", {}, ...rows.map((row) => make("tr", {}, ...row.map((each, k) => make("td", { class: k ? "number" : "", text: textOf(each) }))))))),
      ));
  });
}

// Pairs of quantiles that lie around the middle, the outermost first.
function pairsOf(levels) {
  const pairs = [];
  for (let low = 0, high = levels.length - 1; low < high; low += 1, high -= 1) pairs.push([levels[low], levels[high]]);
  return pairs;
}

// bands lie on one another, so the inner ones are darker
const tint = (k) => `color-mix(in srgb, var(--s0) ${Math.min(70, 16 + 14 * k)}%, var(--surface))`;

function fan(name, times, middle, bands, wide) {
  const values = [middle, ...bands.flat()].flat().filter(Number.isFinite);
  const low = Math.min(...values), top = Math.max(...values);
  const span = top - low || Math.abs(top) || 1;
  const marks = ticks(low - span * 0.04, top + span * 0.04);
  const left = 10 + LETTER * Math.max(...marks.map((each) => textOf(each).length));
  const x = (k) => left + ((wide - left - RIGHT) * (times.length > 1 ? k / (times.length - 1) : 0.5));
  const y = (value) => TOP + ((HIGH - TOP - BOTTOM) * (top + span * 0.04 - value)) / (span * 1.08);
  const svg = draw("svg", {
    class: "chart", viewBox: `0 0 ${wide} ${HIGH}`, width: "100%", role: "img",
    "aria-label": `Forecast of ${name} from ${times[0]} to ${times.at(-1)}: the median goes from ${textOf(middle[0])} to ${textOf(middle.at(-1))}, all quantiles lie between ${textOf(low)} and ${textOf(top)}`,
  });
  for (const mark of marks) {
    svg.append(draw("line", { class: "rule", x1: left, x2: wide - RIGHT, y1: y(mark), y2: y(mark) }),
      draw("text", { x: left - 6, y: y(mark) + 4, "text-anchor": "end" }, textOf(mark)));
  }
  bands.forEach(([lower, upper], k) => {
    for (const [from, to] of runs((at) => Number.isFinite(lower[at]) && Number.isFinite(upper[at]), times.length)) {
      const there = (series, at) => `${x(at).toFixed(1)},${y(series[at]).toFixed(1)}`;
      const steps = Array.from({ length: to - from }, (_, step) => from + step);
      const points = [...steps.map((at) => there(upper, at)), ...steps.toReversed().map((at) => there(lower, at))];
      // a single step has no width of its own
      svg.append(draw("polygon", { class: "band", points: points.join(" "), fill: tint(k), stroke: tint(k), "stroke-width": to - from > 1 ? 0.5 : 10 }));
    }
  });
  for (const [from, to] of runs((at) => Number.isFinite(middle[at]), times.length)) {
    const points = middle.slice(from, to).map((value, k) => `${x(from + k).toFixed(1)},${y(value).toFixed(1)}`);
    if (to - from > 1) svg.append(draw("polyline", { class: "median", points: points.join(" "), fill: "none", stroke: "var(--s0)", "stroke-width": 2.5, "stroke-linejoin": "round" }));
    else svg.append(draw("circle", { class: "median", cx: x(from), cy: y(middle[from]), r: 4, fill: "var(--s0)" }));
  }
  svg.append(draw("line", { class: "axis", x1: left, x2: wide - RIGHT, y1: HIGH - BOTTOM, y2: HIGH - BOTTOM }));
  const longest = LETTER * Math.max(...times.map((time) => String(time).length)) + 16;
  const shown = Math.max(1, Math.min(times.length, Math.floor((wide - left) / longest)));
  const places = shown === 1 ? [0] : Array.from({ length: shown }, (_, k) => Math.round((k * (times.length - 1)) / (shown - 1)));
  for (const k of new Set(places)) {
    const anchor = times.length === 1 ? "middle" : k === 0 ? "start" : k === times.length - 1 ? "end" : "middle";
    svg.append(draw("text", { x: x(k), y: HIGH - 8, "text-anchor": anchor }, String(times[k])));
  }
  return svg;
}

// Stretches [from, to) of steps for which something holds.
function runs(holds, count) {
  const found = [];
  for (let from = 0, at = 0; at <= count; at += 1) {
    if (at < count && holds(at)) continue;
    if (at > from) found.push([from, at]);
    from = at + 1;
  }
  return found;
}

// Round numbers within a range.
function ticks(low, high) {
  const raw = (high - low) / 4;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = power * ([1, 2, 5].find((each) => each * power >= raw) ?? 10);
  const found = [];
  for (let k = Math.ceil(low / step); k * step <= high; k += 1) found.push(k * step);
  return found;
}

const textOf = (value) => (Number.isFinite(value) ? String(Number(value.toPrecision(6))) : value === null || value === undefined ? "none" : String(value));
