/** What the page shows of an utterance: the place in the text, the waveform, figures and words. */

import { byId, make } from "./dom.js";
import { Following } from "./following.js";
import { inWords } from "./problems.js";
import { Waveform } from "./waveform.js";
import { say } from "./words.js";

const CALM = matchMedia("(prefers-reduced-motion: reduce)");
const DARK = matchMedia("(prefers-color-scheme: dark)");
const LONG_MS = 10_000;

export class View {
  #utterance = null;
  #following = null;
  #drawn = 0; // pieces of it
  #waveform = new Waveform(byId("waveform"));
  #isScheduled = false;
  #resting = { words: "status_loading", values: {} };
  #complaint = null;
  #forgotten = null; // a problem of the utterance

  constructor() {
    addEventListener("resize", () => this.refresh());
    DARK.addEventListener("change", () => this.refresh());
    byId("text").addEventListener("input", () => this.refresh());
    this.refresh();
  }

  /** Until the next utterance, `words` say what there is; what went wrong before is forgotten. */
  rest(words, values = {}) {
    this.#resting = { words, values };
    this.#complaint = null;
    this.#forgotten = this.#utterance?.problem ?? null;
    this.refresh();
  }

  /** Until the next utterance, a Problem that is not of this one. */
  complain(problem) {
    this.#complaint = problem;
    this.refresh();
  }

  follow(utterance) {
    this.#utterance = utterance;
    this.#following = new Following(utterance.wanted.fields.text);
    this.#resting = this.#complaint = null;
    this.#drawn = 0;
    this.#waveform.clear(1);
    this.refresh();
  }

  /** Draw anew with the next picture of the screen, however often it is asked for. */
  refresh() {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    requestAnimationFrame(() => {
      this.#isScheduled = false;
      this.#show(this.#utterance);
    });
  }

  #show(utterance) {
    this.#showPlace(utterance);
    this.#showWaveform(utterance);
    this.#showFigures(utterance);
    const isUnderWay = utterance?.isUnderWay ?? false;
    byId("play").dataset.state = isUnderWay ? "speaking" : "idle";
    write("play-words", say(isUnderWay ? "stop" : "play"));
    byId("download").disabled = isUnderWay || !utterance?.received;
    write("status", this.#resting ? say(this.#resting.words, this.#resting.values) : statusOf(utterance));
    const failure = utterance?.problem ?? null;
    const problem = this.#complaint ?? (failure === this.#forgotten ? null : failure);
    byId("problem").hidden = problem === null;
    write("problem", problem === null ? "" : inWords(problem));
  }

  /** The sentence that sounds, marked in the text if that still is what was asked for. */
  #showPlace(utterance) {
    const { value } = byId("text");
    for (const sentence of utterance?.sentences.slice(this.#following.count) ?? []) this.#following.add(sentence);
    const sounds = utterance?.state === "speaking" && utterance.rendered > 0;
    const place = sounds ? this.#following.at(utterance.positionMs) : null;
    write("sentence", place?.text ?? "");
    const span = value === utterance?.wanted.fields.text ? place?.span : null;
    const [begin, end] = span ?? [0, 0];
    if (byId("echo").dataset.shown === `${begin}-${end}-${value}`) return;
    byId("echo").dataset.shown = `${begin}-${end}-${value}`;
    const mark = make("mark", {}, value.slice(begin, end));
    byId("echo").replaceChildren(value.slice(0, begin), mark, `${value.slice(end)}\n`);
    if (span) showInside(byId("paper"), mark);
  }

  #showWaveform(utterance) {
    if (utterance?.start && this.#drawn === 0) this.#waveform.clear(utterance.sampleRate);
    for (const piece of utterance?.pieces.slice(this.#drawn) ?? []) this.#waveform.feed(piece);
    this.#drawn = utterance?.pieces.length ?? 0;
    const isScrolling = utterance?.state === "speaking" && !CALM.matches;
    this.#waveform.draw((utterance?.positionMs ?? 0) / 1000, isScrolling);
  }

  #showFigures(utterance) {
    const sounded = utterance !== null && utterance.firstAudioMs !== null;
    write("first-audio", sounded ? inMs(utterance.firstAudioMs) : "–");
    const there = utterance?.done?.first_audio_ms; // without the way from there to here
    write("first-audio-there", there === undefined ? "" : say("atTheServer", { time: inMs(there) }));
    write("buffer", utterance?.state === "speaking" ? inMs(utterance.bufferMs) : "–");
    write("underruns", sounded ? String(utterance.underruns) : "–");
    const rtf = utterance?.done?.rtf;
    write("synthesis", rtf ? `${round(1 / rtf)}×` : "–");
    write("rtf", rtf ? `RTF ${Number(rtf.toPrecision(2))}` : "");
    byId("underruns").dataset.bad = sounded && utterance.underruns > 0;
  }
}

/** Not scrollIntoView, which would move the page, too. */
function showInside(paper, mark) {
  const top = mark.offsetTop;
  const isSeen = top >= paper.scrollTop && top + mark.offsetHeight <= paper.scrollTop + paper.clientHeight;
  if (!isSeen) paper.scrollTo({ top: top - mark.offsetHeight / 2, behavior: CALM.matches ? "auto" : "smooth" });
}

function statusOf(utterance) {
  const { place, received, sampleRate } = utterance;
  return say(`status_${utterance.state}`, {
    position: place?.position,
    seconds: utterance.state === "queued" ? round(place.eta_ms / 1000) : round(received / (sampleRate || 1)),
  });
}

function inMs(ms) {
  return ms < LONG_MS ? `${Math.round(ms)} ms` : `${round(ms / 1000)} s`;
}

function round(number) {
  return number >= 100 ? number.toFixed(0) : number.toFixed(1);
}

/** Only what is new: a screen reader would say the same again. */
function write(id, text) {
  if (byId(id).textContent !== text) byId(id).textContent = text;
}
