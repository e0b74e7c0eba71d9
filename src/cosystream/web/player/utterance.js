/** One utterance, from the press of a button to the last sample heard. */

import { ask, Problem } from "./server.js";
import { events, samplesOf } from "./stream.js";
import { firstSamples, wav } from "./wav.js";

/** Where the answer is, relative to the page. */
export const PATH = "synthesize/stream";

/** A connection that breaks off is taken up again so often, after pauses that grow by so much. */
const MOST_LOSSES = 4;
const PAUSE_MS = 500;

/**
 * What is `wanted`: `{fields, prompt}`, the fields of a request and a recording to imitate or null.
 *
 * `state` goes from "asking", "queued" or "speaking" to "ended", "stopped" or "failed"; `changed` is called whenever
 * something is different.
 */
export class Utterance {
  state = "asking";
  place = null; // data of the last event: queued
  start = null; // data of the event: start
  done = null; // data of the event: done
  problem = null;
  sentences = []; // data of each event: sentence
  pieces = [];
  received = 0;
  rendered = 0;
  checksum = 0;
  underruns = 0;
  firstAudioMs = null;
  #lastId = null; // of the events
  #abort = new AbortController();
  #pressed = performance.now();
  #player;
  #changed;

  constructor(wanted, changed) {
    this.wanted = wanted;
    this.#changed = changed;
  }

  get isUnderWay() {
    return ["asking", "queued", "speaking"].includes(this.state);
  }

  get sampleRate() {
    return this.start?.sample_rate ?? 0;
  }

  get positionMs() {
    return this.sampleRate && (this.rendered * 1000) / this.sampleRate;
  }

  get bufferMs() {
    return this.sampleRate && ((this.received - this.rendered) * 1000) / this.sampleRate;
  }

  /** Ask, and play what comes. `likelyRate` is that of most answers: the audio output opens while the server thinks. */
  async speak(player, likelyRate) {
    this.#player = player;
    try {
      const opening = player.open(likelyRate);
      for (let losses = 0; !(await this.#listen(opening)); losses++) {
        if (losses === MOST_LOSSES) throw new Problem("cut_short");
        await new Promise((resolve) => setTimeout(resolve, losses * PAUSE_MS));
      }
    } catch (error) {
      if (this.state !== "stopped") this.#fail(error instanceof Problem ? error : new Problem("cut_short"));
    }
  }

  /** From the beginning, or from behind the last event that arrived. False if it broke off where it can be taken up. */
  async #listen(opening) {
    const { headers, body } = this.#request();
    if (this.#lastId !== null) headers["last-event-id"] = this.#lastId;
    try {
      const answer = await ask(PATH, { method: "POST", signal: this.#abort.signal, headers, body });
      if (answer.status === 204) throw new Problem("cut_short"); // the server knows no more of it
      await opening;
      for await (const { name, data, id } of events(answer.body)) {
        await this.#take(name, data);
        this.#lastId = id;
      }
    } catch (error) {
      const isLost = !(error instanceof Problem) || error.type === "unreachable";
      if (!isLost || this.#lastId === null || this.state === "stopped") throw error;
    }
    if (this.done === null && this.#lastId === null) throw new Problem("cut_short");
    return this.done !== null;
  }

  /** Silence now; the server learns of it by losing us. */
  stop() {
    if (!this.isUnderWay) return;
    this.#abort.abort();
    this.#player.stop();
    this.#become("stopped");
  }

  /** A file of what could be heard. */
  file() {
    const pieces = this.state === "stopped" ? firstSamples(this.pieces, this.rendered) : this.pieces;
    return wav(pieces, this.sampleRate);
  }

  #request() {
    const fields = { ...this.wanted.fields, encoding: "base64" };
    const headers = { accept: "text/event-stream" };
    const { prompt } = this.wanted;
    if (prompt === null) {
      return { headers: { ...headers, "content-type": "application/json" }, body: JSON.stringify(fields) };
    }
    const form = new FormData();
    for (const [name, value] of Object.entries(fields)) form.append(name, value);
    form.append("prompt_wav", prompt.file, prompt.name);
    return { headers, body: form };
  }

  async #take(name, data) {
    if (this.state === "stopped") return;
    if (name === "queued") {
      this.place = data;
      if (this.start === null) this.#become("queued");
    } else if (name === "start") {
      if (this.start !== null) return; // the rest of what broke off
      this.start = data;
      await this.#player.open(data.sample_rate);
      if (this.state === "stopped") return;
      this.#player.begin((report) => this.#hear(report));
      this.#become("speaking");
    } else if (name === "sentence") {
      this.sentences[data.index] = data;
    } else if (name === "audio") {
      const samples = samplesOf(data.audio);
      this.pieces.push(samples);
      this.received += samples.length;
      this.#player.feed(samples);
      this.#changed();
    } else if (name === "done") {
      this.done = data;
      this.#player.end();
      this.#changed();
    } else if (name === "error") {
      throw new Problem(data.error.type, data.error.message);
    }
  }

  /** What was received before is still played. */
  #fail(problem) {
    this.#abort.abort();
    this.problem = problem;
    if (this.received > 0) {
      this.#player.end();
      this.#changed();
    } else {
      this.#player.stop();
      this.#become("failed");
    }
  }

  #hear({ rendered, checksum, underruns, ended }) {
    Object.assign(this, { rendered, checksum, underruns });
    if (rendered > 0) this.firstAudioMs ??= performance.now() - this.#pressed;
    if (ended) this.#become(this.problem === null ? "ended" : "failed");
    this.#changed();
  }

  #become(state) {
    this.state = state;
    this.#changed();
  }
}
