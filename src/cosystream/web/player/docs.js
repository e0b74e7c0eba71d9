/** The interface for people, made from /openapi.json, which the server makes from itself. */

import { byId, make, withCode } from "./dom.js";
import { askForKey, needNoKey, onKey } from "./keyform.js";
import { inWords } from "./problems.js";
import { ask } from "./server.js";
import { fieldsTable, linkTo, parametersTable, shapeOf, table } from "./shapes.js";
import { say, switchLanguage, translate } from "./words.js";

const REF = "#/components/schemas/";

let described = null;
let problem = null;

async function load() {
  complain(null);
  try {
    described = await (await ask("openapi.json")).json();
    needNoKey();
    show();
  } catch (error) {
    if (error.type === "unauthorized") askForKey();
    else complain(error);
  }
}

function complain(what) {
  problem = what;
  byId("problem").hidden = problem === null;
  byId("problem").textContent = problem === null ? "" : inWords(problem);
}

function show() {
  const operations = Object.entries(described.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
  );
  const shapes = Object.entries(described.components.schemas);
  for (const id of ["contents-place", "shapes"]) byId(id).hidden = false;
  byId("version").textContent = `${described.info.title} ${described.info.version}`;
  byId("contents").replaceChildren(
    make("ul", {}, ...operations.map(({ path, method }) => make("li", {}, entry(path, method)))),
    make("p", { class: "note" }, say("schemas")),
    make("ul", {}, ...shapes.map(([name]) => make("li", {}, linkTo(name)))),
  );
  byId("routes").replaceChildren(...operations.map(({ path, method, operation }) => routeOf(path, method, operation)));
  byId("shapes").replaceChildren(
    make("h2", {}, say("schemas")),
    ...shapes.map(([name, schema]) => shapeOf(name, schema)),
  );
  if (location.hash) byId(location.hash.slice(1))?.scrollIntoView(); // it was not there when the page opened
}

function entry(path, method) {
  return make("a", { href: `#${idOf(path, method)}` }, methodOf(method), " ", make("code", {}, path));
}

function routeOf(path, method, operation) {
  const parts = [
    make("h2", { id: idOf(path, method) }, methodOf(method), " ", make("code", {}, path)),
    make("p", {}, `${operation.summary}.`),
  ];
  if (operation.description) parts.push(make("p", {}, ...withCode(operation.description)));
  if (!operation.security) parts.push(make("p", { class: "note" }, say("open")));
  if (operation.parameters) {
    parts.push(make("h3", {}, say("parameters")), parametersTable(operation.parameters));
  }
  if (operation.requestBody) parts.push(make("h3", {}, say("takes")), ...bodyOf(operation.requestBody.content));
  parts.push(make("h3", {}, say("answers")), answersTable(operation.responses));
  return make("section", { class: "card route" }, ...parts);
}

/** What may be sent, and the fields of the first of it: those of the others hardly differ. */
function bodyOf(content) {
  const kinds = Object.entries(content).map(([type, { schema }]) => make("li", {}, ...contentOf(type, schema)));
  const [{ schema }] = Object.values(content);
  const shape = described.components.schemas[schema?.$ref?.replace(REF, "")] ?? schema;
  const list = make("ul", {}, ...kinds);
  if (!shape?.properties) return [list];
  return [list, make("details", {}, make("summary", {}, say("fields")), fieldsTable(shape))];
}

function contentOf(type, schema) {
  const name = schema?.$ref?.replace(REF, "");
  return name ? [make("code", {}, type), ": ", linkTo(name)] : [make("code", {}, type)];
}

function answersTable(responses) {
  const rows = Object.entries(responses).map(([status, { description, content = {} }]) => {
    const types = Object.entries(content).map(([type, { schema }]) => make("div", {}, ...contentOf(type, schema)));
    const code = make("td", {}, make("code", { class: status < 400 ? "good" : "bad" }, status));
    return make("tr", {}, code, make("td", {}, description), make("td", {}, ...types));
  });
  return table(["status", "meaning", "type"], rows);
}

function methodOf(method) {
  return make("span", { class: `method ${method}` }, method.toUpperCase());
}

function idOf(path, method) {
  return `${method}${path.replace(/[^\w]+/g, "-")}`;
}

onKey(load);

byId("language").addEventListener("click", () => {
  switchLanguage();
  complain(problem);
  if (described !== null) show();
});

translate();
byId("contents-box").open = matchMedia("(min-width: 62rem)").matches;
load();
