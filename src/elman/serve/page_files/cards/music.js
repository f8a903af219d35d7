// Music: notes appear on a piano roll and sound while they are composed.

import { colour, download, field, fileZone, make, makeCard, sizeCanvas } from "../elements.js";
import { midi, wav } from "../files/midi.js";
import { stream } from "../service.js";
import { rendered, Synthesiser } from "../sound/synthesiser.js";

const LOWEST = 36, HIGHEST = 99, ROW = 4.5;
const PRIMER = 12; // steps that can be drawn
const AHEAD = 0.35; // seconds between the first note's arrival and its sound
const LETTERS = ["C", "C♯", "D", "E♭", "E", "F", "F♯", "G", "A♭", "A", "B♭", "B"];
const nameOf = (pitch) => `${LETTERS[pitch % 12]}${Math.floor(pitch / 12) - 1}`;

export function musicCard(model, title, lead) {
  const card = makeCard(model.name, title, lead, { wide: true });
  const tempo = model.settings.tempo ?? 80;
  const roll = new Roll(60 / tempo); // a start is drawn in quarter notes, whatever the model's grid
  let file = null, playing = null, tune = null;

  const temperature = make("input", { type: "range", min: 0, max: 1.6, step: 0.05, value: model.options.temperature?.default ?? 0.9 });
  const warmth = make("output", { for: "temperature" });
  const sayWarmth = () => (warmth.textContent = Number(temperature.value).toFixed(2));
  temperature.addEventListener("input", sayWarmth);
  sayWarmth();
  const length = make("input", { type: "number", min: 1, max: 600, value: 30, inputmode: "numeric" });
  const seed = make("input", { type: "number", min: 0, value: 1, inputmode: "numeric" });

  const compose = async () => {
    stop();
    card.fail(null);
    card.say("Composing …");
    const context = new AudioContext();
    await context.resume();
    const synthesiser = new Synthesiser(context);
    const begin = context.currentTime + AHEAD;
    const own = (playing = { context, begin });
    tune = null;
    files.hidden = true;
    const primer = file ? new Uint8Array(await file.arrayBuffer()) : roll.primer.size ? midi(roll.primerNotes(), tempo) : null;
    roll.begin();
    const options = { temperature: Number(temperature.value), seconds: Number(length.value), seed: Number(seed.value) };
    const socket = stream(model, options, {
      record(found) {
        if (own !== playing && found.type !== "tune") return;
        if (found.type === "on") {
          roll.on(found);
          synthesiser.start(found.pitch, Math.max(begin + found.seconds, context.currentTime), found.velocity, found.voice);
        } else if (found.type === "off") {
          roll.off(found);
          synthesiser.stop(found.pitch, Math.max(begin + found.seconds, context.currentTime), found.voice);
        } else if (found.type === "tune") {
          tune = found;
          own.length = found.seconds;
          files.hidden = false;
          said.textContent = `${found.key}, ${found.seconds.toFixed(1)} s, ${found.notes.length} notes`;
        }
      },
      ended(problem) {
        card.say("");
        if (problem) {
          card.fail(problem);
          if (own === playing) stop();
        }
      },
    });
    own.socket = socket;
    if (primer) socket.send(primer);
    socket.end();
    button.textContent = "Stop";
    button.classList.add("on");
    const follow = () => {
      if (own !== playing) return;
      const at = context.currentTime - begin;
      roll.paint(at);
      if (own.length !== undefined && at > own.length + 0.8) stop();
      else requestAnimationFrame(follow);
    };
    requestAnimationFrame(follow);
  };
  const stop = () => {
    if (!playing) return;
    const { context, socket } = playing;
    playing = null;
    if (!tune) socket?.close();
    context.close();
    roll.paint();
    card.say("");
    button.textContent = "Compose and play";
    button.classList.remove("on");
  };

  const button = make("button", { type: "button", class: "main", onclick: () => (playing ? stop() : compose()) }, "Compose and play");
  const another = make("button", { type: "button", onclick: () => {
    seed.value = Math.floor(Math.random() * 1_000_000);
    compose();
  } }, "Another");
  const said = make("span", { class: "status" });
  const files = make("div", { class: "row", hidden: true },
    make("button", { type: "button", onclick: () => download("tune.mid", midi(tune.notes, tempo), "audio/midi") }, "Download MIDI"),
    make("button", { type: "button", onclick: async () => download("tune.wav", wav(await rendered(tune.notes), 44_100), "audio/wav") }, "Download WAV"),
    said);
  const continued = make("p", { class: "status" });
  const useFile = (given) => {
    file = given;
    roll.clear();
    continued.replaceChildren(`The tune continues ${given.name}. `,
      make("button", { class: "chip", type: "button", onclick: forget }, "Begin from nothing"));
  };
  const forget = () => {
    file = null;
    roll.clear();
    continued.replaceChildren();
  };
  roll.changed = () => {
    file = null;
    continued.replaceChildren(`The tune continues what you drew (${roll.primer.size} of its steps). `,
      make("button", { class: "chip", type: "button", onclick: forget }, "Begin from nothing"));
    if (!roll.primer.size) continued.replaceChildren();
  };
  const warm = field("Temperature", temperature);
  warm.firstChild.append(" ", warmth);
  warmth.setAttribute("for", temperature.id);
  card.body.append(
    make("div", { class: "row fields" }, warm, field("Seconds", length), field("Seed", seed)),
    make("div", { class: "row" }, button, another),
    roll.root,
    make("p", { class: "status", text: "Draw a start in the tinted part of the roll: click or drag, or move with the arrow keys and press space." }),
    continued,
    fileZone("Choose a MIDI file to continue", ".mid,.midi,audio/midi", useFile),
    files,
  );
  return card;
}

