/** The recording to imitate: from a file or from the microphone, and the words spoken in it. */

import { byId } from "./dom.js";
import { canRecord, Recording } from "./recorder.js";
import { ask, Problem } from "./server.js";
import { say } from "./words.js";

export class Cloning {
  #file = null;
  #recording = null;
  #seconds = 0;
  #changed;
  #failed;

  /** `changed` is told of another recording, `failed` of a Problem, `kept` of the name of a new voice. */
  constructor({ changed, failed, kept }) {
    this.#changed = changed;
    this.#failed = failed;
    byId("record").hidden = !canRecord();
    byId("prompt-file").addEventListener("change", ({ target }) => this.#take(target.files[0] ?? null));
    byId("record").addEventListener("click", () => (this.#recording === null ? this.#record() : this.#endRecording()));
    byId("forget-prompt").addEventListener("click", () => this.#take(null));
    byId("keep-voice").addEventListener("click", () => this.#keep(kept));
    byId("voice-name").addEventListener("keydown", (event) => {
      if (event.key !== "Enter") return;
      event.preventDefault(); // it would play
      this.#keep(kept);
    });
    this.refresh();
  }

  /** `{file, name, text}`, or null where the voices of the server speak. */
  get prompt() {
    const text = byId("prompt-text").value.trim();
    return this.#file && { file: this.#file, name: this.#file.name ?? "prompt.wav", text };
  }

  refresh() {
    const hasFile = this.#file !== null;
    byId("record-words").textContent =
      this.#recording === null ? say("record") : say("endRecording", { seconds: this.#seconds.toFixed(0) });
    byId("record").setAttribute("aria-pressed", this.#recording !== null);
    byId("forget-prompt").hidden = byId("prompt-heard").hidden = byId("keeping").hidden = !hasFile;
  }

  async #record() {
    const button = byId("record");
    const hadFocus = document.activeElement === button;
    this.#seconds = 0;
    button.disabled = true; // the browser may ask for permission: another press would begin another recording
    try {
      this.#recording = await Recording.begin((seconds, isLongest) => {
        this.#seconds = seconds;
        if (isLongest) this.#endRecording();
        else this.refresh();
      });
    } catch {
      this.#failed(new Problem("no_microphone"));
    }
    button.disabled = false;
    if (hadFocus) button.focus();
    this.refresh();
  }

  #endRecording() {
    const file = this.#recording.end();
    this.#recording = null;
    this.#take(file);
  }

  #take(file) {
    const heard = byId("prompt-heard");
    if (heard.src) URL.revokeObjectURL(heard.src);
    this.#file = file;
    if (file === null) {
      byId("prompt-file").value = "";
      heard.removeAttribute("src");
    } else {
      heard.src = URL.createObjectURL(file);
    }
    this.refresh();
    this.#changed();
  }

  /** Let the server learn the voice, for everybody. */
  async #keep(kept) {
    const name = byId("voice-name").value.trim();
    if (name === "") {
      byId("voice-name").focus();
      return;
    }
    const form = new FormData();
    form.append("name", name);
    form.append("prompt_wav", this.#file, this.prompt.name);
    form.append("prompt_text", this.prompt.text);
    try {
      await ask("v1/voices", { method: "POST", body: form });
      this.#take(null);
      kept(name);
    } catch (problem) {
      this.#failed(problem);
    }
  }
}
