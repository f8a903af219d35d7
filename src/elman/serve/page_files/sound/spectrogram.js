// A spectrogram that grows while samples arrive: log power of 64 bands, low ones below.

const BANDS = 64, HOP = 0.01, WINDOW = 0.025, HIGHEST = 8000;
export const PIXELS = 110; // per second
const HEIGHT = 128;
const MOST = 240; // seconds that a canvas can hold

export class Spectrogram {
  constructor(canvas, rate) {
    this.rate = rate;
    this.hop = Math.round(rate * HOP);
    this.width = Math.round(rate * WINDOW);
    this.size = 2 ** Math.ceil(Math.log2(this.width));
    this.window = Float32Array.from({ length: this.width }, (_, k) => 0.5 - 0.5 * Math.cos((2 * Math.PI * k) / this.width));
    this.bands = bandsOf(rate, this.size);
    this.waiting = new Float32Array(0);
    this.columns = [];
    this.canvas = canvas;
    this.loudest = -50;
    this.painted = 0;
    this.resize(1);
  }

  get seconds() {
    return this.columns.length * HOP;
  }

  push(samples) {
    const all = new Float32Array(this.waiting.length + samples.length);
    all.set(this.waiting);
    all.set(samples, this.waiting.length);
    let at = 0;
    while (at + this.width <= all.length) {
      this.columns.push(this.column(all.subarray(at, at + this.width)));
      at += this.hop;
    }
    this.waiting = all.slice(at);
    this.paint();
  }

  column(samples) {
    const real = new Float32Array(this.size), imaginary = new Float32Array(this.size);
    for (let k = 0; k < this.width; k += 1) real[k] = samples[k] * this.window[k];
    transform(real, imaginary);
    return this.bands.map(([from, to]) => {
      let power = 0;
      for (let k = from; k < to; k += 1) power += real[k] * real[k] + imaginary[k] * imaginary[k];
      return 10 * Math.log10(power / (to - from) + 1e-9);
    });
  }

  resize(seconds) {
    const wide = Math.ceil(Math.min(seconds, MOST) * PIXELS);
    const kept = this.canvas.width > 1 && this.painted ? this.canvas : null;
    const copy = kept ? Object.assign(document.createElement("canvas"), { width: kept.width, height: kept.height }) : null;
    copy?.getContext("2d").drawImage(kept, 0, 0);
    this.canvas.width = wide;
    this.canvas.height = HEIGHT;
    this.canvas.style.width = `${wide}px`;
    this.context = this.canvas.getContext("2d");
    if (copy) this.context.drawImage(copy, 0, 0);
  }

  paint() {
    const needed = this.seconds;
    if (needed * PIXELS > this.canvas.width && this.canvas.width < MOST * PIXELS) this.resize(needed < 8 ? needed : needed * 1.5);
    const step = HOP * PIXELS;
    for (; this.painted < this.columns.length; this.painted += 1) {
      const column = this.columns[this.painted];
      this.loudest = Math.max(this.loudest, ...column);
      column.forEach((power, band) => {
        this.context.fillStyle = shade(1 + (power - this.loudest) / 65);
        const y = HEIGHT * (1 - (band + 1) / BANDS);
        this.context.fillRect(this.painted * step, y, step + 0.6, HEIGHT / BANDS + 0.6);
      });
    }
  }

  // The end of a recording: nothing more comes.
  finish() {
    this.resize(Math.max(this.seconds, 0.5));
  }
}

// First and last bin of each band: evenly spaced in mel.
function bandsOf(rate, size) {
  const mel = (hertz) => 1127 * Math.log(1 + hertz / 700);
  const top = mel(Math.min(HIGHEST, rate / 2));
  const bin = (k) => Math.floor(((700 * (Math.exp((top * k) / BANDS / 1127) - 1)) / rate) * size);
  return Array.from({ length: BANDS }, (_, k) => [bin(k), Math.max(bin(k) + 1, bin(k + 1))]);
}

// The fast Fourier transform (Cooley and Tukey 1965), in place.
function transform(real, imaginary) {
  const size = real.length;
  for (let k = 1, j = 0; k < size; k += 1) {
    let bit = size >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (k < j) [real[k], real[j]] = [real[j], real[k]];
  }
  for (let length = 2; length <= size; length *= 2) {
    const angle = (-2 * Math.PI) / length, half = length / 2;
    const stepReal = Math.cos(angle), stepImaginary = Math.sin(angle);
    for (let start = 0; start < size; start += length) {
      let turnReal = 1, turnImaginary = 0;
      for (let k = start; k < start + half; k += 1) {
        const r = real[k + half] * turnReal - imaginary[k + half] * turnImaginary;
        const i = real[k + half] * turnImaginary + imaginary[k + half] * turnReal;
        real[k + half] = real[k] - r;
        imaginary[k + half] = imaginary[k] - i;
        real[k] += r;
        imaginary[k] += i;
        [turnReal, turnImaginary] = [
          turnReal * stepReal - turnImaginary * stepImaginary, turnReal * stepImaginary + turnImaginary * stepReal,
        ];
      }
    }
  }
}

// From dark blue over violet and orange to light yellow.
const STOPS = [[13, 10, 28], [52, 30, 105], [132, 40, 120], [214, 76, 86], [251, 150, 60], [252, 236, 170]];
const SHADES = Array.from({ length: 101 }, (_, k) => {
  const place = (k / 100) * (STOPS.length - 1);
  const low = Math.min(STOPS.length - 2, Math.floor(place));
  const mixed = STOPS[low].map((value, c) => Math.round(value + (place - low) * (STOPS[low + 1][c] - value)));
  return `rgb(${mixed.join()})`;
});
const shade = (part) => SHADES[Math.round(100 * Math.min(1, Math.max(0, part)))];
