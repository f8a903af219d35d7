// Video: a clip, or the camera; the label over time as a strip.

import { bars, colour, fileZone, legend, make, makeCard, percent, seconds, sizeCanvas } from "../elements.js";
import { predictFiles, sample, stream } from "../service.js";

const NAMED = 4; // labels that have a colour
const CAMERA = 160; // pixels of the camera's frames
const RATE = 10; // frames per second, if the service does not say

export function videoCard(model, title, lead) {
  const card = makeCard(model.name, title, lead);
  const player = make("video", { controls: true, muted: true, playsInline: true, hidden: true, "aria-label": "The clip" });
  const strip = new Strip(player);
  let camera = null;

  const take = async (file) => {
    stopCamera();
    const found = await card.run(`Watching ${file.name} …`, (signal) => predictFiles(model, [file], { frames: true }, signal));
    if (!found) return;
    if (player.src) URL.revokeObjectURL(player.src);
    player.srcObject = null;
    player.src = URL.createObjectURL(file);
    player.controls = true;
    player.hidden = false;
    player.loop = true;
    player.play().catch(() => {}); // a format that the browser does not play
    const [{ label, probability, probabilities, frames }] = found;
    strip.show(frames ?? []);
    card.result.replaceChildren(player, headline(label, probability), strip.root, bars(probabilities, 5));
  };

  const stopCamera = () => {
    camera?.stop();
    camera = null;
    button.textContent = "Use the camera";
    button.classList.remove("on");
  };
  const startCamera = async () => {
    card.fail(null);
    let media;
    try {
      if (!navigator.mediaDevices) throw new Error();
      media = await navigator.mediaDevices.getUserMedia({ video: { width: 320, height: 240 } });
    } catch {
      card.fail(new Error("The browser gives this page no camera; allow it, or choose a clip. (It needs this machine's own address, or https.)"));
      return;
    }
    button.textContent = "Stop the camera";
    button.classList.add("on");
    player.removeAttribute("src");
    player.srcObject = media;
    player.controls = false;
    player.hidden = false;
    await player.play();
    strip.show([]);
    const head = make("div", {});
    const list = make("div", {});
    card.result.replaceChildren(player, head, strip.root, list);
    camera = watch(model, player, media, {
      record: (found) => {
        strip.add(found);
        head.replaceChildren(headline(found.label, found.probability));
        list.replaceChildren(bars(found.probabilities, 5));
      },
      ended: (problem) => {
        stopCamera();
        if (problem) card.fail(problem);
      },
    });
  };
  const button = make("button", { type: "button", class: "main", onclick: () => (camera ? stopCamera() : startCamera()) }, "Use the camera");
  const samples = model.samples.map((name, number) =>
    make("button", { type: "button", onclick: async () => {
      const file = await card.run("", () => sample(model, number));
      if (file) take(file);
    } }, `Sample: ${name}`));
  card.body.append(fileZone("Choose a clip", "video/*", take), make("div", { class: "row" }, button, ...samples));
  return card;
}

const headline = (label, probability) =>
  make("p", { class: "big", text: label === null ? "not sure" : `${label.replaceAll("_", " ")}, ${percent(probability)}` });

// Sends the camera's frames at the model's rate.
function watch(model, player, media, handlers) {
  const rate = model.settings.rate ?? RATE;
  const canvas = make("canvas", { width: CAMERA, height: Math.round((CAMERA * 3) / 4) });
  const context = canvas.getContext("2d");
  const socket = stream(model, {}, handlers);
  const timer = setInterval(() => {
    if (socket.waiting > 200_000) return; // the service is behind
    context.drawImage(player, 0, 0, canvas.width, canvas.height);
    canvas.toBlob((blob) => blob?.arrayBuffer().then((bytes) => socket.send(bytes)), "image/jpeg", 0.85);
  }, 1000 / rate);
  return {
    stop() {
      clearInterval(timer);
      socket.close();
      for (const track of media.getTracks()) track.stop();
    },
  };
}

// Probabilities after each frame as stacked columns, with a line where the clip plays.
class Strip {
  constructor(player) {
    this.frames = [];
    this.canvas = make("canvas", { role: "img" });
    this.names = make("div", {});
    this.said = make("p", { class: "status" });
    this.root = make("div", {}, make("h3", { text: "Label over time" }), this.canvas, this.said, this.names);
    const follow = () => {
      if (!player.paused && player.src) this.paint(player.currentTime);
      requestAnimationFrame(follow);
    };
    this.canvas.addEventListener("click", (event) => {
      if (player.src && this.frames.length) player.currentTime = this.length * (event.offsetX / this.canvas.clientWidth);
    });
    new ResizeObserver(() => this.paint()).observe(this.root);
    requestAnimationFrame(follow);
  }

  get length() {
    const last = this.frames.at(-1)?.seconds ?? 0;
    const step = this.frames.length > 1 ? this.frames[1].seconds - this.frames[0].seconds : 0.1;
    return last + step;
  }

  show(frames) {
    this.frames = frames;
    this.order = [];
    this.paint();
  }

  add(frame) {
    this.frames = [...this.frames, frame].slice(-300);
    this.paint();
  }

  paint(at = null) {
    const wide = this.root.clientWidth, high = 78;
    if (!wide || !this.frames.length) return;
    const most = {};
    for (const { probabilities } of this.frames) {
      for (const [label, p] of Object.entries(probabilities)) most[label] = (most[label] ?? 0) + p;
    }
    const named = Object.entries(most).sort((a, b) => b[1] - a[1]).slice(0, NAMED).map(([label]) => label);
    const context = sizeCanvas(this.canvas, wide, high);
    const step = wide / this.frames.length;
    context.fillStyle = colour("none");
    context.fillRect(0, 0, wide, high);
    this.frames.forEach(({ probabilities }, k) => {
      let y = high;
      named.forEach((label, place) => {
        const part = high * probabilities[label];
        context.fillStyle = colour(`s${place}`);
        context.fillRect(k * step, y - part, step + 0.6, part);
        y -= part;
      });
    });
    if (at !== null) {
      context.fillStyle = colour("text");
      context.fillRect((wide * at) / this.length - 1, 0, 2, high);
    }
    const key = named.join();
    if (this.key !== key) {
      this.key = key;
      this.names.replaceChildren(legend([...named.map((label, place) => [`var(--s${place})`, label.replaceAll("_", " ")]), ["var(--none)", "others"]]));
    }
    const turns = this.turns();
    this.said.textContent = `${seconds(this.length)}: ${turns}`;
    this.canvas.setAttribute("aria-label", `The most likely label over time: ${turns}`);
  }

  // Where the most likely label changes, in words.
  turns() {
    const found = [];
    for (const { seconds: from, probabilities } of this.frames) {
      const label = Object.keys(probabilities).reduce((a, b) => (probabilities[b] > probabilities[a] ? b : a));
      if (found.at(-1)?.label !== label) found.push({ label, from });
    }
    const shown = found.slice(-4).map(({ label, from }) => `${label.replaceAll("_", " ")} from ${from.toFixed(1)} s`);
    return (found.length > 4 ? "… " : "") + shown.join(", ");
  }
}
