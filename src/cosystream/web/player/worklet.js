/** What runs on the audio thread: an utterance on its way out, or a recording on its way in. */

const REPORT_SAMPLES = 512;
const FULL_SCALE = 32768;

/**
 * Plays the 16-bit samples that it is sent, in order, and silence where there are none.
 *
 * Takes: an Int16Array to play; "end" after the last; "stop". Reports, every 512 samples and whenever something
 * changes: how many samples it has rendered, a checksum over them (sum = 31 * sum + sample, in 32 bits), how often it
 * has run dry, and whether the last sample is out.
 */
class Utterance extends AudioWorkletProcessor {
  #pieces = [];
  #offset = 0; // in the first piece
  #ending = false;
  #stopped = false;
  #dry = false;
  #rendered = 0;
  #reported = 0;
  #checksum = 0;
  #underruns = 0;

  constructor() {
    super();
    this.port.onmessage = ({ data }) => {
      if (data === "stop") this.#stopped = true;
      else if (data === "end") this.#end();
      else this.#pieces.push(data);
    };
  }

  process(_inputs, [[channel]]) {
    if (this.#stopped) return false;
    const before = this.#rendered;
    const filled = this.#fill(channel);
    const ended = this.#ending && this.#pieces.length === 0;
    const ranDry = filled < channel.length && this.#rendered > 0 && !ended && (filled > 0 || !this.#dry);
    if (ranDry) this.#underruns += 1;
    this.#dry = filled < channel.length;
    const began = before === 0 && filled > 0;
    if (began || ranDry || ended || this.#rendered - this.#reported >= REPORT_SAMPLES) this.#report(ended);
    return !ended;
  }

  #fill(channel) {
    let filled = 0;
    while (filled < channel.length && this.#pieces.length > 0) {
      const [piece] = this.#pieces;
      const count = Math.min(channel.length - filled, piece.length - this.#offset);
      for (let i = 0; i < count; i++) channel[filled + i] = piece[this.#offset + i] / FULL_SCALE;
      filled += count;
      this.#offset += count;
      if (this.#offset === piece.length) {
        this.#pieces.shift();
        this.#offset = 0;
      }
    }
    for (let i = 0; i < filled; i++) {
      this.#checksum = (Math.imul(this.#checksum, 31) + Math.round(channel[i] * FULL_SCALE)) | 0;
    }
    this.#rendered += filled;
    return filled;
  }

  /** The silence since the last sample was no underrun, after all. */
  #end() {
    this.#ending = true;
    if (this.#dry && this.#underruns > 0 && this.#pieces.length === 0) this.#underruns -= 1;
  }

  #report(ended) {
    this.#reported = this.#rendered;
    this.port.postMessage({
      rendered: this.#rendered,
      checksum: this.#checksum,
      underruns: this.#underruns,
      ended,
    });
  }
}

/** Sends what it hears, until it is told to stop. */
class Recorder extends AudioWorkletProcessor {
  #stopped = false;

  constructor() {
    super();
    this.port.onmessage = () => {
      this.#stopped = true;
    };
  }

  process([[channel]]) {
    if (channel) this.port.postMessage(channel.slice());
    return !this.#stopped;
  }
}

registerProcessor("utterance", Utterance);
registerProcessor("recorder", Recorder);
