/** Problems in the words of the page, with the server's own behind them where they say more. */

import { canSay, say } from "./words.js";

/** Types of problems of which the page's words say all that matters to people. */
const SAID_WHOLE = [
  "unauthorized",
  "unknown_voice",
  "voice_exists",
  "too_many_voices",
  "rate_limited",
  "overloaded",
  "not_ready",
  "shutting_down",
  "cancelled",
];

/** What went wrong, and when to try again. */
export function inWords({ type, message, retryAfterSeconds }) {
  let words = say(canSay(`problem_${type}`) ? `problem_${type}` : "problem_refused");
  const detail = SAID_WHOLE.includes(type) ? "" : message.replace(/^[a-z_]+: /, ""); // which a field's name begins
  if (detail) words = say("withDetail", { words: words.slice(0, -1), detail });
  return retryAfterSeconds ? say("tryAgain", { words, seconds: retryAfterSeconds }) : words;
}
