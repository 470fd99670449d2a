// Elements of the page, made without any markup: texts are texts, whoever wrote them.

const ICONS = {
  chat: "M4 5.5h16v11H10l-4.5 3.5v-3.5H4z",
  close: "M6 6l12 12M18 6L6 18",
  restart: "M12 5v14M5 12h14",
  send: "M4 12l16-8-5 16-3.5-6.5zM11.5 13.5L20 4",
  good: "M7 11v9H3.5v-9zM7 11l4-7.5c1.5 0 2.5 1 2.5 2.5v3.5h5.2a1.8 1.8 0 0 1 1.8 2.1l-1.1 6.7a2 2 0 0 1-2 1.7H7",
  bad: "M7 13V4H3.5v9zM7 13l4 7.5c1.5 0 2.5-1 2.5-2.5v-3.5h5.2a1.8 1.8 0 0 0 1.8-2.1l-1.1-6.7a2 2 0 0 0-2-1.7H7",
};

/** Return an element with attributes, properties that begin with `on`, and children; a text is a text node. */
function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== false && value !== undefined) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

function icon(name) {
  const make = (tag) => document.createElementNS("http://www.w3.org/2000/svg", tag);
  const [drawing, path] = [make("svg"), make("path")];
  drawing.setAttribute("viewBox", "0 0 24 24");
  drawing.setAttribute("aria-hidden", "true");
  path.setAttribute("d", ICONS[name]);
  drawing.append(path);
  return drawing;
}

/** Return a button that shows an icon and is called by its label. */
const iconButton = (name, label, onclick, attributes = {}) =>
  element("button", { type: "button", "aria-label": label, title: label, onclick, ...attributes }, icon(name));
