/** Every word on the pages, in English or in Chinese. */

import { CHINESE } from "./chinese.js";
import { ENGLISH } from "./english.js";
import { recall, remember } from "./memory.js";

const LANGUAGES = { en: ENGLISH, zh: CHINESE };

let language = recall("language") ?? (navigator.language.startsWith("zh") ? "zh" : "en");

/** The words called `name`, with `values` in their places. */
export function say(name, values = {}) {
  return LANGUAGES[language][name].replace(/\{(\w+)\}/g, (_, value) => values[value]);
}

/** Whether there are words of that name. */
export function canSay(name) {
  return name in LANGUAGES[language];
}

/** What a language is called, `tag` being that of BCP 47. */
export function languageName(tag) {
  return new Intl.DisplayNames([language], { type: "language" }).of(tag);
}

/** Whether `text` is the words called `name`, in whatever language. */
export function isWordsFor(name, text) {
  return Object.values(LANGUAGES).some((words) => words[name] === text);
}

export function switchLanguage() {
  language = language === "zh" ? "en" : "zh";
  remember("language", language);
  translate();
}

/** Put words wherever the page has left a place for them. */
export function translate() {
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  document.title = say(document.body.dataset.title ?? "title");
  for (const element of document.querySelectorAll("[data-words]")) element.textContent = say(element.dataset.words);
  for (const [places, attribute] of [["label", "aria-label"], ["placeholder", "placeholder"]]) {
    for (const element of document.querySelectorAll(`[data-${places}]`)) {
      element.setAttribute(attribute, say(element.dataset[places]));
    }
  }
}
