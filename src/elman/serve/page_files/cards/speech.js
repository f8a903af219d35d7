// Speech: words appear while one speaks or while a file is read; spectrogram and times below.

import { fileZone, make, makeCard, percent, seconds } from "../elements.js";
import { predictFiles, sample, stream } from "../service.js";
import { PIXELS, Spectrogram } from "../sound/spectrogram.js";

const RATE = 16_000; // to which files are decoded
const PIECE = 0.25; // seconds of a file in a message
const PACE = 25; // milliseconds between messages of a file
// as it is: what makes calls clearer for people changes the sound that the model knows
const SOUND = { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false };

export function speechCard(model, title, lead) {
  const card = makeCard(model.name, title, lead, { wide: true });
  let session = null;

  const record = async () => {
    if (session) {
      session.end();
      return;
    }
    card.fail(null);
    let media;
    try {
      if (!navigator.mediaDevices) throw new Error();
      media = await navigator.mediaDevices.getUserMedia({ audio: SOUND });
    } catch {
      card.fail(new Error("The browser gives this page no microphone; allow it, or choose a file. (It needs this machine's own address, or https.)"));
      return;
    }
    const context = new AudioContext();
    await context.audioWorklet.addModule("/page/sound/recorder.js");
    const node = new AudioWorkletNode(context, "recorder", { numberOfOutputs: 0 });
    context.createMediaStreamSource(media).connect(node);
    session = transcription(context.sampleRate);
    node.port.onmessage = ({ data }) => session?.take(data);
    session.release = () => {
      node.port.onmessage = null;
      for (const track of media.getTracks()) track.stop();
      context.close();
    };
    button.textContent = "Stop";
    button.classList.add("on");
    card.say("Listening …");
  };

  // A stream to the service with its view; `take` gives it samples.
  const transcription = (rate) => {
    const view = new View(rate);
    card.result.replaceChildren(view.root);
    const socket = stream(model, { rate }, {
      record: (found) => view.record(found),
      ended: (problem) => {
        own.release?.();
        if (session === own) session = null;
        button.textContent = "Record";
        button.classList.remove("on");
        card.say("");
        view.finish();
        if (problem) card.fail(problem);
      },
    });
    const own = {
      view,
      take(samples) {
        view.spectrogram.push(samples);
        view.follow();
        socket.send(Int16Array.from(samples, (value) => Math.round(32767 * Math.max(-1, Math.min(1, value)))).buffer);
      },
      end() {
        own.release?.();
        own.release = null;
        own.ending = true;
        card.say("Finishing …");
        socket.end();
      },
      drop() {
        own.release?.();
        socket.close();
      },
      get waiting() {
        return socket.waiting;
      },
    };
    return own;
  };

  const take = async (file) => {
    session?.drop();
    session = null;
    card.fail(null);
    let samples;
    try {
      const decoder = new OfflineAudioContext(1, 1, RATE);
      const decoded = await decoder.decodeAudioData(await file.arrayBuffer());
      samples = mono(decoded);
    } catch { // a format that the browser does not decode; the service may
      const found = await card.run(`Reading ${file.name} …`, (signal) => predictFiles(model, [file], {}, signal));
      if (found) {
        const [{ text, words }] = found;
        const view = new View(RATE);
        view.record({ type: "sentence", text, words });
        view.finish();
        card.result.replaceChildren(view.root);
      }
      return;
    }
    const own = (session = transcription(RATE));
    own.view.listen(file);
    card.say(`Reading ${file.name} …`);
    const length = Math.round(PIECE * RATE);
    for (let at = 0; at < samples.length && session === own; at += length) {
      own.take(samples.subarray(at, at + length));
      do await new Promise((done) => setTimeout(done, PACE)); while (own.waiting > 100_000);
    }
    if (session === own) own.end();
  };

  const button = make("button", { type: "button", class: "main", onclick: record }, "Record");
  const samples = model.samples.map((name, number) =>
    make("button", { type: "button", onclick: async () => {
      const file = await card.run("", () => sample(model, number));
      if (file) take(file);
    } }, `Sample: ${name}`));
  card.body.append(make("div", { class: "row" }, button, ...samples), fileZone("Choose a recording", "audio/*,video/*", take));
  return card;
}

