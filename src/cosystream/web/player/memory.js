/** What the tab remembers until it is closed; where storage is forbidden, nothing. */

const PREFIX = "cosystream-";

export function recall(name) {
  try {
    return sessionStorage.getItem(PREFIX + name);
  } catch {
    return null;
  }
}

export function remember(name, value) {
  try {
    sessionStorage.setItem(PREFIX + name, value);
  } catch {
    // The choice lasts as long as the page, then.
  }
}
