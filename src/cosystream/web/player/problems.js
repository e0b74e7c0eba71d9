/** Problems in the words of the page, with the server's own behind them. */

import { canSay, say } from "./words.js";

/** What went wrong, and when to try again. */
export function inWords({ type, message, retryAfterSeconds }) {
  const known = canSay(`problem_${type}`) ? `problem_${type}` : "problem_refused";
  const again = retryAfterSeconds ? say("tryAgain", { seconds: retryAfterSeconds }) : "";
  return [say(known), message, again].filter(Boolean).join(" ");
}
