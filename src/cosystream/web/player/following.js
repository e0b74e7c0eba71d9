/** Which part of a text is being spoken, told by sentences that may have been tidied up on the way. */

export class Following {
  #letters; // the text without its spaces
  #positions; // of each letter in the text
  #searchedTo = 0;
  #found = []; // {beginMs, text, span}

  constructor(text) {
    const letters = [...text.matchAll(/\S/g)];
    this.#letters = letters.map(([letter]) => letter).join("");
    this.#positions = letters.map(({ index }) => index);
  }

  /** A sentence, in the order of speaking: data of the event. */
  add({ text, begin_ms: beginMs }) {
    const wanted = text.replace(/\s/g, "");
    const at = wanted === "" ? -1 : this.#letters.indexOf(wanted, this.#searchedTo);
    let span = null;
    if (at >= 0) {
      this.#searchedTo = at + wanted.length;
      span = [this.#positions[at], this.#positions[this.#searchedTo - 1] + 1];
    }
    this.#found.push({ beginMs, text, span });
  }

  get count() {
    return this.#found.length;
  }

  /** The sentence at that time: its words, and where in the text they stand, or null if nowhere. */
  at(ms) {
    return this.#found.findLast(({ beginMs }) => beginMs <= ms) ?? null;
  }
}
