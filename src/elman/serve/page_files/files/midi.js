// Notes as a standard MIDI file of type 0, and as a WAV file.

const TICKS = 480; // per quarter note

// `notes` have pitch, start, end (seconds), velocity and, where there are voices, a voice, which
// gets a channel of its own; `tempo` is in quarter notes per minute.
export function midi(notes, tempo) {
  const ticks = (seconds) => Math.round((seconds * tempo * TICKS) / 60);
  const channel = (voice = 0) => (voice < 9 ? voice : voice + 1) % 16; // 9 is for drums
  const events = notes.flatMap(({ pitch, start, end, velocity, voice }) => [
    { at: ticks(start), on: 1, bytes: [0x90 | channel(voice), pitch, velocity ?? 80] },
    { at: Math.max(ticks(end), ticks(start) + 1), on: 0, bytes: [0x80 | channel(voice), pitch, 0] },
  ]);
  events.sort((a, b) => a.at - b.at || a.on - b.on);
  const quarter = Math.round(60_000_000 / tempo);
  const track = [0, 0xff, 0x51, 3, (quarter >> 16) & 255, (quarter >> 8) & 255, quarter & 255];
  let before = 0;
  for (const { at, bytes } of events) {
    track.push(...variable(at - before), ...bytes);
    before = at;
  }
  track.push(0, 0xff, 0x2f, 0);
  const number = (value, count) => Array.from({ length: count }, (_, k) => (value >>> (8 * (count - 1 - k))) & 255);
  const text = (word) => [...word].map((letter) => letter.charCodeAt(0));
  return Uint8Array.from([
    ...text("MThd"), ...number(6, 4), ...number(0, 2), ...number(1, 2), ...number(TICKS, 2),
    ...text("MTrk"), ...number(track.length, 4), ...track,
  ]);
}

function variable(value) {
  const bytes = [value & 127];
  for (let rest = value >> 7; rest > 0; rest >>= 7) bytes.unshift((rest & 127) | 128);
  return bytes;
}

// Samples from -1 to 1 as 16-bit PCM.
export function wav(samples, rate) {
  const view = new DataView(new ArrayBuffer(44 + 2 * samples.length));
  const text = (at, word) => [...word].forEach((letter, k) => view.setUint8(at + k, letter.charCodeAt(0)));
  text(0, "RIFF");
  view.setUint32(4, 36 + 2 * samples.length, true);
  text(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);
  view.setUint16(22, 1, true);
  view.setUint32(24, rate, true);
  view.setUint32(28, 2 * rate, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  text(36, "data");
  view.setUint32(40, 2 * samples.length, true);
  samples.forEach((value, k) => view.setInt16(44 + 2 * k, Math.round(32767 * Math.max(-1, Math.min(1, value))), true));
  return view.buffer;
}
