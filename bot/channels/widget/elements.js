// Elements of the page, made without any markup: texts are texts, whoever wrote them.

const ICONS = {
  chat: "M4 5.5h16v11H10l-4.5 3.5v-3.5H4z",
  close: "M6 6l12 12M18 6L6 18",
  restart: "M12 5v14M5 12h14",
  human: "M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM4.5 20c.8-3.8 3.700-5.500 7.500-5.500s6.700 1.700 7.500 5.500",
  send: "M4 12l16-8-5 16-3.500-6.500zM11.500 13.500L20 4",
  good: "M7 11v9H3.500v-9zM7 11l4-7.500c1.500 0 2.500 1 2.500 2.500v3.500h5.200a1.800 1.800 0 0 1 1.800 2.100l-1.100 6.700a2 2 0 0 1-2 1.700H7",
  bad: "M7 13V4H3.500v9zM7 13l4 7.500c1.500 0 2.500-1 2.500-2.500v-3.500h5.200a1.800 1.800 0 0 0 1.800-2.100l-1.100-6.700a2 2 0 0 0-2-1.700H7",
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
