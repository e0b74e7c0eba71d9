/** Server-sent events out of the body of an answer, as they arrive. */

/** Yields `{name, data, id}`, the data read from JSON. Leaving the loop leaves the connection. */
export async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let name = "message";
  let data = [];
  let id = null; // of the last event that had one
  try {
    for (let read = await reader.read(); !read.done; read = await reader.read()) {
      const lines = (rest + read.value).split(/\r?\n/);
      rest = lines.pop();
      for (const line of lines) {
        if (line === "") {
          if (data.length > 0) yield { name, data: JSON.parse(data.join("\n")), id };
          name = "message";
          data = [];
          continue;
        }
        const [, field, value] = line.match(/^([^:]*):? ?(.*)$/);
        if (field === "event") name = value;
        else if (field === "data") data.push(value);
        else if (field === "id") id = value;
      }
    }
  } finally {
    reader.cancel().catch(() => {}); // it may have broken off
  }
}

/** 16-bit samples out of base64. */
export function samplesOf(base64) {
  const letters = atob(base64);
  const bytes = new Uint8Array(letters.length);
  for (let i = 0; i < letters.length; i++) bytes[i] = letters.charCodeAt(i);
  return new Int16Array(bytes.buffer);
}
