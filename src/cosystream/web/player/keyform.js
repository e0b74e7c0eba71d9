/** The form that asks for an API key, where the server wants one. */

import { byId } from "./dom.js";
import { hasKey, setKey } from "./server.js";

/** `tryKey` is called whenever one has been typed; the form stays until it fits. */
export function onKey(tryKey) {
  byId("key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    setKey(byId("key").value);
    byId("key").value = "";
    tryKey();
  });
}

/** Where one was sent, it did not fit; who has sent none has done nothing wrong. */
export function askForKey() {
  byId("key-form").hidden = false;
  byId("key-refused").hidden = !hasKey();
  byId("key").focus();
}

export function needNoKey() {
  byId("key-form").hidden = true;
}
