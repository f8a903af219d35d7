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

/** Composes frames, one step of the recurrent layers and a few choices of pitches at a time. */
export async function composer() {
  const [step, choose] = [await load("music.step"), await load("music.choose")];
  const { options, pitches, horizons } = await described("music");
  const known = (place, whole) => {
    const bar = new Array(options.bar * options.grid).fill(0);
    if (options.bar) bar[place % bar.length] = 1;
    const left = (whole - place) / options.grid;
    return [...bar, ...(options.ending ? horizons.map((each) => Math.exp(-left / each)) : [])];
  };
  const first = options.num_layers * options.hidden_size;
  const shape = [options.num_layers, 1, options.hidden_size];
  const names = step.inputNames.filter((name) => name.startsWith("state."));

  // `pick` chooses an index from log probabilities
  return async function* (whole, pick) {
    const states = names.map((name) => [name, floats(new Float32Array(first), shape)]);
    let state = Object.fromEntries(states);
    let frame = new Float32Array(pitches);
    for (let place = 0; place < whole; place += 1) {
      const x = Float32Array.from([...frame, ...known(place, whole)]);
      const found = await step.run({ x: floats(x, [1, x.length]), ...state });
      state = Object.fromEntries(names.map((name) => [name, found[`next_${name}`]]));
      const chosen = new Float32Array(pitches);
      for (let last = pitches; ; ) {
        const { log_probs } = await choose.run({
          features: found.features,
          chosen: floats(chosen, [1, pitches]),
          last: integers([last], [1]),
        });
        last = pick(log_probs.data);
        if (last === pitches) break; // the end of the set
        chosen[last] = 1;
      }
      frame = options.descending ? chosen.toReversed() : chosen;
      yield [...frame.keys()].filter((pitch) => frame[pitch]);
    }
  };
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
    for (const pitch of frame) pen.fillRect(k * width, (87 - pitch) * 3, width - 1, 3);
  });
}

function play(frames) {
  const audio = new AudioContext();
  frames.forEach((frame, k) => {
    for (const pitch of frame) {
      const [tone, volume] = [audio.createOscillator(), audio.createGain()];
      tone.type = "triangle";
      tone.frequency.value = 27.5 * 2 ** (pitch / 12); // index 0 is the lowest A of a piano
      volume.gain.value = 0.08;
      tone.connect(volume).connect(audio.destination);
      tone.start(audio.currentTime + k * 0.5);
      tone.stop(audio.currentTime + (k + 1) * 0.5);
    }
  });
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
    for await (const frame of compose(32, drawn)) {
      frames.push(frame);
      draw(frames, 32);
    }
    element("tune").value = `${frames.length} steps, ${frames.flat().length} notes`;
    element("compose").disabled = false;
    element("play").disabled = false;
  });
  element("play").addEventListener("click", () => play(frames));
  element("compose").disabled = false;
}

start().catch((error) => {
  element("rating").value = `This page cannot start (${error.message}); run prepare.py first.`;
});
