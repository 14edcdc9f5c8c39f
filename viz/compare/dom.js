// Small makers of page elements; text always goes in as text, never as markup.
const clamp = (x, low, high) => Math.min(high, Math.max(low, x));
// A step by its number, which counts from 0, and by its place: "step 19, last of 20".
const stepText = (step, steps) => `step ${step}, ${placeText(step + 1, steps)} of ${steps}`;

function placeText(place, count) {
  if (place === count) return "last";
  if (place === 1) return "first";
  const ends = place % 100 >= 11 && place % 100 <= 13 ? [] : ["", "st", "nd", "rd"];
  return place + (ends[place % 10] || "th");
}
const uid = "cb" + Math.random().toString(36).slice(2, 8);

function el(tag, cls, attrs, ...kids) {
  const node = document.createElement(tag);
  if (cls) node.className = cls;
  for (const name in attrs || {}) node.setAttribute(name, attrs[name]);
  node.append(...kids);
  return node;
}

const SVG = "http://www.w3.org/2000/svg";
function icon(path) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("aria-hidden", "true");
  const shape = document.createElementNS(SVG, "path");
  shape.setAttribute("d", path);
  svg.append(shape);
  return svg;
}
const ICONS = {
  play: "M4 2.5v11l9-5.5z",
  pause: "M3.5 2.5h3.2v11H3.5zM9.3 2.5h3.2v11H9.3z",
  grip: "M6.2 3.4 1.6 8l4.6 4.6zM9.8 3.4 14.4 8l-4.6 4.6z",
};

// A segmented control: one tab stop, arrows move and choose. `items` holds [value, text, title].
function segmented(label, items, get, set) {
  const box = el("div", "cbc-seg", {role: "radiogroup", "aria-label": label});
  const buttons = items.map(([value, text, title]) => {
    const button = el("button", "", {type: "button", role: "radio", title: title || ""}, text);
    button.onclick = () => { set(value); sync(); };
    box.append(button);
    return button;
  });
  function sync() {
    buttons.forEach((button, i) => {
      const on = items[i][0] === get();
      button.setAttribute("aria-checked", on);
      button.tabIndex = on ? 0 : -1;
    });
  }
  box.onkeydown = event => {
    const by = {ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1}[event.key];
    if (!by) return;
    event.preventDefault();
    const now = items.findIndex(item => item[0] === get());
    const next = (now + by + items.length) % items.length;
    buttons[next].click();
    buttons[next].focus();
  };
  sync();
  return {node: box, sync};
}

// Keys of a slider: returns the wanted value, or null when the key is not a slider key.
function sliderKey(event, now, low, high, small, large) {
  const by = {
    ArrowRight: small, ArrowUp: small, ArrowLeft: -small, ArrowDown: -small,
    PageUp: large, PageDown: -large,
  }[event.key];
  if (event.key === "Home") return low;
  if (event.key === "End") return high;
  if (by === undefined || event.ctrlKey || event.metaKey || event.altKey) return null;
  return clamp(now + (event.shiftKey ? Math.sign(by) * large : by), low, high);
}

// Calls `moved(event)` from pointer down until up, also when the pointer leaves the node.
function draggable(node, moved, ended) {
  let active = null;
  node.addEventListener("pointerdown", event => {
    if (event.button > 0 || active !== null || event.target.closest("button")) return;
    active = event.pointerId;
    node.setPointerCapture(active);
    if (moved(event) === false) { node.releasePointerCapture(active); active = null; }
  });
  node.addEventListener("pointermove", event => { if (event.pointerId === active) moved(event); });
  const end = event => {
    if (event.pointerId !== active) return;
    active = null;
    if (ended) ended();
  };
  node.addEventListener("pointerup", end);
  node.addEventListener("pointercancel", end);
}