// The piano roll: notes that are drawn, and notes that are composed.
class Roll {
  constructor(step) {
    this.step = step;
    this.primer = new Set(); // "step,pitch"
    this.notes = [];
    this.cursor = [0, 60];
    this.canvas = make("canvas", {
      tabindex: "0", role: "application", "aria-roledescription": "piano roll",
      "aria-label": "Piano roll: arrow keys move, space draws a note of the start",
    });
    this.live = make("p", { class: "hidden-text", role: "status" });
    this.scroll = make("div", { class: "roll scroll" }, this.canvas);
    this.root = make("div", {}, this.scroll, this.live);
    this.canvas.addEventListener("pointerdown", (event) => this.press(event));
    this.canvas.addEventListener("pointermove", (event) => this.drag(event));
    for (const name of ["pointerup", "pointercancel"]) this.canvas.addEventListener(name, () => (this.drawing = null));
    this.canvas.addEventListener("keydown", (event) => this.key(event));
    this.canvas.addEventListener("focus", () => this.paint());
    this.canvas.addEventListener("blur", () => this.paint());
    new ResizeObserver(() => this.paint()).observe(this.root);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.paint());
  }

  get seconds() {
    return Math.max(30, PRIMER * this.step, ...this.notes.map((note) => note.end ?? note.start));
  }

  get scale() {
    return Math.max(14, (this.root.clientWidth - 2) / this.seconds);
  }

  clear() {
    this.primer.clear();
    this.notes = [];
    this.paint();
  }

  primerNotes() {
    const notes = [];
    for (const each of [...this.primer].map((key) => key.split(",").map(Number)).sort((a, b) => a[0] - b[0])) {
      const [at, pitch] = each;
      const before = notes.findLast((note) => note.pitch === pitch);
      if (before && Math.round(before.end / this.step) === at) before.end = (at + 1) * this.step;
      else notes.push({ pitch, start: at * this.step, end: (at + 1) * this.step, velocity: 80 });
    }
    return notes;
  }

  begin() {
    this.notes = [];
  }

  on({ seconds, pitch, velocity, voice }) {
    this.notes.push({ start: seconds, pitch, velocity, voice });
  }

  off({ seconds, pitch, voice }) {
    const note = this.notes.findLast((each) => each.pitch === pitch && each.voice === voice && each.end === undefined);
    if (note) note.end = seconds;
  }

  place(event) {
    const at = Math.floor(event.offsetX / this.scale / this.step);
    return [at, HIGHEST - Math.floor(event.offsetY / ROW)];
  }

  toggle(at, pitch, want) {
    if (at < 0 || at >= PRIMER || pitch < LOWEST || pitch > HIGHEST) return;
    const key = `${at},${pitch}`;
    if (this.primer.has(key) === want) return;
    if (want) this.primer.add(key);
    else this.primer.delete(key);
    this.notes = [];
    this.changed?.();
    this.paint();
  }

  press(event) {
    const [at, pitch] = this.place(event);
    this.cursor = [Math.min(at, PRIMER - 1), pitch];
    this.drawing = { pitch, want: !this.primer.has(`${at},${pitch}`) };
    this.toggle(at, pitch, this.drawing.want);
  }

  drag(event) {
    if (!this.drawing) return;
    const [at] = this.place(event);
    this.toggle(at, this.drawing.pitch, this.drawing.want); // a drag lengthens the note
  }

  key(event) {
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    let [at, pitch] = this.cursor;
    if (event.key in moves) {
      const [steps, tones] = moves[event.key];
      at = Math.min(PRIMER - 1, Math.max(0, at + steps));
      pitch = Math.min(HIGHEST, Math.max(LOWEST, pitch + tones));
      this.cursor = [at, pitch];
    } else if (event.key === " " || event.key === "Enter") {
      this.toggle(at, pitch, !this.primer.has(`${at},${pitch}`));
    } else return;
    event.preventDefault();
    this.live.textContent = `${nameOf(pitch)}, step ${at + 1}${this.primer.has(`${at},${pitch}`) ? ", drawn" : ""}`;
    this.paint();
  }

  paint(playhead = null) {
    if (!this.root.clientWidth) return;
    const scale = this.scale, wide = Math.max(this.root.clientWidth - 2, this.seconds * scale);
    const high = (HIGHEST - LOWEST + 1) * ROW;
    const context = sizeCanvas(this.canvas, wide, high);
    const y = (pitch) => (HIGHEST - pitch) * ROW;
    context.fillStyle = colour("sunken");
    context.fillRect(0, 0, wide, high);
    context.fillStyle = colour("accent-soft");
    context.fillRect(0, 0, PRIMER * this.step * scale, high);
    context.fillStyle = colour("line");
    for (let pitch = LOWEST; pitch <= HIGHEST; pitch += 12) context.fillRect(0, y(pitch) + ROW, wide, 1); // below each C
    for (let k = 0; k * this.step < this.seconds; k += 1) {
      if (k % 4 === 0 || k < PRIMER) context.fillRect(k * this.step * scale, 0, k % 4 === 0 ? 1 : 0.5, high);
    }
    context.fillStyle = colour("soft");
    context.font = "10px sans-serif";
    for (let pitch = LOWEST; pitch <= HIGHEST; pitch += 12) context.fillText(nameOf(pitch), 3, y(pitch) + ROW - 2);
    const block = (start, end, pitch, fill) => {
      context.fillStyle = fill;
      context.beginPath();
      context.roundRect(start * scale + 0.5, y(pitch), Math.max(2, (end - start) * scale - 1), ROW, 1.5);
      context.fill();
    };
    for (const { start, end, pitch } of this.primerNotes()) block(start, end, pitch, colour("s1"));
    for (const { start, end, pitch } of this.notes) {
      const until = end ?? start + this.step;
      const sounding = playhead !== null && playhead >= start && playhead < until;
      block(start, until, pitch, colour(sounding ? "s1" : "s0"));
    }
    if (playhead !== null && playhead >= 0) {
      context.fillStyle = colour("text");
      context.fillRect(playhead * scale, 0, 1.5, high);
      const view = this.scroll;
      if (playhead * scale > view.scrollLeft + view.clientWidth - 30) view.scrollLeft = playhead * scale - 30;
    }
    if (document.activeElement === this.canvas) {
      context.strokeStyle = colour("text");
      context.lineWidth = 1.5;
      context.strokeRect(this.cursor[0] * this.step * scale, y(this.cursor[1]) - 1, this.step * scale, ROW + 2);
    }
  }
}
