/** The waveform as it grows: what has been heard in one colour, what is still ahead in another. */

const PEAKS_PER_SECOND = 50;
const BAR_PIXELS = 3;
const STEP_PIXELS = 5;
const WINDOW_SECONDS = 8;
const PAST_SECONDS = 3;
const SHORTEST_SECONDS = 2;

export class Waveform {
  #canvas;
  #peaks = []; // from 0 to 1
  #samples = 0;
  #rate = 1;

  constructor(canvas) {
    this.#canvas = canvas;
  }

  clear(sampleRate) {
    this.#peaks = [];
    this.#samples = 0;
    this.#rate = sampleRate;
  }

  get samples() {
    return this.#samples;
  }

  feed(piece) {
    for (const sample of piece) {
      const at = Math.floor((this.#samples * PEAKS_PER_SECOND) / this.#rate);
      this.#peaks[at] = Math.max(this.#peaks[at] ?? 0, Math.abs(sample) / 32768);
      this.#samples += 1;
    }
  }

  /** `isScrolling` shows a window that moves along, else all of it is shown. */
  draw(positionSeconds, isScrolling) {
    const context = this.#canvas.getContext("2d");
    const { width, height } = this.#fit(context);
    const style = getComputedStyle(this.#canvas);
    const [ahead, heard, resting] = ["--ahead", "--heard", "--line"].map((name) => style.getPropertyValue(name));

    const duration = this.#samples / this.#rate;
    const span = isScrolling ? WINDOW_SECONDS : Math.max(SHORTEST_SECONDS, duration);
    const begin = isScrolling ? Math.max(0, positionSeconds - PAST_SECONDS) : 0;
    const barSeconds = (span * STEP_PIXELS) / width;
    const toX = (seconds) => ((seconds - begin) / span) * width;

    // Bars stand still in time, not on the screen: else they would flicker while it scrolls.
    for (let bar = Math.floor(begin / barSeconds); toX(bar * barSeconds) < width; bar++) {
      const [from, to] = [bar * barSeconds, (bar + 1) * barSeconds];
      const peak = this.#peakBetween(from, to);
      context.fillStyle = from >= duration ? resting : from < positionSeconds ? heard : ahead;
      const tall = Math.max(BAR_PIXELS, Math.sqrt(peak) * height);
      context.beginPath();
      context.roundRect(toX(from), (height - tall) / 2, BAR_PIXELS, tall, BAR_PIXELS / 2);
      context.fill();
    }
    if (positionSeconds > 0 && positionSeconds < duration) {
      context.fillStyle = heard;
      context.fillRect(toX(positionSeconds) - 1, 0, 2, height);
    }
  }

  #peakBetween(from, to) {
    const first = Math.floor(from * PEAKS_PER_SECOND);
    const last = Math.max(first + 1, Math.floor(to * PEAKS_PER_SECOND));
    return Math.max(0, ...this.#peaks.slice(first, last));
  }

  /** As many pixels as the screen has there. */
  #fit(context) {
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    const scale = window.devicePixelRatio || 1;
    this.#canvas.width = Math.round(width * scale);
    this.#canvas.height = Math.round(height * scale);
    context.setTransform(scale, 0, 0, scale, 0, 0);
    return { width, height };
  }
}