function mono(decoded) {
  const mixed = decoded.getChannelData(0).slice();
  for (let channel = 1; channel < decoded.numberOfChannels; channel += 1) {
    const other = decoded.getChannelData(channel);
    for (let k = 0; k < mixed.length; k += 1) mixed[k] += other[k];
  }
  if (decoded.numberOfChannels > 1) for (let k = 0; k < mixed.length; k += 1) mixed[k] /= decoded.numberOfChannels;
  return mixed;
}

// The words so far, and the spectrogram with the words at their times.
class View {
  constructor(rate) {
    this.sentences = [];
    this.words = [];
    this.scale = PIXELS;
    this.final = make("span", { class: "final" });
    this.provisional = make("span", { class: "provisional" });
    this.canvas = make("canvas", { role: "img", "aria-label": "Spectrogram" });
    this.list = make("ol", { class: "words", "aria-label": "Words with their times" });
    this.scroll = make("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "Spectrogram and words" },
      make("div", { class: "timeline" }, this.canvas, this.list));
    this.player = make("div", { class: "player" });
    this.root = make("div", { class: "result" },
      make("p", { class: "big transcript", "aria-live": "polite" }, this.final, " ", this.provisional), this.player, this.scroll);
    this.spectrogram = new Spectrogram(this.canvas, rate);
  }

  record(found) {
    if (found.type === "words") {
      this.final.textContent = [...this.sentences, found.final].join(" ");
      this.provisional.textContent = found.provisional;
    } else if (found.type === "sentence") {
      this.sentences.push(found.text);
      this.final.textContent = this.sentences.join(" ");
      this.provisional.textContent = "";
      for (const word of found.words) this.place(word);
    }
  }

  place({ text, start, end, confidence }) {
    const item = make("li", {
      style: { opacity: `${0.55 + 0.45 * (confidence ?? 1)}` },
      title: `${seconds(start)} to ${seconds(end)}, confidence ${percent(confidence ?? 1)}`,
    }, text, make("small", { text: seconds(start) }));
    this.list.append(item);
    this.words.push({ text, start, end, item });
    this.arrange();
  }

  // Places the words at their times; one that would cover the last one stands lower.
  arrange() {
    let last = null, low = false;
    for (const each of this.words) {
      const { text, start, item } = each;
      each.lower = Boolean(last) && !last.lower && (start - last.start) * this.scale < Math.max(44, 8 * last.text.length + 14);
      item.style.left = `${start * this.scale}px`;
      item.style.top = each.lower ? "2.6rem" : "";
      low ||= each.lower;
      last = { ...each, text };
    }
    this.list.style.height = low ? "5rem" : "";
    this.list.style.minWidth = `${(last?.start ?? 0) * this.scale + 60}px`;
  }

  // Shows the newest part while it arrives.
  follow() {
    this.scroll.scrollLeft = this.scroll.scrollWidth;
  }

  listen(file) {
    const audio = make("audio", { controls: true, src: URL.createObjectURL(file), "aria-label": "The recording" });
    audio.addEventListener("timeupdate", () => {
      for (const { start, end, item } of this.words) item.classList.toggle("now", audio.currentTime >= start && audio.currentTime < end);
    });
    this.player.replaceChildren(audio);
  }

  finish() {
    this.spectrogram.finish();
    // a short recording fills the card
    const length = this.spectrogram.seconds;
    if (length) this.scale = Math.min(320, Math.max(PIXELS, (this.scroll.clientWidth - 50) / length));
    this.canvas.style.width = `${length * this.scale}px`;
    this.arrange();
    this.provisional.textContent = "";
    if (!this.final.textContent) this.final.textContent = "No words were recognised.";
    this.scroll.scrollLeft = 0;
    if (!this.spectrogram.columns.length) this.canvas.hidden = true;
  }
}
