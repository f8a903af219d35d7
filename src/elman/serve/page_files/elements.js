// Elements that all cards share: construction, cards, drop zones, bars, errors.

// `make("p", { class: "lead", onclick: f }, "text", child)`
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "text") element.textContent = value;
    else if (key === "style") Object.assign(element.style, value);
    else if (["value", "checked", "disabled", "open", "muted", "controls", "playsInline"].includes(key)) {
      element[key] = value;
    } else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.filter((each) => each !== null && each !== undefined));
  return element;
}

const SVG = "http://www.w3.org/2000/svg";
export function draw(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

let count = 0;
export const unique = (name) => `${name}-${(count += 1)}`;

export function field(label, control) {
  if (!control.id) control.id = unique("field");
  return make("div", { class: "field" }, make("label", { for: control.id, text: label }), control);
}

export const percent = (p) => `${Math.round(100 * p)} %`;
export const seconds = (s) => `${s.toFixed(s < 10 ? 2 : 1)} s`;

// A card: `run` shows what is going on and errors as sentences.
export function makeCard(id, title, lead, { wide = false } = {}) {
  const body = make("div", { class: "body" });
  const result = make("div", { class: "result" });
  const status = make("p", { class: "status", role: "status" });
  const error = make("p", { class: "error", role: "alert", hidden: true });
  const heading = unique("title");
  const root = make(
    "section",
    { class: wide ? "card wide" : "card", id: `card-${id}`, "aria-labelledby": heading, tabindex: "-1" },
    make("header", {}, make("h2", { id: heading, text: title }), make("p", { text: lead })),
    body, error, status, result,
  );
  const card = {
    root, body, result,
    say(text) {
      status.textContent = text;
    },
    fail(problem) {
      error.hidden = !problem;
      error.textContent = problem ? problem.message : "";
    },
    // Runs work; an answer to a question that was asked again meanwhile is dropped.
    async run(said, work) {
      controller?.abort();
      const own = (controller = new AbortController());
      card.fail(null);
      card.say(said);
      root.setAttribute("aria-busy", "true");
      try {
        const found = await work(own.signal);
        return own === controller ? found : undefined;
      } catch (problem) {
        if (own === controller && problem.name !== "AbortError") {
          card.fail(problem);
          result.replaceChildren();
        }
        return undefined;
      } finally {
        if (own === controller) {
          card.say("");
          root.removeAttribute("aria-busy");
        }
      }
    },
  };
  let controller;
  return card;
}

// Calls `work` when typing pauses.
export function pausing(work, milliseconds = 280) {
  let timer;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(work, milliseconds);
  };
}

// Calls `work` once, when the element comes into view.
export function whenSeen(element, work) {
  const observer = new IntersectionObserver((entries) => {
    if (entries.some((each) => each.isIntersecting)) {
      observer.disconnect();
      work();
    }
  });
  observer.observe(element);
}

export function chips(label, texts, chosen) {
  if (!texts.length) return null;
  const group = make("div", { class: "chips" }, make("span", { class: "label", text: label }));
  for (const { name, value } of texts) {
    group.append(make("button", { class: "chip", type: "button", title: name, onclick: () => chosen(value) }, name));
  }
  return group;
}

// A zone into which files are dropped, with a button for those who do not drag.
export function fileZone(words, accept, taken) {
  const input = make("input", { type: "file", accept, id: unique("file"), onchange: () => {
    if (input.files.length) taken(input.files[0]);
    input.value = "";
  } });
  const zone = make("div", { class: "drop" },
    input, make("label", { for: input.id, text: words }), make("span", { text: "or drop it here" }));
  zone.addEventListener("dragover", (event) => {
    event.preventDefault();
    zone.classList.add("over");
  });
  zone.addEventListener("dragleave", () => zone.classList.remove("over"));
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    zone.classList.remove("over");
    if (event.dataTransfer.files.length) taken(event.dataTransfer.files[0]);
  });
  return zone;
}

// Bars of probabilities, the largest first.
export function bars(probabilities, most = 8) {
  const rows = Object.entries(probabilities).sort((a, b) => b[1] - a[1]).slice(0, most);
  const list = make("div", { class: "bars" });
  rows.forEach(([name, p], k) => {
    const first = k === 0 ? "first" : "";
    list.append(
      make("span", { class: first, text: name.replaceAll("_", " ") }),
      make("span", { class: "track", "aria-hidden": "true" },
        make("span", { class: "fill", style: { width: `${100 * p}%`, display: "block" } })),
      make("span", { class: `value ${first}`, text: percent(p) }),
    );
  });
  return list;
}

export function legend(entries) {
  return make("ul", { class: "legend" }, ...entries.map(([colour, name]) =>
    make("li", {}, make("span", { class: "swatch", style: { background: colour } }), name)));
}

export function download(name, content, type) {
  const link = make("a", { href: URL.createObjectURL(new Blob([content], { type })), download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

// A canvas in device pixels, drawn in CSS pixels.
export function canvasOf(width, height, label) {
  const canvas = make("canvas", { role: "img", "aria-label": label });
  return { canvas, context: sizeCanvas(canvas, width, height) };
}

export function sizeCanvas(canvas, width, height) {
  const scale = Math.min(2, window.devicePixelRatio || 1);
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const context = canvas.getContext("2d");
  context.setTransform(scale, 0, 0, scale, 0, 0);
  return context;
}

export const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
