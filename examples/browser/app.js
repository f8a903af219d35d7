// Runs exported models of Elman with ONNX Runtime Web: prepare.py writes models/ and ort/.
import * as ort from "./ort/ort.wasm.min.mjs";

ort.env.wasm.numThreads = 1;
ort.env.wasm.wasmPaths = new URL("./ort/", import.meta.url).href;

const load = (name) => ort.InferenceSession.create(`models/${name}.onnx`);
const described = async (name) => (await fetch(`models/${name}.json`)).json();
const floats = (data, dims) => new ort.Tensor("float32", data, dims);
const integers = (data, dims) => new ort.Tensor("int64", BigInt64Array.from(data, BigInt), dims);

/** Rates texts: {label: probability}. Words are split more simply than in Python. */
export async function classifier() {
  const [session, { symbols }] = [await load("sentiment"), await described("sentiment")];
  const index = new Map(symbols.words.words.map((word, k) => [word, k + 2])); // 1 is unknown
  return async (text) => {
    const words = text.toLowerCase().match(/[a-z]+(?:['-][a-z]+)*|\d+|[^\sa-z\d]/g) ?? [];
    const codes = words.map((word) => index.get(word) ?? 1);
    if (!codes.length) return {};
    const { logits } = await session.run({
      words: integers(codes, [codes.length, 1]),
      lengths: integers([codes.length], [1]),
    });
    const powers = [...logits.data].map(Math.exp);
    const sum = powers.reduce((a, b) => a + b);
    return Object.fromEntries(symbols.labels.map((label, k) => [label, powers[k] / sum]));
  };
}

/** Composes a chorale, one step of the recurrent layers and a choice for each voice at a time. */
export async function composer() {
  const [step, choose] = [await load("music.step"), await load("music.choose")];
  const { options, pitches, known, order } = await described("music");
  const first = options.num_layers * options.hidden_size;
  const shape = [options.num_layers, 1, options.hidden_size];
  const names = step.inputNames.filter((name) => name.startsWith("state."));
  const [rests, noRepeat] = [order.map(() => -1), order.map(() => -2)];

  // `pick` chooses an index from log probabilities; a step has the index of a pitch, or -1, for
  // each voice, the highest first
  const compose = async function* (pick, count = known.length) {
    const states = names.map((name) => [name, floats(new Float32Array(first), shape)]);
    let state = Object.fromEntries(states);
    let last = rests;
    for (let place = 0; place < Math.min(count, known.length); place += 1) {
      const x = Float32Array.from([...last, ...noRepeat, ...known[place]]);
      const found = await step.run({ x: floats(x, [1, x.length]), ...state });
      state = Object.fromEntries(names.map((name) => [name, found[`next_${name}`]]));
      const chosen = [...rests];
      for (const voice of order) {
        const { log_probs } = await choose.run({
          features: found.features,
          chosen: integers(chosen, [1, chosen.length]),
        });
        const own = log_probs.data.slice(voice * (pitches + 1), (voice + 1) * (pitches + 1));
        const pitch = pick(own);
        chosen[voice] = pitch === pitches ? -1 : pitch;
      }
      last = chosen;
      yield chosen;
    }
  };
  compose.steps = known.length;
  return compose;
}

export const likeliest = (logProbs) => logProbs.indexOf(Math.max(...logProbs));

export const drawn = (logProbs) => {
  let left = Math.random();
  const found = [...logProbs].findIndex((each) => (left -= Math.exp(each)) < 0);
  return found < 0 ? likeliest(logProbs) : found;
};

const element = (id) => document.getElementById(id);

async function showRating(classify) {
  const found = Object.entries(await classify(element("text").value));
  const [label, probability] = found.reduce((a, b) => (b[1] > a[1] ? b : a), ["", 0]);
  element("rating").value = label ? `${label} (${probability.toFixed(3)})` : "";
}

function draw(frames, count) {
  const canvas = element("roll");
  const pen = canvas.getContext("2d");
  const width = canvas.width / count;
  pen.clearRect(0, 0, canvas.width, canvas.height);
  pen.fillStyle = "#3949ab";
  frames.forEach((frame, k) => {
    for (const pitch of frame) if (pitch >= 0) pen.fillRect(k * width, (87 - pitch) * 3, width, 3);
  });
}

function play(frames) {
  const audio = new AudioContext();
  const sixteenth = 60 / 80 / 4; // seconds, at 80 quarter notes a minute
  for (const voice of frames[0].keys()) {
    let begin = 0;
    for (let k = 1; k <= frames.length; k += 1) {
      const pitch = frames[begin][voice];
      if (k < frames.length && frames[k][voice] === pitch) continue; // the voice holds its pitch
      if (pitch >= 0) {
        const [tone, volume] = [audio.createOscillator(), audio.createGain()];
        tone.type = "triangle";
        tone.frequency.value = 27.5 * 2 ** (pitch / 12); // index 0 is the lowest A of a piano
        volume.gain.value = 0.08;
        tone.connect(volume).connect(audio.destination);
        tone.start(audio.currentTime + begin * sixteenth);
        tone.stop(audio.currentTime + k * sixteenth);
      }
      begin = k;
    }
  }
}

async function start() {
  const classify = await classifier();
  await showRating(classify);
  element("text").addEventListener("input", () => showRating(classify));
  const compose = await composer();
  let frames = [];
  element("compose").addEventListener("click", async () => {
    element("compose").disabled = true;
    frames = [];
    for await (const frame of compose(drawn)) {
      frames.push(frame);
      draw(frames, compose.steps);
    }
    element("tune").value = `${frames.length} steps`;
    element("compose").disabled = false;
    element("play").disabled = false;
  });
  element("play").addEventListener("click", () => play(frames));
  element("compose").disabled = false;
}

start().catch((error) => {
  element("rating").value = `This page cannot start (${error.message}); run prepare.py first.`;
});
