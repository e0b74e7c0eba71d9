/** Samples as a WAV file: mono, 16 bits, a header that tells the truth. */

const HEADER_BYTES = 44;

/** `pieces` are Int16Arrays, in order. */
export function wav(pieces, sampleRate) {
  const size = pieces.reduce((sum, piece) => sum + piece.byteLength, 0);
  const header = new DataView(new ArrayBuffer(HEADER_BYTES));
  const tag = (at, letters) => [...letters].forEach((letter, i) => header.setUint8(at + i, letter.charCodeAt(0)));
  tag(0, "RIFF");
  header.setUint32(4, HEADER_BYTES - 8 + size, true);
  tag(8, "WAVEfmt ");
  header.setUint32(16, 16, true); // bytes of what follows, up to "data"
  header.setUint16(20, 1, true); // PCM
  header.setUint16(22, 1, true); // channels
  header.setUint32(24, sampleRate, true);
  header.setUint32(28, sampleRate * 2, true); // bytes a second
  header.setUint16(32, 2, true); // bytes a sample
  header.setUint16(34, 16, true); // bits a sample
  tag(36, "data");
  header.setUint32(40, size, true);
  return new Blob([header, ...pieces], { type: "audio/wav" });
}

/** The first `count` samples of `pieces`. */
export function firstSamples(pieces, count) {
  const kept = [];
  for (const piece of pieces) {
    if (count <= 0) break;
    kept.push(piece.subarray(0, count));
    count -= piece.length;
  }
  return kept;
}

/** A waveform in [-1, 1] as 16-bit samples. */
export function toPcm(waveform) {
  return Int16Array.from(waveform, (value) => Math.round(Math.max(-1, Math.min(1, value)) * 32767));
}

/** Hand `blob` to the user as a file. */
export function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
