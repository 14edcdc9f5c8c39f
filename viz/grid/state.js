// What this painter knows: the model, the planes it paints, the tools in hand, where its parts are.
const root = element.querySelector(".cb-grid");
const uid = "cb" + Math.random().toString(36).slice(2, 8);
const COARSE = matchMedia("(pointer: coarse)").matches;

// Gradio forgets our props when it mounts us again, so they live outside the component too, and so
// do strokes that the server has not seen yet.
const stores = window.cachebrushGrids = window.cachebrushGrids || {};
const store = stores[BAKED.key] = stores[BAKED.key] || {
  props: {}, value: null, pending: [], rev: 0, brushes: {cells: 1, steps: 1},
  tool: COARSE ? "pan" : "paint", view: "plan", zoom: "fit", grain: "cell", ranFor: null,
};

// Heavy ones come as one text of JSON each, which Gradio clones in no time.
const texts = {};

function prop(name) {
  if (props[name] !== undefined) store.props[name] = props[name];
  const given = store.props[name] !== undefined ? store.props[name] : BAKED.props[name];
  if (typeof given !== "string" || given[0] !== "{") return given;
  if (!texts[name] || texts[name].text !== given) texts[name] = {text: given, value: JSON.parse(given)};
  return texts[name].value;
}

// The server's value, out of the one text it comes as; null for our own operations and for nothing.
function toldValue() {
  const told = props.value && props.value.told;
  return typeof told === "string" ? JSON.parse(told) : null;
}

let model = makeModel(null);
// "cells" is the grid, "steps" the row of whole-step actions above it.
// Both have `locks`, too: 1 for every cell that is locked against edits.
const emptyPlanes = (cells, steps) => ({
  cells: new Uint8Array(cells), steps: new Uint8Array(steps), locks: new Uint8Array(cells),
});
let confirmed = emptyPlanes(0, 0);  // the server's last word
let planes = emptyPlanes(0, 0);     // on screen: that + strokes
let history = {undo: null, redo: null};
let stroke = null;                  // the pointer stroke in hand, see paint.js
let typed = null;                   // keyboard edits not sent yet: {target, to, places: Set, timer}
let focusAt = [0, 1];               // row and step of the tab stop; see HEAD and WHOLE
const HEAD = -1, WHOLE = -2;        // rows that are none: the headings, the step row

// What the painter is about, for its style sheet. No class: Gradio's sheets ask for parts of classes,
// so with one of the root's the style of every single cell would be worked out anew.
function setState(name, on) {
  if (on) root.dataset[name] = "";
  else delete root.dataset[name];
}

const nodes = {};                   // parts of the page: toolbar, readouts, grid, message ...
const geometry = {lab: 0, head: 0, whole: 0, cw: 0, ch: 0, gap: 1, group: 0, lock: 0};
const stats = {builds: 0, moves: 0, moveMs: [], liveMs: [], sent: 0, retried: 0};

const legendOf = target => model.legends[target];
const brushIs = k => model.legends.cells[k];
const actionIs = k => model.legends.steps[k];
const brushOn = target => target === "locks" ? 1 : store.brushes[target];
const isLocked = (target, i, to) => lockedFor(target, i, to, model) || heldBy(target, i, to);
// Whether a lock of somebody's is in the way: of the cell or, for a step, of one that it would leave
// out or no longer leave out.
function heldBy(target, i, to) {
  if (target === "cells") return planes.locks[i] === 1 && planes.cells[i] !== to;
  if (target !== "steps") return false;
  for (let c = i; c < model.cells; c += model.S) {
    if (!planes.locks[c]) continue;
    const then = to ? coversBlock(to, blockOf(rowOf(c))) : false;
    if (then !== coverOf(planes.steps, c, model) > 0) return true;
  }
  return false;
}
const coversBlock = (k, block) => block >= actionIs(k).covers[0] && block < actionIs(k).covers[1];
const rowOf = i => Math.floor(i / model.S);
const blockOf = row => Math.floor(row / model.R);
const branchOf = row => model.branches[row % model.R];
const LONG = {attn: "attention", mlp: "feed-forward"};
const longBranch = row => LONG[branchOf(row)] || branchOf(row);

function timestepText(s) {
  const t = model.timesteps && model.timesteps[s];
  return t === null || t === undefined ? "" : String(Math.round(t * 10) / 10);
}

// One place for words: shown under the grid and read out by screen readers. `kind` "locked" adds
// the lock, so that a refusal does not look like a report.
function say(text, kind) {
  nodes.message.className = "cb-message" + (kind ? " cb-" + kind : "");
  nodes.message.replaceChildren(...(kind === "locked" ? [icon("lock")] : []), text);
}
