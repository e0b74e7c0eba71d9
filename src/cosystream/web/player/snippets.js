/** The request that was just spoken, for a shell, for Python and for JavaScript. */

/**
 * `fields` are the request's; `promptName` is the file to imitate, or null; `hasKey` whether the server wants a key,
 * which is not shown.
 */
export function snippets({ url, fields, promptName, hasKey }) {
  return {
    curl: curl(url, fields, promptName, hasKey),
    python: python(url, fields, promptName, hasKey),
    javascript: javascript(url, fields, promptName, hasKey),
  };
}

/** Events, as they happen. */
function curl(url, fields, promptName, hasKey) {
  const parts = [`curl --no-buffer ${forShell(url)}`];
  if (hasKey) parts.push('-H "Authorization: Bearer $COSYSTREAM_KEY"');
  if (promptName === null) {
    parts.push("-H 'content-type: application/json'", `-d ${forShell(JSON.stringify(fields))}`);
  } else {
    for (const [name, value] of Object.entries(fields)) parts.push(`--form-string ${forShell(`${name}=${value}`)}`);
    const quoted = promptName.replace(/["\\]/g, "\\$&");
    parts.push(`-F ${forShell(`prompt_wav=@"${quoted}"`)}`);
  }
  return parts.join(" \\\n  ");
}

/** A file that grows as it is spoken. */
function python(url, fields, promptName, hasKey) {
  const request = literal({ ...fields, format: "wav" });
  const sent = promptName === null ? "json=request" : "data=request, files=files";
  return [
    hasKey && "import os\n",
    "import httpx\n",
    `url = ${JSON.stringify(url)}`,
    `request = ${request}`,
    promptName !== null && `files = {"prompt_wav": open(${JSON.stringify(promptName)}, "rb")}`,
    hasKey && 'headers = {"authorization": f"Bearer {os.environ[\'COSYSTREAM_KEY\']}"}',
    "",
    `with httpx.stream("POST", url, ${sent}, ${hasKey ? "headers=headers, " : ""}timeout=60) as answer:`,
    "    answer.raise_for_status()",
    '    with open("speech.wav", "wb") as file:',
    "        for piece in answer.iter_bytes():",
    "            file.write(piece)",
  ]
    .filter((line) => line !== false)
    .join("\n");
}

/** Events, with the samples of each. */
function javascript(url, fields, promptName, hasKey) {
  const credentials = 'authorization: `Bearer ${key}`';
  const asked =
    promptName === null
      ? [
          `const request = ${literal(fields)};`,
          `const answer = await fetch(${JSON.stringify(url)}, {`,
          '  method: "POST",',
          `  headers: { "content-type": "application/json"${hasKey ? `, ${credentials}` : ""} },`,
          "  body: JSON.stringify(request),",
          "});",
        ]
      : [
          `const request = ${literal(fields)};`,
          "const form = new FormData();",
          "for (const [name, value] of Object.entries(request)) form.append(name, value);",
          'form.append("prompt_wav", recording); // a Blob or a File',
          `const answer = await fetch(${JSON.stringify(url)}, {`,
          '  method: "POST",',
          ...(hasKey ? [`  headers: { ${credentials} },`] : []),
          "  body: form,",
          "});",
        ];
  const key = hasKey ? ['const key = "…"; // yours'] : [];
  return [...key, ...asked, READING].join("\n");
}

const READING = `if (!answer.ok) throw new Error(await answer.text());

let pending = "";
for await (const text of answer.body.pipeThrough(new TextDecoderStream())) {
  const frames = (pending + text).split("\\n\\n");
  pending = frames.pop();
  for (const frame of frames) {
    const [, event] = frame.match(/^event: (.*)$/m);
    const data = JSON.parse(frame.match(/^data: (.*)$/m)[1]);
    console.log(event, data); // of "audio", data.audio is 16-bit PCM in hex
  }
}`;

/** In single quotes, which keep all but themselves. */
function forShell(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** Strings and numbers: JSON is Python, too, as long as there is nothing else. */
function literal(fields) {
  const lines = Object.entries(fields).map(([name, value]) => `    ${JSON.stringify(name)}: ${JSON.stringify(value)},`);
  return `{\n${lines.join("\n")}\n}`;
}
