/** The shapes of data in an OpenAPI document, as tables and in words. */

import { make, withCode } from "./dom.js";
import { say } from "./words.js";

const REF = "#/components/schemas/";

/** A link to the shape that `schema` refers to. */
export function linkTo(name) {
  return make("a", { href: `#shape-${name}` }, make("code", {}, name));
}

/** A shape by itself: its description and its fields, or the shapes that it may be. */
export function shapeOf(name, schema) {
  const parts = [make("h3", { id: `shape-${name}` }, make("code", {}, name))];
  if (schema.description) parts.push(make("p", {}, ...withCode(schema.description)));
  if (schema.properties) parts.push(fieldsTable(schema));
  else if (schema.oneOf ?? schema.anyOf) parts.push(alternatives(schema.oneOf ?? schema.anyOf));
  else parts.push(make("p", {}, ...typeOf(schema)));
  return make("section", {}, ...parts);
}

/** The fields of an object. */
export function fieldsTable({ properties, required = [] }) {
  const rows = Object.entries(properties).map(([name, schema]) => row(name, schema, required.includes(name)));
  return table(["field", "type", "meaning"], rows);
}

/** Parameters in a path or a query. */
export function parametersTable(parameters) {
  return table(["field", "type", "meaning"], parameters.map(({ name, schema, required }) => row(name, schema, required)));
}

export function table(heads, rows) {
  const head = make("tr", {}, ...heads.map((words) => make("th", { scope: "col" }, say(words))));
  return make("div", { class: "table", tabindex: "0" }, make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows)));
}

function row(name, schema, isRequired) {
  const type = [...typeOf(schema)];
  if (schema.default !== undefined && schema.default !== null) {
    type.push(`, ${say("byDefault", { value: JSON.stringify(schema.default) })}`);
  }
  const label = [make("code", {}, name)];
  if (isRequired) label.push(" ", make("span", { class: "required" }, say("required")));
  return make(
    "tr",
    {},
    make("td", {}, ...label),
    make("td", {}, ...type),
    make("td", {}, ...withCode(descriptionOf(schema))),
  );
}

function alternatives(schemas) {
  const parts = schemas.map((schema) => {
    if (!schema.properties) return make("div", {}, ...typeOf(schema));
    return make("div", {}, make("h4", {}, make("code", {}, schema.title ?? "")), fieldsTable(schema));
  });
  return make("div", {}, ...parts);
}

/** A description may stand at one of the types that a field may be. */
function descriptionOf({ description, anyOf = [] }) {
  return description ?? anyOf.find((choice) => choice.description)?.description ?? "";
}

/** What a value may be: text and links. */
function typeOf(schema) {
  if (schema.$ref) return [linkTo(schema.$ref.replace(REF, ""))];
  if (schema.contentSchema) return ["JSON: ", ...typeOf(schema.contentSchema)];
  if ("const" in schema) return [make("code", {}, JSON.stringify(schema.const))];
  if (schema.enum) return between(schema.enum.map((value) => [make("code", {}, JSON.stringify(value))]), " | ");
  const choices = (schema.anyOf ?? schema.oneOf ?? []).filter(({ type }) => type !== "null");
  if (choices.length > 0) return between(choices.map(typeOf), " | ");
  if (schema.type === "array" && schema.items) return ["array: ", ...typeOf(schema.items)];
  const type = schema.format === "binary" ? "file" : (schema.type ?? "any");
  return [[type].flat().join(" | "), rangeOf(schema)];
}

function rangeOf({ minimum, maximum, minLength, maxLength }) {
  const words = [];
  // 64 bits in full would be noise.
  if (minimum !== undefined && Math.abs(minimum) < Number.MAX_SAFE_INTEGER) words.push(`≥ ${minimum}`);
  if (maximum !== undefined && Math.abs(maximum) < Number.MAX_SAFE_INTEGER) words.push(`≤ ${maximum}`);
  if (maxLength) words.push(say("length", { from: minLength ?? 0, to: maxLength }));
  else if (minLength) words.push(say("notEmpty"));
  return words.length > 0 ? `, ${words.join(", ")}` : "";
}

function between(parts, separator) {
  return parts.flatMap((part, i) => (i === 0 ? part : [separator, ...part]));
}
