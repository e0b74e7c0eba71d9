/**
 * An utterance without an AudioWorklet, which browsers keep from pages that come over plain http, as they do to a phone
 * in the same house: its pieces are scheduled one behind the other.
 */

const FULL_SCALE = 32768;
const LEAD_SAMPLES = 256; // what is scheduled for now would be late
const REPORT_MS = 40;

export class Scheduled {
  #context;
  #onReport;
  #pieces = []; // {begin, samples, source}, not yet heard to their end
  #next = 0; // where the next piece begins, in samples of the context's clock
  #ending = false;
  #heard = 0; // samples of the pieces that are over
  #checksum = 0; // over these, as in the worklet
  #underruns = 0;
  #timer;

  constructor(context, onReport) {
    this.#context = context;
    this.#onReport = onReport;
    this.#timer = setInterval(() => this.#report(), REPORT_MS);
  }

  feed(samples) {
    const now = Math.ceil(this.#context.currentTime * this.#context.sampleRate);
    if (this.#next < now + LEAD_SAMPLES) {
      if (this.#next > 0 && this.#next < now) this.#underruns += 1;
      this.#next = now + LEAD_SAMPLES;
    }
    const buffer = this.#context.createBuffer(1, samples.length, this.#context.sampleRate);
    buffer.copyToChannel(Float32Array.from(samples, (sample) => sample / FULL_SCALE), 0);
    const source = new AudioBufferSourceNode(this.#context, { buffer });
    source.connect(this.#context.destination);
    source.start(this.#next / this.#context.sampleRate);
    this.#pieces.push({ begin: this.#next, samples, source });
    this.#next += samples.length;
  }

  end() {
    this.#ending = true;
  }

  stop() {
    clearInterval(this.#timer);
    for (const { source } of this.#pieces) source.disconnect();
  }

  #report() {
    const now = Math.floor(this.#context.currentTime * this.#context.sampleRate);
    while (this.#pieces.length > 0 && this.#pieces[0].begin + this.#pieces[0].samples.length <= now) {
      const { samples } = this.#pieces.shift();
      this.#heard += samples.length;
      for (const sample of samples) this.#checksum = (Math.imul(this.#checksum, 31) + sample) | 0;
    }
    const [piece] = this.#pieces;
    this.#onReport({
      rendered: this.#heard + (piece ? Math.max(0, now - piece.begin) : 0),
      checksum: this.#checksum,
      underruns: this.#underruns,
      ended: this.#ending && this.#pieces.length === 0,
    });
  }
}
