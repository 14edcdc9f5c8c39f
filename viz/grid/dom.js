// Small helpers to build the page: elements, icons, groups of choices. All text is textContent.
const SVG = "http://www.w3.org/2000/svg";

function make(tag, cls, attributes, ...children) {
  const node = document.createElement(tag);
  if (cls) node.className = cls;
  for (const [name, value] of Object.entries(attributes || {}))
    if (value !== null && value !== undefined) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

// Line icons on a 16 x 16 field.
const ICONS = {
  paint: "M2.5 13.5l.8-3.2 7.6-7.6a1.4 1.4 0 0 1 2 0l.4.4a1.4 1.4 0 0 1 0 2l-7.6 7.6z M9.6 4l2.4 2.4",
  box: "M2.5 3.5h11v9h-11z M5 6h2 M5 8h2",
  pan: "M8 1.8v12.4 M1.8 8h12.4 M6.2 3.4L8 1.6l1.8 1.8 M6.2 12.6L8 14.4l1.8-1.8 " +
    "M3.4 6.2L1.6 8l1.8 1.8 M12.6 6.2L14.4 8l-1.8 1.8",
  undo: "M3 6.5h6.5a3.5 3.5 0 0 1 0 7H6 M5.8 3.5L2.8 6.5l3 3",
  redo: "M13 6.5H6.5a3.5 3.5 0 0 0 0 7H10 M10.2 3.5l3 3-3 3",
  select: "M2.5 5.5v-3h3 M10.5 2.5h3v3 M13.5 10.5v3h-3 M5.5 13.5h-3v-3 M5.5 5.5h5v5h-5z",
  history: "M2.6 8a5.6 5.6 0 1 0 1.7-4 M2.4 2.2v3h3 M8 4.8V8l2.2 1.6",
  peek: "M1.5 8S4 3.5 8 3.5 14.5 8 14.5 8 12 12.5 8 12.5 1.5 8 1.5 8z M8 10a2 2 0 1 0 0-4 2 2 0 0 0 0 4z",
  search: "M7 11.5a4.5 4.5 0 1 0 0-9 4.5 4.5 0 0 0 0 9z M10.4 10.4l3.4 3.4",
  lock: "M4 7.2h8v6.3H4z M5.5 7V5a2.5 2.5 0 0 1 5 0v2",
  link: "M3 3.5h10v3.2H3z M3 9.3h10v3.2H3z M8 6.7v2.6",
  plus: "M8 3v10 M3 8h10",
  edit: "M3 4.5h6 M12.5 4.5h.5 M9 2.8v3.4 M3 11.5h.5 M7 11.5h6 M3.5 9.8v3.4z M5.2 9.8v3.4",
  close: "M4 4l8 8 M12 4l-8 8",
  help: "M8 14.2A6.2 6.2 0 1 0 8 1.8a6.2 6.2 0 0 0 0 12.4z M6.2 6.3a1.8 1.8 0 1 1 2.6 1.6" +
    "c-.6.3-.8.7-.8 1.4 M8 11.3v.2",
};

function icon(name) {
  const svg = document.createElementNS(SVG, "svg"), path = document.createElementNS(SVG, "path");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("class", "cb-icon");
  svg.setAttribute("aria-hidden", "true");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

// A button that does one thing.
function action(name, label, run, cls) {
  const button = make("button", "cb-button " + (cls || ""), {
    type: "button", "aria-label": label, title: label,
  }, icon(name));
  button.addEventListener("click", run);
  return button;
}

// A radio group drawn as one segmented bar. `choices` are {id, content, title, keys}.
function choices(label, cls, list, get, set) {
  const box = make("div", "cb-set " + cls, {role: "radiogroup", "aria-label": label});
  const buttons = list.map(({id, content, title, keys}) => {
    const button = make("button", "", {
      type: "button", role: "radio", title, "data-id": id, "aria-keyshortcuts": keys,
    }, ...content);
    button.addEventListener("click", () => { set(id); box.sync(); });
    box.append(button);
    return button;
  });
  const stop = () => buttons.find(button => button.dataset.id === String(get())) || buttons[0];
  box.sync = () => buttons.forEach(button => {
    button.setAttribute("aria-checked", String(get()) === button.dataset.id);
    button.tabIndex = button === stop() ? 0 : -1;  // one tab stop per group
  });
  box.focusChosen = () => stop().focus();
  box.addEventListener("keydown", event => {
    const by = {ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1}[event.key];
    if (!by) return;
    event.preventDefault();
    event.stopPropagation();
    const at = buttons.indexOf(document.activeElement);
    const next = buttons[(at + by + buttons.length) % buttons.length];
    next.click();
    next.focus();
  });
  box.sync();
  return box;
}

// The one tooltip, a fixed box in <body> so that no scrolling container cuts it. `fill` gets the
// empty box and puts lines into it.
const tip = make("div", "cb-tip", {"aria-hidden": "true"});

function showTip(fill, x, y, side) {
  tip.replaceChildren();
  fill(tip);
  tip.style.display = "block";
  const width = tip.offsetWidth, height = tip.offsetHeight;
  const above = side === "above" ? y - height - 8 : y + 20;
  tip.style.left = clamp(x + (side === "above" ? 0 : 14), 6, innerWidth - width - 6) + "px";
  tip.style.top = (above < 6 ? y + 34 : above + height > innerHeight - 6 ? y - height - 14 : above) + "px";
}

function hideTip() {
  tip.style.display = "none";
}
