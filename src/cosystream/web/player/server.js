/** Questions to the server, with the key that was typed in, and answers that are errors as exceptions. */

import { recall, remember } from "./memory.js";

let key = recall("key") ?? "";

export function hasKey() {
  return key !== "";
}

export function setKey(typed) {
  key = typed.trim();
  remember("key", key);
}

/** Why something could not be done: `type` is the server's word for it, or one of ours. */
export class Problem extends Error {
  constructor(type, message = "", retryAfterSeconds = null) {
    super(message);
    this.type = type;
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

/** `fetch`, which raises a Problem unless all went well. An abort stays what it is. */
export async function ask(path, { headers = {}, ...rest } = {}) {
  let answer;
  try {
    const credentials = hasKey() ? { authorization: `Bearer ${inLatin1(key)}` } : {};
    answer = await fetch(path, { headers: { ...headers, ...credentials }, cache: "no-store", ...rest });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem("unreachable");
  }
  if (!answer.ok) throw await problemOf(answer);
  return answer;
}

/** Our routes say `error`, the integration guide's `detail`; a proxy in between says whatever it likes. */
async function problemOf(answer) {
  const body = await answer.json().catch(() => ({}));
  const fallback = answer.status === 401 ? "unauthorized" : answer.status === 503 ? "not_ready" : "refused";
  const message = body.error?.message ?? body.detail ?? `HTTP ${answer.status}`;
  const retryAfter = Number(answer.headers.get("retry-after")) || null;
  return new Problem(body.error?.type ?? fallback, message, retryAfter);
}

/** Headers hold bytes: those of UTF-8 are what the server compares. */
function inLatin1(text) {
  return String.fromCharCode(...new TextEncoder().encode(text));
}
