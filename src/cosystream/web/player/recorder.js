/** The microphone: a recording of up to thirty seconds, as a WAV file made in the page. */

import { firstSamples, toPcm, wav } from "./wav.js";

const WORKLET = new URL("./worklet.js", import.meta.url);
const LONGEST_SECONDS = 30;
/** As the voice is: what makes calls clearer would take some of it away. */
const AS_IT_IS = { channelCount: 1, echoCancellation: false, noiseSuppression: false };

export function canRecord() {
  return navigator.mediaDevices?.getUserMedia !== undefined && window.AudioWorklet !== undefined;
}

export class Recording {
  #pieces = [];
  #samples = 0;
  #microphone;
  #context;
  #node;

  /** Ask for the microphone and begin. `onProgress` is told the seconds, and whether that is as long as may be. */
  static async begin(onProgress) {
    const microphone = await navigator.mediaDevices.getUserMedia({ audio: AS_IT_IS });
    const context = new AudioContext();
    try {
      await context.audioWorklet.addModule(WORKLET);
      return new Recording(microphone, context, onProgress);
    } catch (error) {
      letGo(microphone, context);
      throw error;
    }
  }

  constructor(microphone, context, onProgress) {
    this.#microphone = microphone;
    this.#context = context;
    this.#node = new AudioWorkletNode(context, "recorder", { numberOfOutputs: 0, channelCount: 1, channelCountMode: "explicit" });
    this.#node.port.onmessage = ({ data }) => {
      this.#pieces.push(data);
      this.#samples += data.length;
      const seconds = this.#samples / context.sampleRate;
      onProgress(seconds, seconds >= LONGEST_SECONDS);
    };
    context.createMediaStreamSource(microphone).connect(this.#node);
  }

  /** The file, cut to what a server takes: the last piece may reach beyond. The microphone is let go. */
  end() {
    this.#node.port.onmessage = null;
    this.#node.port.postMessage("stop");
    const { sampleRate } = this.#context;
    letGo(this.#microphone, this.#context);
    return wav(firstSamples(this.#pieces.map(toPcm), LONGEST_SECONDS * sampleRate), sampleRate);
  }
}

function letGo(microphone, context) {
  microphone.getTracks().forEach((track) => track.stop());
  context.close();
}
