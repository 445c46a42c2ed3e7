/** Elements from text: every string becomes a text node, so nothing a machine says is ever read as markup. */

const SVG = 'http://www.w3.org/2000/svg';

/** An element with attributes (`null` leaves one out) and children, strings among them as text. */
export function el(tag, attributes = {}, ...children) {
  return build(document.createElement(tag), attributes, children);
}

/** The same for SVG. */
export function svg(tag, attributes = {}, ...children) {
  return build(document.createElementNS(SVG, tag), attributes, children);
}

function build(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

/** Writes text only where it changed, so that screen readers and selections are left alone. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * Makes `parent` hold exactly one child per item, in order, reusing the child made for the same key.
 * `make(item)` builds one, `update(child, item)` brings it up to date.
 */
export function keyed(parent, items, { key, make, update }) {
  const known = parent.keyedChildren ?? new Map();
  const next = new Map();
  let place = parent.firstChild;
  for (const item of items) {
    const id = key(item);
    const child = known.get(id) ?? make(item);
    update(child, item);
    next.set(id, child);
    if (child === place) place = place.nextSibling;
    else parent.insertBefore(child, place);
  }
  for (const [id, child] of known) if (!next.has(id)) child.remove();
  parent.keyedChildren = next;
}
