/** The little that is needed to build a page. */

export function byId(id) {
  return document.getElementById(id);
}

/** Text in which what stands in backticks is code. */
export function withCode(text) {
  return text.split(/`+/).map((part, i) => (i % 2 === 1 ? make("code", {}, part) : part));
}

/** An element with attributes (null and false leave one out) and children, which are elements or text. */
export function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [attribute, value] of Object.entries(attributes)) {
    if (value !== null && value !== false) element.setAttribute(attribute, value === true ? "" : value);
  }
  element.append(...children);
  return element;
}
