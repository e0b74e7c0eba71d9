/** The loudspeaker: an AudioContext at the rate of the stream, and one utterance at a time. */

import { Scheduled } from "./scheduled.js";

const WORKLET = new URL("./worklet.js", import.meta.url);
const USUAL_RATE = 24_000;
const REST_AFTER_MS = 2000;

/** An utterance in worklet.js. */
class Rendered {
  #node;

  constructor(context, onReport) {
    this.#node = new AudioWorkletNode(context, "utterance", { numberOfInputs: 0, outputChannelCount: [1] });
    this.#node.port.onmessage = ({ data }) => onReport(data);
    this.#node.connect(context.destination);
  }

  feed(samples) {
    this.#node.port.postMessage(samples);
  }

  end() {
    this.#node.port.postMessage("end");
  }

  stop() {
    this.#node.port.onmessage = null;
    this.#node.port.postMessage("stop");
    this.#node.disconnect();
  }
}

export class Player {
  #context = null;
  #ready = null;
  #sounding = null;
  #resting = null;

  /** Call this first while a key or button is being pressed: no page may sound before. Resolves when it can play. */
  async open(sampleRate = USUAL_RATE) {
    clearTimeout(this.#resting);
    if (this.#context?.sampleRate !== sampleRate) {
      this.#context?.close();
      this.#context = new AudioContext({ sampleRate, latencyHint: "interactive" });
      this.#ready = this.#context.audioWorklet?.addModule(WORKLET);
    }
    const context = this.#context;
    context.resume();
    try {
      await this.#ready;
    } catch (error) {
      if (this.#context === context) {
        context.close();
        this.#context = null; // so that the next try loads it anew
      }
      throw error;
    }
  }

  /** From silence; what is `fed` sounds at once. `onReport` is told what the audio thread reports. */
  begin(onReport) {
    this.stop();
    clearTimeout(this.#resting);
    const Kind = this.#context.audioWorklet ? Rendered : Scheduled;
    this.#sounding = new Kind(this.#context, (report) => {
      if (report.ended) this.stop();
      onReport(report);
    });
  }

  feed(samples) {
    this.#sounding?.feed(samples);
  }

  /** No more will be fed; what has been is played. */
  end() {
    this.#sounding?.end();
  }

  /** Silence, from the next quantum on. */
  stop() {
    this.#sounding?.stop();
    this.#sounding = null;
    // Not at once: the last samples may still be on their way to the loudspeaker.
    clearTimeout(this.#resting);
    this.#resting = setTimeout(() => this.#context?.suspend(), REST_AFTER_MS);
  }
}
