/** The player page: what is typed and pressed becomes utterances. */

import { Cloning } from "./cloning.js";
import { byId } from "./dom.js";
import { askForKey, needNoKey, onKey } from "./keyform.js";
import { Player } from "./player.js";
import { hasKey, Problem } from "./server.js";
import { snippets } from "./snippets.js";
import { PATH, Utterance } from "./utterance.js";
import { View } from "./view.js";
import { learnAbilities, showAbilities } from "./voices.js";
import { isWordsFor, say, switchLanguage, translate } from "./words.js";
import { save } from "./wav.js";

const LOOK_AGAIN_SECONDS = 2;
const COPIED_MS = 1500;

const player = new Player();
const view = new View();
const cloning = new Cloning({
  changed: () => {
    byId("voice").disabled = cloning.prompt !== null;
    view.rest(cloning.prompt === null ? "status_ready" : "recordingUsed");
  },
  failed: complain,
  kept: async (name) => {
    await getReady(name);
    view.rest("voiceKept", { name });
  },
});
let utterance = null;
let abilities = null; // once the server has told

/** For tests and the curious, in the console: the figures of the utterance on the page, as they are now. */
Object.defineProperty(window, "cosystream", {
  get: () => {
    if (utterance === null) return null;
    const { state, received, rendered, checksum, underruns, firstAudioMs, start, done } = utterance;
    return { state, received, rendered, checksum, underruns, firstAudioMs, start, done };
  },
});

// Speaking

byId("speaking").addEventListener("submit", (event) => {
  event.preventDefault();
  if (utterance?.isUnderWay) utterance.stop();
  else speak();
});

addEventListener("keydown", (event) => {
  if (event.key === "Escape") utterance?.stop();
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    speak();
  }
});

function speak() {
  utterance?.stop();
  if (byId("text").value.trim() === "") {
    view.complain(new Problem("nothing_to_say"));
    byId("text").focus();
    return;
  }
  const spoken = new Utterance({ fields: fields(), prompt: cloning.prompt }, () => {
    view.refresh();
    if (spoken === utterance) showSnippet();
    if (spoken.problem?.type === "unauthorized") complain(spoken.problem);
  });
  utterance = spoken;
  view.follow(spoken);
  spoken.speak(player, abilities?.sampleRate);
}

/** Of the request, as they stand on the page. */
function fields() {
  const wanted = { text: byId("text").value };
  const prompt = cloning.prompt;
  if (prompt === null) wanted.speaker = byId("voice").value;
  else if (prompt.text) wanted.prompt_text = prompt.text;
  if (!byId("instructing").hidden && byId("instruction").value.trim()) {
    wanted.instruction = byId("instruction").value.trim();
  }
  if (byId("speed").valueAsNumber !== 1) wanted.speed = byId("speed").valueAsNumber;
  return wanted;
}

byId("speed").addEventListener("input", showSpeed);

function showSpeed() {
  byId("speed-shown").textContent = `${byId("speed").valueAsNumber.toFixed(2).replace(/0$/, "")}×`;
}

byId("download").addEventListener("click", () => {
  const { speaker, request_id: id } = utterance.start;
  save(utterance.file(), `${speaker}-${id.slice(0, 8)}.wav`);
});

// The same from a program

byId("code").addEventListener("change", showSnippet);

byId("copy").addEventListener("click", async () => {
  getSelection().selectAllChildren(byId("snippet"));
  if (navigator.clipboard) await navigator.clipboard.writeText(byId("snippet").textContent);
  else document.execCommand("copy"); // over plain http
  byId("copy").textContent = say("copied");
  setTimeout(() => (byId("copy").textContent = say("copy")), COPIED_MS);
});

function showSnippet() {
  if (!utterance?.start) return;
  const { fields: wanted, prompt } = utterance.wanted;
  const all = snippets({
    url: new URL(PATH, document.baseURI).href,
    fields: { ...wanted, seed: utterance.start.seed },
    promptName: prompt?.name ?? null,
    hasKey: hasKey(),
  });
  const text = all[document.querySelector("input[name=program]:checked").value];
  if (byId("snippet").textContent !== text) byId("snippet").textContent = text;
  byId("code").hidden = false;
  byId("code-key-note").hidden = !hasKey();
}

// Getting ready

onKey(() => getReady());

byId("language").addEventListener("click", () => {
  const isSample = isWordsFor("sample", byId("text").value);
  switchLanguage();
  if (isSample) byId("text").value = say("sample");
  if (abilities !== null) showAbilities(abilities, byId("voice").value);
  cloning.refresh();
  view.refresh();
});

function complain(problem) {
  if (problem.type === "unauthorized") {
    view.rest("status_locked");
    askForKey();
  } else {
    view.complain(problem);
  }
}

async function getReady(chosen = byId("voice").value) {
  try {
    abilities = await learnAbilities();
    needNoKey();
    showAbilities(abilities, chosen);
    view.rest("status_ready");
  } catch (problem) {
    complain(problem);
    if (problem.type === "unauthorized") return; // until there is a key
    setTimeout(() => getReady(), (problem.retryAfterSeconds ?? LOOK_AGAIN_SECONDS) * 1000);
  }
}

translate();
byId("text").value ||= say("sample");
showSpeed();
getReady();
