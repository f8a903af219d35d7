// A plucked sound for notes: three partials that fade, in an AudioContext or an OfflineAudioContext.

const PARTIALS = [[1, 0.6], [2, 0.22], [3, 0.1]];
const ATTACK = 0.008, RELEASE = 0.18, FADE = 1.6;

export class Synthesiser {
  constructor(context) {
    this.context = context;
    this.output = context.createDynamicsCompressor();
    this.output.threshold.value = -18;
    this.output.connect(context.destination);
    this.voices = new Map();
  }

  // A note begins at `at`, a time of the context; it sounds until `stop` with its pitch and part.
  start(pitch, at, velocity = 80, part = 0) {
    const gain = this.context.createGain();
    gain.connect(this.output);
    const loud = 0.28 * (velocity / 127);
    gain.gain.setValueAtTime(0, at);
    gain.gain.linearRampToValueAtTime(loud, at + ATTACK);
    gain.gain.setTargetAtTime(loud * 0.12, at + ATTACK, FADE);
    const frequency = 440 * 2 ** ((pitch - 69) / 12);
    const partials = PARTIALS.map(([times, part]) => {
      const oscillator = this.context.createOscillator();
      const own = this.context.createGain();
      own.gain.value = part;
      oscillator.frequency.value = frequency * times;
      oscillator.connect(own).connect(gain);
      oscillator.start(at);
      return oscillator;
    });
    this.stop(pitch, at, part);
    this.voices.set(`${part} ${pitch}`, { gain, partials });
  }

  stop(pitch, at, part = 0) {
    const voice = this.voices.get(`${part} ${pitch}`);
    if (!voice) return;
    this.voices.delete(`${part} ${pitch}`);
    voice.gain.gain.setTargetAtTime(0, at, RELEASE / 3);
    for (const each of voice.partials) each.stop(at + RELEASE * 2);
  }
}

// The samples of a tune.
export async function rendered(notes, rate = 44_100) {
  const last = Math.max(0.1, ...notes.map((note) => note.end)) + 1;
  const context = new OfflineAudioContext(1, Math.ceil(last * rate), rate);
  const synthesiser = new Synthesiser(context);
  const changes = notes.flatMap((note) => [{ at: note.start, note, on: 1 }, { at: note.end, note, on: 0 }]);
  changes.sort((a, b) => a.at - b.at || a.on - b.on);
  for (const { at, note, on } of changes) {
    if (on) synthesiser.start(note.pitch, at, note.velocity, note.voice);
    else synthesiser.stop(note.pitch, at, note.voice);
  }
  return (await context.startRendering()).getChannelData(0);
}
