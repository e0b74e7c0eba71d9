/** What the server can do: its voices, and whether it follows instructions and learns voices. */

import { byId, make } from "./dom.js";
import { ask } from "./server.js";
import { canSay, languageName, say } from "./words.js";

/** Raises a Problem where the server cannot tell. */
export async function learnAbilities() {
  const [list, model] = await Promise.all(["v1/voices", "model_info"].map(async (path) => (await ask(path)).json()));
  return {
    voices: list.voices,
    defaultVoice: list.default_speaker,
    note: list.note,
    sampleRate: list.voices[0]?.sample_rate, // all the same
    canInstruct: model.can_instruct,
    canClone: model.can_clone,
  };
}

/** Offer the voices, choosing `chosen` if there is one of that name. */
export function showAbilities({ voices, defaultVoice, note, canInstruct, canClone }, chosen) {
  const kinds = [...new Set(voices.map(({ kind }) => kind))];
  const groups = kinds.map((kind) => {
    const options = voices.filter((voice) => voice.kind === kind).map(optionOf);
    return kinds.length === 1 ? options : [make("optgroup", { label: say(`kind_${kind}`) }, ...options)];
  });
  byId("voice").replaceChildren(...groups.flat());
  byId("voice").value = voices.some(({ name }) => name === chosen) ? chosen : defaultVoice;
  byId("voices-note").textContent = note;
  byId("voices-note").hidden = !note;
  byId("instructing").hidden = !canInstruct;
  byId("cloning").hidden = !canClone;
}

function optionOf({ name, languages, gender }) {
  const about = languages.map(languageName);
  if (canSay(`gender_${gender}`)) about.push(say(`gender_${gender}`));
  return make("option", { value: name }, about.length > 0 ? `${name} – ${about.join(", ")}` : name);
}
